"""Cache the text tower's embeddings of prompts, in the same format as images: one row per distinct text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from expclip_cache.base import CacheError, Reporter, SilentReporter, UntouchableCacheError
from expclip_cache.cache import (
    INDEX,
    CacheSettings,
    CacheWriter,
    FeatureCache,
    Json,
    differences,
    json_sha256,
    store_at,
)
from expclip_cache.encoders import (
    ClipSettings,
    file_hashes,
    library_differences,
    library_versions,
    recorded_commits,
)
from expclip_cache.extraction.decide import changed_settings

if TYPE_CHECKING:
    import torch


class TextEncoder(Protocol):
    """A frozen text encoder, loaded."""

    @property
    def device(self) -> "torch.device":
        """Where it runs."""
        ...

    def describe(self) -> dict[str, Json]:
        """What is known only once it is loaded."""
        ...

    def encode_texts(self, texts: list[str]) -> "torch.Tensor":
        """P texts -> (p, d) float32, raw."""
        ...


@runtime_checkable
class ConditioningEncoder(Protocol):
    """A text encoder whose texts are conditioned by the item that they are compared with."""

    def conditioning_weights(self) -> bytes:
        """What does it, as a safetensors file; see `scoring.TextConditioning`."""
        ...


def encode_prompts(
    texts: Sequence[str],
    out: Path | str,
    clip: ClipSettings | None = None,
    cache: CacheSettings | None = None,
    device: str = "auto",
    report: Reporter | None = None,
    commits: Sequence[str] = (),
    others: Sequence[Path | str] = (),
) -> FeatureCache:
    """Run CLIP's text tower over prompts and cache their embeddings.

    An embedding depends on its text alone, bit for bit. Where `out` holds embeddings of the same CLIP, stored in the
    same way, only new texts are encoded; where it holds these very texts, nothing is loaded or written. Anything else
    is replaced, whatever `cache.on_mismatch` says.

    Args:
        texts: prompts, such as the texts of `prompt_table`; repeats count once.
        out: folder or address of the cache.
        clip: whose text tower; by default the demo's.
        cache: how features are stored.
        device: see `RunSettings.device`.
        report: hears what is done; by default nobody does.
        commits: as `owner/name@commit`: what is taken of a repository on the hub if `clip` names no revision.
        others: caches whose embeddings are taken if they are of this CLIP and `out` holds none of it.

    Returns:
        The cache: (p, d) features of the p distinct texts, raw, in the order in which they first occur.

    Raises:
        CacheError: the cache cannot be written, or another process is writing it.
        EncoderError: the CLIP cannot be loaded, or a prompt is too long for it.
    """
    clip, cache, report = clip or ClipSettings(), cache or CacheSettings(), report or SilentReporter()
    wanted = list(dict.fromkeys(texts))
    there, known = _reusable(out, wanted, clip, cache, report)
    if there and list(known) == wanted:
        report.say(f"{out}: complete, {len(wanted)} prompts; nothing to do")
        return there
    for other in others:
        if there is None:
            there, known = _reusable(other, wanted, clip, cache, report)
    new = [text for text in wanted if text not in known]
    if there and not new:
        described, library, embeddings = dict(there.identity.encoder), there.libraries[0], {}
        conditioning = there.conditioning()
    else:
        encoder = _load(clip, device, recorded_commits(there.libraries[0]) if there else commits)
        described = encoder.describe()
        library = described.pop("library")
        # Weights that came to this machine just now could not be compared before.
        if there and differences(there.identity.encoder, described):
            there, known, new = None, {}, wanted
        embeddings = _encode(encoder, new, f"{out} on {encoder.device}", report)
        conditioning = encoder.conditioning_weights() if isinstance(encoder, ConditioningEncoder) else None
    rows = [there[known[text]] if there and text in known else embeddings[text] for text in wanted]
    with CacheWriter(
        out,
        # A row's path is its text.
        manifest=json_sha256(wanted),
        settings=there.identity.settings if there else clip.text_settings(),
        encoder=described,
        library=library,
        shard_rows=len(wanted),
        dtype=cache.dtype,
        replace=True,
        conditioning=conditioning,
    ) as writer:
        writer.add(np.stack(rows), paths=wanted)
    report.say(f"{out}: {len(wanted)} prompts, {len(new)} of them new")
    return FeatureCache(out)


def _reusable(
    out: Path | str, wanted: Sequence[str], clip: ClipSettings, cache: CacheSettings, report: Reporter
) -> tuple[FeatureCache | None, dict[str, int]]:
    """The cache that is there and its rows by text, if they are what encoding them again would give."""
    store = store_at(out)
    if store.size(INDEX) is None:
        return None, {}
    try:
        there = FeatureCache(store)
        known = {text: row for row, text in enumerate(there.paths())}
        there.conditioning()
    except UntouchableCacheError:
        raise
    except CacheError as error:
        report.say(f"{error} Encoding every prompt again.")
        return None, {}
    # Other texts are no reason to encode the known ones again.
    settings = {**clip.text_settings(), "dtype": cache.dtype, "manifest": there.identity.settings.get("manifest")}
    commits = recorded_commits(there.libraries[0])
    if changed_settings(there.identity, settings, file_hashes(clip, commits)):
        return None, {}
    installed = library_versions(clip)
    if changed := [line for library in there.libraries for line in library_differences(library, installed)]:
        # One shard names one combination of versions.
        if cache.on_other_library == "refuse" or not known.keys() >= set(wanted):
            return None, {}
        report.say(f"{out}: keeping prompts encoded under other library versions: {'; '.join(changed)}")
    return there, known


def _encode(encoder: TextEncoder, texts: Sequence[str], title: str, report: Reporter) -> dict[str, np.ndarray]:
    """Text -> (d,) float32, raw.

    One at a time: matrix products round differently for batches of different sizes, and a text's embedding must not
    depend on which other texts are encoded in the same call.
    """
    embeddings = {}
    with report.bar(title, len(texts), "prompt") as bar:
        for text in texts:
            embeddings[text] = encoder.encode_texts([text])[0].cpu().numpy()
            bar.advance(1)
    return embeddings


def _load(clip: ClipSettings, device: str, commits: Sequence[str]) -> TextEncoder:
    from expclip_cache.encoders import load_backbone
    from expclip_cache.workers import resolve_device

    return load_backbone(clip, resolve_device(device), commits)
