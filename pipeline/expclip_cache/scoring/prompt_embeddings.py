"""Cached prompt embeddings: look them up by text, stack them for a set of classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from expclip_cache.base import CacheError
from expclip_cache.cache import FeatureCache, differences
from expclip_cache.prompts import Prompt
from expclip_cache.scoring.text_conditioning import TextConditioning


@dataclass(frozen=True, eq=False)
class PromptEmbeddings(Mapping[str, np.ndarray]):
    """Text -> (d,) float32 embedding, raw, not L2-normalised.

    Attributes:
        by_text: the embeddings.
        conditioning: how an item changes them, if it does.
    """

    by_text: Mapping[str, np.ndarray]
    conditioning: TextConditioning | None = None

    @override
    def __getitem__(self, text: str) -> np.ndarray:
        return self.by_text[text]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self.by_text)

    @override
    def __len__(self) -> int:
        return len(self.by_text)


def embeddings_by_text(prompts: FeatureCache) -> PromptEmbeddings:
    """The embeddings in a cache of prompts.

    Raises:
        CacheError: a shard is missing or damaged, or the file of weights that condition the texts.
    """
    weights = prompts.conditioning()
    return PromptEmbeddings(
        dict(zip(prompts.paths(), prompts[:].astype(np.float32), strict=True)),
        None if weights is None else TextConditioning(weights),
    )


def stack_prompts(
    prompts: Sequence[Prompt], classes: Sequence[str], embeddings: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The two arrays that a `PromptIndex` is built from.

    Args:
        prompts: p prompts of `classes`.
        classes: c class names.
        embeddings: text -> (d,) embedding.

    Returns:
        (p, d) raw embeddings and (p,) int64 class numbers.

    Raises:
        CacheError: a prompt has no embedding.
    """
    missing = [prompt for prompt in prompts if prompt.text not in embeddings]
    if missing:
        raise CacheError(
            f"the prompt cache has no embedding of {missing[0].text!r} ({len(missing)} of {len(prompts)} prompts"
            f"{f' of type {missing[0].type}' if missing[0].type else ''} are missing). Encode the prompts again."
        )
    vectors = np.stack([embeddings[prompt.text] for prompt in prompts])
    return vectors, np.array([classes.index(prompt.class_name) for prompt in prompts])


def refuse_other_clip(images: FeatureCache, prompts: FeatureCache) -> None:
    """Make sure that images and prompts were encoded with the same CLIP.

    Raises:
        CacheError: they were not; the message says what differs.
    """
    changed = differences(images.identity.encoder, prompts.identity.encoder, ("images", "prompts"))
    if changed:
        raise CacheError(
            f"{images} and {prompts} were encoded with different CLIPs, so their features cannot be compared:\n  "
            + "\n  ".join(changed)
            + "\nEncode both with the same CLIP."
        )
