"""What an ablation varies: the options of `expclip-cache ablate`."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from expclip_cache.base import Name, Section, SettingsError
from expclip_cache.prompts import Aggregation

AxisName = Literal["prompt-type", "aggregation", "prompts", "backbone", "teacher", "instruction", "head", "faces"]

AXES: tuple[AxisName, ...] = get_args(AxisName)
"""What can be varied, in the order of the page."""

Faces = Annotated[int, Field(ge=2)] | Literal["all"]
"""Number of unlabelled training faces that a head is fitted on."""


class AblationOptions(Section):
    """What an ablation varies. Empty: every value that the study has and whose features are cached.

    Attributes:
        axes: what is varied; everything else keeps its value at the centre.
        full: every combination of the values; otherwise one axis at a time is varied.
        centre: axis -> value, for those that are not the study's first.
        prompt_types, aggregations, prompts, backbones, teachers, heads, faces: the values of an axis; the centre's
            always belongs to them.
        draws: how often faces are drawn for each of their numbers.
        seeds: contrastive heads that are fitted on each draw: as many of the head's seeds, from the first.
    """

    axes: tuple[AxisName, ...] = ()
    full: bool = False
    centre: dict[AxisName, str] = Field(default_factory=dict)
    prompt_types: tuple[Annotated[int, Field(ge=1, le=5)], ...] = ()
    aggregations: tuple[Aggregation, ...] = ()
    prompts: tuple[Name, ...] = ()
    backbones: tuple[Name, ...] = ()
    teachers: tuple[Name, ...] = ()
    heads: tuple[Name, ...] = ()
    faces: tuple[Faces, ...] = ()
    draws: Annotated[int, Field(ge=1)] = 3
    seeds: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _centre_names_a_teacher_once(self) -> Self:
        if "instruction" in self.centre:
            raise ValueError("an instruction belongs to a teacher, so name that: --centre teacher=NAME")
        return self

    def varies(self, axis: AxisName) -> bool:
        """Whether an axis is varied."""
        return axis in (self.axes or AXES)


def parse_faces(entries: Iterable[str]) -> list[int | str]:
    """Numbers of faces from the command line.

    >>> parse_faces(["100", "all"])
    [100, 'all']

    Raises:
        SettingsError: an entry is neither a whole number from 2 nor `all`.
    """
    found: list[int | str] = []
    for entry in entries:
        if entry != "all" and not (entry.isdecimal() and int(entry) >= 2):
            raise SettingsError(f"--faces: expected whole numbers from 2, or all, found {entry!r}.")
        found.append(entry if entry == "all" else int(entry))
    return found


def parse_centre(entries: Sequence[str]) -> dict[str, str]:
    """Axes and their values at the centre from the command line.

    >>> parse_centre(["head=ridge", "prompt-type=2"])
    {'head': 'ridge', 'prompt-type': '2'}

    Raises:
        SettingsError: an entry is not an axis and a value.
    """
    found = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    for entry in entries:
        if entry.partition("=")[0] not in AXES or "=" not in entry:
            raise SettingsError(f"--centre: expected AXIS=VALUE with an axis of {', '.join(AXES)}, found {entry!r}.")
    return found
