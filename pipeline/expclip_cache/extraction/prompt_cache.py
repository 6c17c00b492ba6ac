"""Cache the text tower's embeddings of prompts, in the same format as images: one row per distinct text."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from expclip_cache.cache import CacheSettings, CacheWriter, FeatureCache, Json, canonical_json
from expclip_cache.encoders import ClipSettings

if TYPE_CHECKING:
    import torch


class TextEncoder(Protocol):
    """A frozen text encoder, loaded."""

    def describe(self) -> dict[str, Json]:
        """What is known only once it is loaded."""
        ...

    def encode_texts(self, texts: list[str]) -> "torch.Tensor":
        """P texts -> (p, d) float32, raw."""
        ...


def encode_prompts(
    texts: Sequence[str],
    out: Path | str,
    clip: ClipSettings | None = None,
    cache: CacheSettings | None = None,
    device: str = "auto",
) -> FeatureCache:
    """Run CLIP's text tower over prompts and cache their embeddings, replacing what is there.

    Args:
        texts: prompts, such as the texts of `prompt_table`; repeats count once.
        out: folder or address of the cache.
        clip: whose text tower; by default the demo's.
        cache: how features are stored.
        device: see `RunSettings.device`.

    Returns:
        The cache: (p, d) features of the p distinct texts, raw.

    Raises:
        CacheError: the cache cannot be written, or another process is writing it.
        EncoderError: the CLIP cannot be loaded, or a prompt is too long for it.
    """
    from expclip_cache.encoders import load_clip
    from expclip_cache.workers import resolve_device

    clip = clip or ClipSettings()
    return write_prompt_cache(
        texts, load_clip(clip, resolve_device(device)), clip.text_settings(), out, cache or CacheSettings()
    )


def write_prompt_cache(
    texts: Sequence[str],
    encoder: TextEncoder,
    settings: Mapping[str, Json],
    out: Path | str,
    cache: CacheSettings,
) -> FeatureCache:
    """Encode texts and write them as a cache of one shard; see `encode_prompts`.

    Args:
        settings: see `ClipSettings.text_settings`.
    """
    distinct = list(dict.fromkeys(texts))
    described = encoder.describe()
    library = described.pop("library")
    with CacheWriter(
        out,
        # A row's path is its text.
        manifest=hashlib.sha256(canonical_json(distinct)).hexdigest(),
        settings=settings,
        encoder=described,
        library=library,
        shard_rows=len(distinct),
        dtype=cache.dtype,
        replace=True,
    ) as writer:
        writer.add(encoder.encode_texts(distinct).cpu().numpy(), paths=distinct)
    return FeatureCache(out)
