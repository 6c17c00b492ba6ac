"""The scores of one backbone on one test set: keep what was measured with the same inputs, measure the rest."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, Reporter, source_sha256
from expclip_cache.cache import FeatureCache, Json, canonical_json
from expclip_cache.prompts import Prompt, PromptSettings, prompt_table
from expclip_cache.scoring.measuring import HeadToScore, is_first_seed, measure
from expclip_cache.scoring.prompt_embeddings import embeddings_by_text, refuse_other_clip
from expclip_cache.scoring.results import HeadScores, PromptSetScores, TestSetScores
from expclip_cache.scoring.score_file import read_score_file, write_score_file


def complete_scores(
    path: Path,
    images: FeatureCache,
    prompts: FeatureCache,
    prompt_sets: Mapping[str, PromptSettings],
    heads: Sequence[HeadToScore],
    *,
    backbone: str,
    test_set: str,
    report: Reporter | None = None,
) -> TestSetScores:
    """Score plain CLIP and every head under every prompt type, and write what is new to a file.

    Args:
        path: of the file, see `read_score_file`. What it has from the same features, prompts, head and code is kept.
        images: image features of a labelled test set.
        prompts: cache of prompt embeddings from the same CLIP.
        prompt_sets: name -> prompts, types and aggregation.
        heads: of the same CLIP.
        backbone, test_set: names, for the results.

    Returns:
        The content of the file; its order is that of the arguments.

    Raises:
        CacheError: a cache is damaged, the two come from different CLIPs, a prompt has no embedding, or a head expects
            features of another width.
        DataError: the dataset has rows without a label, or a head cannot be read.
        SettingsError: a prompt set has no prompts for these classes.
    """
    old = _read(path)
    described, embeddings = images.describe(), embeddings_by_text(prompts)
    refuse_other_clip(images, prompts)
    code = source_sha256("expclip_cache.scoring", "expclip_cache.prompts")
    sets: dict[str, PromptSetScores] = {}
    measured = 0
    for name, settings in prompt_sets.items():
        table = prompt_table(settings.set, settings.types, images.classes)
        made_by = {
            "code": code,
            "images": _sha256(described),
            "prompts": prompts_sha256(table, settings, embeddings),
        }
        known = old.get(name)
        if known and known.made_by != made_by:
            known = None
        kept = {_key(head): head for head in known.heads} if known else {}
        missing = [head for head in heads if not _is_kept(head, kept.get(_key(head)), heads)]
        clip = known.clip if known else None
        if missing or clip is None:
            clip, new = measure(images, embeddings, table, settings, missing, heads)
            kept |= {_key(head): head for head in new}
            measured += len(clip) * (len(missing) + (known is None))
        sets[name] = PromptSetScores(made_by, clip, tuple(_placed(kept[_key(head)], head, heads) for head in heads))
    complete = TestSetScores(backbone, test_set, images.classes, described, sets)
    write_score_file(path, complete)
    if measured and report:
        report.say(f"{path}: {measured} confusion matrices of {len(images.good_rows)} items")
    return complete


def _key(head: HeadToScore | HeadScores) -> tuple[str, str, int | None]:
    return head.teacher, head.head, head.seed


def _is_kept(head: HeadToScore, known: HeadScores | None, heads: Sequence[HeadToScore]) -> bool:
    if known is None or known.sha256 != head.sha256:
        return False
    return known.changes is not None or not is_first_seed(head, heads)


def _placed(found: HeadScores, head: HeadToScore, heads: Sequence[HeadToScore]) -> HeadScores:
    """Without `changes` if the head was the first seed when it was measured but no longer is."""
    return found if is_first_seed(head, heads) else replace(found, changes=None)


def _read(path: Path) -> Mapping[str, PromptSetScores]:
    """What the file has; nothing if there is no file or it cannot be used, for then it is written anew."""
    try:
        return read_score_file(path).prompt_sets
    except DataError:
        return {}


def prompts_sha256(table: Sequence[Prompt], settings: PromptSettings, embeddings: Mapping[str, np.ndarray]) -> str:
    """Of the prompts, how they are aggregated, and their embeddings; other prompts in the cache do not matter."""
    digest = hashlib.sha256(canonical_json([[asdict(prompt) for prompt in table], settings.aggregation]))
    for prompt in table:
        digest.update(embeddings[prompt.text].tobytes() if prompt.text in embeddings else b"")
    return digest.hexdigest()


def _sha256(value: Json) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()
