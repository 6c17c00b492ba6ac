"""Names of the systems of a study, only as long as needed to tell them apart."""

from collections.abc import Iterable

from expclip_cache.scoring import TestSetScores
from expclip_cache.statistics import System

PLAIN_CLIP = "plain CLIP"
"""The name of a backbone without a head; no head can have it, for names in params.yaml have no spaces."""

OWN_ANSWERS = "answers"
"""What an LLM's own answers are called before their rule; no head can be called `answers, raw`."""


def system_names(systems: Iterable[System]) -> dict[System, str]:
    """The head, then backbone, teacher and prompt set where there are several; of an LLM's own answers the rule.

    >>> heads = [System("b32", "", "", "reference"), System("b32", "blip2", "ridge", "reference")]
    >>> list(system_names(heads).values())
    ['plain CLIP', 'ridge']
    >>> list(system_names([*heads, System("b16", "blip2", "ridge", "reference")]).values())
    ['plain CLIP / b32', 'ridge / b32', 'ridge / b16']
    >>> list(system_names([*heads, System("", "blip2", "calibrated", "")]).values())
    ['plain CLIP', 'ridge', 'answers, calibrated']
    """
    systems = list(dict.fromkeys(systems))
    several, llms = several_of(systems), {system.teacher for system in systems if system.is_own_answers}

    def name(system: System) -> str:
        if system.is_own_answers:
            return f"{OWN_ANSWERS}, {system.head}" + (f" / {system.teacher}" if len(llms) > 1 else "")
        return " / ".join(
            [system.head or PLAIN_CLIP, *(getattr(system, kind) for kind in several if _has(system, kind))]
        )

    return {system: name(system) for system in systems}


def other_models(scores: Iterable[TestSetScores]) -> tuple[str, ...]:
    """The backbones that are not CLIPs of open_clip; their scores without a head are labelled plain CLIP as well."""
    kinds = {found.backbone: found.images["settings"].get("kind", "open-clip") for found in scores}
    return tuple(backbone for backbone, kind in kinds.items() if kind != "open-clip")


def several_of(systems: Iterable[System]) -> tuple[str, ...]:
    """Which of `backbone`, `teacher` and `prompts` differ between systems with a CLIP; a plain one has no teacher."""
    systems = [system for system in systems if not system.is_own_answers]
    found = {kind: {getattr(system, kind) for system in systems if _has(system, kind)} for kind in System._fields}
    return tuple(kind for kind in ("backbone", "teacher", "prompts") if len(found[kind]) > 1)


def _has(system: System, kind: str) -> bool:
    return bool(getattr(system, kind))
