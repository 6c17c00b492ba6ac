"""The axes of an ablation: the centre, and for each axis the choices that differ from it in that axis alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar, get_args

from expclip_cache.ablation.available import Available
from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Choice
from expclip_cache.ablation.faces import default_sizes, refuse_too_many
from expclip_cache.ablation.options import AblationOptions, AxisName
from expclip_cache.base import SettingsError
from expclip_cache.heads import ContrastiveSettings
from expclip_cache.prompts import Aggregation

Value = TypeVar("Value", bound=str)


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        name: see `AXES`.
        choices: in the order of the study, or ascending; the centre is among them.
    """

    name: AxisName
    choices: tuple[Choice, ...]


def find_centre(study: CachedStudy, available: Available, options: AblationOptions) -> Choice:
    """The study's first backbone, teacher, head and prompt set with its highest type, unless the options say otherwise.

    Raises:
        SettingsError: the options name a centre that cannot be compared.
    """
    given = options.centre
    heads = [
        triple
        for triple in available.heads
        if all(
            given.get(axis, name) == name for axis, name in zip(("backbone", "teacher", "head"), triple, strict=True)
        )
    ]
    prompts = given.get("prompts", next(iter(available.prompt_types)))
    if not heads or prompts not in available.prompt_types:
        wanted = ", ".join(f"{axis} {name}" for axis, name in given.items())
        known = "; ".join(", ".join(triple) for triple in available.heads)
        raise SettingsError(
            f"--centre: nothing can be compared with {wanted}. Backbone, teacher and head are one of: {known}; prompt "
            f"sets: {', '.join(available.prompt_types)}."
        )
    backbone, teacher, head = heads[0]
    kinds, entry = available.prompt_types[prompts], study.settings.prompts[prompts]
    of_study = [kind for kind in kinds if kind in entry.types] or kinds
    kind = _one_of("prompt-type", given.get("prompt-type", str(max(of_study))), map(str, kinds))
    how: Aggregation = _one_of("aggregation", given.get("aggregation", entry.aggregation), get_args(Aggregation))
    centre = Choice(backbone, prompts, int(kind), how, teacher, head)
    total = len(study.training_rows(backbone, teacher))
    faces = given.get("faces", "all")
    if not faces.isdecimal() and faces != "all":
        raise SettingsError(f"--centre: expected a number of faces or all, found faces={faces}.")
    return centre._replace(faces=refuse_too_many("all" if faces == "all" else int(faces), total))


def find_axes(study: CachedStudy, available: Available, options: AblationOptions, centre: Choice) -> list[Axis]:
    """Every axis that is varied, those with one value included.

    Raises:
        SettingsError: more faces are asked for than there are.
    """
    fitted = available.heads
    teachers = [teacher for backbone, teacher, head in fitted if (backbone, head) == (centre.backbone, centre.head)]
    instructed = [teacher for teacher in teachers if differ_in_instruction(study, teacher, centre.teacher)]
    choices: dict[AxisName, Iterable[Choice]] = {
        "prompt-type": (centre._replace(prompt_type=kind) for kind in available.prompt_types[centre.prompts]),
        "aggregation": (centre._replace(aggregation=how) for how in options.aggregations or get_args(Aggregation)),
        "prompts": (
            centre._replace(prompts=name, prompt_type=centre.prompt_type if centre.prompt_type in kinds else max(kinds))
            for name, kinds in available.prompt_types.items()
        ),
        "backbone": (
            centre._replace(backbone=backbone)
            for backbone, teacher, head in fitted
            if (teacher, head) == (centre.teacher, centre.head)
        ),
        "teacher": (centre._replace(teacher=name) for name in teachers if name not in instructed),
        "instruction": (centre._replace(teacher=name) for name in instructed),
        "head": (
            centre._replace(head=head)
            for backbone, teacher, head in fitted
            if (backbone, teacher) == (centre.backbone, centre.teacher)
        ),
        "faces": (centre._replace(faces=number) for number in _numbers_of_faces(study, available, options, centre)),
    }
    return [Axis(name, _with_centre(name, found, centre)) for name, found in choices.items() if options.varies(name)]


def _with_centre(name: AxisName, choices: Iterable[Choice], centre: Choice) -> tuple[Choice, ...]:
    """The choices, each once, with the centre; numbers ascending, all faces last."""
    found = list(dict.fromkeys(choices))
    found = found if centre in found else [centre, *found]
    if name == "prompt-type":
        found.sort(key=lambda choice: choice.prompt_type)
    if name == "faces":
        found.sort(key=lambda choice: (choice.faces is None, choice.faces))
    return tuple(found)


def without_head(available: Available, options: AblationOptions, centre: Choice) -> list[str]:
    """A line for each backbone, teacher and head that cannot stand in for the centre's: the study has no such head."""
    lines = []
    for place, kind in enumerate(("backbone", "teacher", "head")):
        own = (centre.backbone, centre.teacher, centre.head)
        names = dict.fromkeys(triple[place] for triple in available.heads)
        for name in names if options.varies(kind) else ():
            other = (*own[:place], name, *own[place + 1 :])
            if other not in available.heads:
                backbone, teacher, head = other
                lines.append(
                    f"{kind} {name} is left out of its axis: the study has no head {head} for backbone {backbone} and "
                    f"teacher {teacher}."
                )
    return lines


def differ_in_instruction(study: CachedStudy, teacher: str, other: str) -> bool:
    """Whether two teachers differ in the instruction and nothing else."""
    first, second = study.settings.teachers[teacher], study.settings.teachers[other]
    return first != second and first.model_copy(update={"instruction": second.instruction}) == second


def _numbers_of_faces(
    study: CachedStudy, available: Available, options: AblationOptions, centre: Choice
) -> list[int | None]:
    total = len(study.training_rows(centre.backbone, centre.teacher))
    if options.faces:
        return [refuse_too_many(number, total) for number in options.faces]
    names = {triple[-1] for triple in available.heads} if options.full and options.varies("head") else {centre.head}
    heads = [study.settings.heads[name] for name in names]
    return default_sizes(total, max(head.batch_size if isinstance(head, ContrastiveSettings) else 0 for head in heads))


def _one_of(axis: AxisName, value: str, known: Iterable[Value]) -> Value:
    """The known value that is given."""
    known = list(known)
    if value not in known:
        raise SettingsError(f"--centre: expected {axis} to be one of {', '.join(known)}, found {value!r}.")
    return next(one for one in known if one == value)
