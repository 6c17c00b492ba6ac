"""Features of a study that were made with other files of an encoder than those that are on this machine now.

DVC watches settings, not weights: after a file was replaced under the same name it finds nothing to do. The stages
themselves compare hashes whenever they run.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from expclip_cache.base import CacheError
from expclip_cache.cache import INDEX, FeatureCache
from expclip_cache.encoders import AnswerSettings, ClipSettings, LlmSettings, file_hashes, recorded_commits
from expclip_cache.settings.paths import ANSWERS, image_features, prompt_features, target_draws
from expclip_cache.settings.settings import Settings

ADVICE = (
    "such features do not belong to the encoder that is here: put the former files back, or set cache.on_mismatch: "
    "replace and run dvc repro --force images prompts targets answers"
)


def replaced_files(settings: Settings, root: Path = Path()) -> list[str]:
    """One line for each complete cache that other files made, and one with what to do; empty if there is none.

    Files that are not on this machine are not compared.
    """
    lines = [line for place, encoder in _caches(settings, root) if (line := _compared(root, place, encoder))]
    return [*lines, ADVICE] if lines else []


def _caches(settings: Settings, root: Path) -> Iterator[tuple[Path, ClipSettings | LlmSettings | AnswerSettings]]:
    for name, clip in settings.backbones.items():
        yield prompt_features(name), clip
        for dataset in settings.datasets:
            yield image_features(name, dataset), clip
    for name, llm in settings.teachers.items():
        for draw in target_draws(name, llm, settings.train.dataset):
            yield draw, llm
    for name, llm in settings.answers.items():
        for place in sorted((root / ANSWERS / name).glob("*")):
            yield place.relative_to(root), llm


def _compared(root: Path, place: Path, encoder: ClipSettings | LlmSettings | AnswerSettings) -> str:
    """What differs; empty if nothing does or it cannot be known."""
    if not (root / place / INDEX).is_file():
        return ""
    with suppress(CacheError):
        cache = FeatureCache(root / place)
        here = file_hashes(encoder, recorded_commits(cache.libraries[0])) or {}
        made = cache.identity.encoder
        if changed := [name.removesuffix("_sha256") for name in here if name in made and made[name] != here[name]]:
            return f"{place}: was made with other files of {encoder.model} ({', '.join(changed)})"
    return ""
