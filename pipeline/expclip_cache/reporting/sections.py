"""Which systems stand side by side in one table: the heads of one backbone, teacher and prompt set."""

from collections.abc import Iterable
from dataclasses import dataclass

from expclip_cache.reporting.system_names import several_of
from expclip_cache.statistics import System

WORDS = {"backbone": "backbone", "teacher": "teacher", "prompts": "prompt set"}


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        title: names backbone, teacher and prompt set where the study has several; may be empty.
        clip: plain CLIP with this backbone and prompt set.
        heads: in the order of the study; empty for a backbone without a head.
    """

    title: str
    clip: System
    heads: tuple[System, ...]


def sections_of(systems: Iterable[System]) -> list[Section]:
    """Every system with a CLIP in a section, with its plain CLIP, ordered by backbone, teacher and prompt set."""
    systems = [system for system in dict.fromkeys(systems) if not system.is_own_answers]
    several = several_of(systems)
    sections = []
    for backbone in dict.fromkeys(system.backbone for system in systems):
        own = [system for system in systems if system.backbone == backbone]
        for teacher in dict.fromkeys(system.teacher for system in own if system.head) or [""]:
            for prompts in dict.fromkeys(system.prompts for system in own):
                words = {"backbone": backbone, "teacher": teacher, "prompts": prompts}
                title = ", ".join(f"{WORDS[kind]} {words[kind]}" for kind in several if words[kind])
                heads = (system for system in own if (system.teacher, system.prompts) == (teacher, prompts))
                clip = System(backbone, "", "", prompts)
                sections.append(Section(title, clip, tuple(system for system in heads if system.head)))
    return sections
