"""The values of the axes in words."""

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Choice
from expclip_cache.ablation.options import AxisName
from expclip_cache.reporting import type_name

TITLES: dict[AxisName, str] = {
    "prompt-type": "Prompt type",
    "aggregation": "Aggregation",
    "prompts": "Prompt set",
    "backbone": "Backbone",
    "teacher": "Teacher",
    "instruction": "Instruction",
    "head": "Head",
    "faces": "Number of faces",
}

ABOUT: dict[AxisName, str] = {
    "prompt-type": "Which of the reference's five prompt types describes the classes. Types 1 to 3 are single prompts, "
    "4 an ensemble of five, 5 of ten.",
    "aggregation": "How the similarities to a class's prompts become one score: their mean, the similarity to the mean "
    "prompt at unit length, or the largest.",
    "prompts": "Which prompt set describes the classes.",
    "backbone": "Which frozen CLIP encodes images and prompts.",
    "teacher": "Which frozen language model's states the head learns to predict.",
    "instruction": "What the teacher is asked about each face; it is the same model otherwise.",
    "head": "How the projection head is fitted.",
    "faces": "How many unlabelled faces the head is fitted on. Each number is drawn several times; the faces of a draw "
    "are among those of its larger numbers.",
}


def number_of_faces(study: CachedStudy, choice: Choice) -> int:
    """How many faces the heads of a choice are fitted on."""
    return choice.faces or len(study.training_rows(choice.backbone, choice.teacher))


def value_of(study: CachedStudy, axis: AxisName, choice: Choice) -> str:
    """A choice's value on an axis: name, number or text."""
    if axis == "instruction":
        return study.settings.teachers[choice.teacher].instruction
    if axis == "faces":
        return str(number_of_faces(study, choice))
    return str(getattr(choice, axis.replace("-", "_")))


def shown_value(study: CachedStudy, axis: AxisName, choice: Choice) -> str:
    """The same as the page shows it."""
    if axis == "prompt-type":
        return type_name(choice.prompt_type)
    if axis == "faces":
        return f"{number_of_faces(study, choice):,}{'' if choice.faces else ' (all)'}"
    return value_of(study, axis, choice)
