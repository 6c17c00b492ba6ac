"""Names of the systems of a study, only as long as needed to tell them apart."""

from collections.abc import Iterable

from expclip_cache.scoring import TestSetScores
from expclip_cache.statistics import System

PLAIN_CLIP = "plain CLIP"
"""The name of a backbone without a head; no head can have it, for names in params.yaml have no spaces."""


def system_names(systems: Iterable[System]) -> dict[System, str]:
    """The head, then backbone, teacher and prompt set where there are several.

    >>> heads = [System("b32", "", "", "reference"), System("b32", "blip2", "ridge", "reference")]
    >>> list(system_names(heads).values())
    ['plain CLIP', 'ridge']
    >>> list(system_names([*heads, System("b16", "blip2", "ridge", "reference")]).values())
    ['plain CLIP / b32', 'ridge / b32', 'ridge / b16']
    """
    systems = list(dict.fromkeys(systems))
    several = several_of(systems)
    return {
        system: " / ".join(
            [system.head or PLAIN_CLIP, *(getattr(system, kind) for kind in several if _has(system, kind))]
        )
        for system in systems
    }


def other_models(scores: Iterable[TestSetScores]) -> tuple[str, ...]:
    """The backbones that are not CLIPs of open_clip; their scores without a head are labelled plain CLIP as well."""
    kinds = {found.backbone: found.images["settings"].get("kind", "open-clip") for found in scores}
    return tuple(backbone for backbone, kind in kinds.items() if kind != "open-clip")


def several_of(systems: Iterable[System]) -> tuple[str, ...]:
    """Which of `backbone`, `teacher` and `prompts` differ between some systems; plain CLIP has no teacher."""
    systems = list(systems)
    found = {kind: {getattr(system, kind) for system in systems if _has(system, kind)} for kind in System._fields}
    return tuple(kind for kind in ("backbone", "teacher", "prompts") if len(found[kind]) > 1)


def _has(system: System, kind: str) -> bool:
    return bool(getattr(system, kind))
