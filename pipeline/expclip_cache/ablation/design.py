"""Which choices are compared: one axis at a time around the centre, or every combination of the axes' values."""

from collections.abc import Sequence
from itertools import product

from expclip_cache.ablation.available import Available
from expclip_cache.ablation.axes import Axis, differ_in_instruction
from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Choice
from expclip_cache.ablation.options import AblationOptions


def one_at_a_time(axes: Sequence[Axis], centre: Choice) -> list[Choice]:
    """The centre and every choice that differs from it on one axis, each with the plain CLIP of its prompts."""
    return _with_clip([centre, *(choice for axis in axes for choice in axis.choices)])


def every_combination(
    study: CachedStudy, axes: Sequence[Axis], centre: Choice, available: Available, options: AblationOptions
) -> list[Choice]:
    """Every combination of the axes' values that the study has a head and prompts for, with plain CLIP.

    A prompt set without any of the chosen prompt types, such as a prompt file, is combined with its highest.
    """
    values = {field: _values(axes, centre, field) for field in Choice._fields}
    # Not from the axes: these have only what can stand in for the centre's.
    heads = [triple for triple in available.heads if _is_varied(study, triple, centre, options)]
    prompts = []
    for name in values["prompts"]:
        known = available.prompt_types[name]
        kinds = [kind for kind in values["prompt_type"] if kind in known] or [max(known)]
        prompts += [(name, kind) for kind in kinds]
    combined = product(heads, values["faces"], prompts, values["aggregation"])
    choices = [
        Choice(backbone, name, kind, how, teacher, head, faces)
        for (backbone, teacher, head), faces, (name, kind), how in combined
    ]
    return _with_clip([*one_at_a_time(axes, centre), *choices])


def _is_varied(study: CachedStudy, triple: tuple[str, str, str], centre: Choice, options: AblationOptions) -> bool:
    """Whether a head differs from the centre's only in what is varied."""
    backbone, teacher, head = triple
    kind = "instruction" if differ_in_instruction(study, teacher, centre.teacher) else "teacher"
    return (
        (backbone == centre.backbone or options.varies("backbone"))
        and (teacher == centre.teacher or options.varies(kind))
        and (head == centre.head or options.varies("head"))
    )


def _values(axes: Sequence[Axis], centre: Choice, field: str) -> list:
    """The values of one field of a choice over all axes; the centre's first."""
    choices = [centre, *(choice for axis in axes for choice in axis.choices)]
    return list(dict.fromkeys(getattr(choice, field) for choice in choices))


def _with_clip(choices: Sequence[Choice]) -> list[Choice]:
    """Each choice once, after the plain CLIP that it is compared with; those with the same head stand together."""
    every = dict.fromkeys(one for choice in choices for one in (choice.clip, choice))
    heads = list(dict.fromkeys(choice.fitted for choice in every))
    return sorted(every, key=lambda choice: heads.index(choice.fitted))
