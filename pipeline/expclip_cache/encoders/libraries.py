"""Which libraries compute an encoder's features, and in which versions: recorded in a cache, not part of its identity.

Written as "open_clip 3.3.0, torch 2.13.0+cu130, Pillow 13.0.0". Two versions count as equal when they differ only in
what follows a `+`, which names a build. The commits of the repositories on the hub that the files came from follow, as
"owner/name@commit": what counts are the files' hashes.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module, metadata
from typing import Any

from expclip_cache.encoders.kinds.registry import KINDS
from expclip_cache.encoders.llm_settings import LlmModelSettings
from expclip_cache.encoders.settings import ClipSettings

LLM_LIBRARIES = ("transformers", "torch", "Pillow")

VLM_LIBRARIES = ("transformers", "torch", "torchvision", "Pillow")
"""The processors resize with torchvision."""

DISTRIBUTIONS = {"open_clip": "open_clip_torch"}
"""Names in the package index, where they are not the library's own."""

MODULES = {"Pillow": "PIL"}
"""Names to import, where they are not the library's own."""


def clip_libraries(model_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The libraries behind a CLIP.

    Args:
        model_config: `model_cfg` of open_clip_config.json, or an architecture's config in open_clip.
    """
    text, vision = model_config.get("text_cfg", {}), model_config.get("vision_cfg", {})
    names = ["open_clip", "torch", "Pillow"]
    if text.get("hf_tokenizer_name") or text.get("hf_model_name"):
        names.append("transformers")
    if vision.get("timm_model_name"):
        names.append("timm")
    return tuple(names)


def loaded_libraries(names: Iterable[str], commits: Iterable[str] = ()) -> str:
    """Libraries and the versions that they report themselves, and commits, as a cache records them."""
    versions = [f"{name} {import_module(MODULES.get(name, name)).__version__}" for name in names]
    return ", ".join([*versions, *commits])


def library_versions(encoder: ClipSettings | LlmModelSettings) -> dict[str, str]:
    """The libraries that would compute this encoder's features here, and their installed versions.

    Reads package metadata and at most one JSON file: no library is imported, no model is loaded, and the network is
    not used. Where a CLIP's config is not on this machine, only the libraries that every CLIP needs are listed.
    """
    versions = {}
    for name in _needed_libraries(encoder):
        try:
            versions[name] = metadata.version(DISTRIBUTIONS.get(name, name))
        except metadata.PackageNotFoundError:
            continue
    return versions


def _needed_libraries(encoder: ClipSettings | LlmModelSettings) -> tuple[str, ...]:
    from expclip_cache.encoders.clip_files import clip_config

    if isinstance(encoder, LlmModelSettings):
        return LLM_LIBRARIES if encoder.kind == "t5-encoder" else VLM_LIBRARIES
    return KINDS[encoder.kind].libraries or clip_libraries(clip_config(encoder))


def parse_library(text: str) -> dict[str, str]:
    """Read a cache's `library`: name -> version. Parts that are not a name and a version are left out.

    >>> parse_library("open_clip 3.3.0, torch 2.13.0+cu130")
    {'open_clip': '3.3.0', 'torch': '2.13.0+cu130'}
    """
    words = [part.split() for part in text.split(",")]
    return {pair[0]: pair[1] for pair in words if len(pair) == 2}


def recorded_commits(library: str) -> tuple[str, ...]:
    """The commits in a cache's `library`.

    >>> recorded_commits("torch 2.13.0, timm/vit_base_patch32_clip_224.openai@0123abc")
    ('timm/vit_base_patch32_clip_224.openai@0123abc',)
    """
    return tuple(part.strip() for part in library.split(",") if "@" in part)


def library_differences(cached: str, installed: Mapping[str, str]) -> list[str]:
    """One phrase for each library whose version differs; libraries that only one side names are not compared.

    Args:
        cached: `library` of a cache or shard.
        installed: from `library_versions`.

    >>> library_differences("torch 2.11.0+cpu, Pillow 13.0.0", {"torch": "2.13.0+cu130", "Pillow": "13.0.0"})
    ['torch 2.11.0 cached, 2.13.0 installed']
    """
    pairs = [
        (name, _public(then), _public(installed[name]))
        for name, then in parse_library(cached).items()
        if name in installed
    ]
    return [f"{name} {then} cached, {now} installed" for name, then, now in pairs if then != now]


def _public(version: str) -> str:
    return version.partition("+")[0]
