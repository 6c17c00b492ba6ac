"""What the tiny BLIP-2 is asked: instructions in several wordings, and the question for the expression."""

from dataclasses import dataclass
from typing import Literal, get_args

from expclip_cache.demo import EXPRESSIONS, RandomStream
from expclip_cache.encoders import LlmSettings

Topic = Literal["action", "appearance", "background", "caption", "expression"]
"""What an answer is about; a caption is the answer to no instruction."""

TOPICS: tuple[Topic, ...] = get_args(Topic)


@dataclass(frozen=True)
class Wordings:
    """The wordings of one instruction.

    Attributes:
        main: the one that the demo uses.
        trained: other wordings in the training.
        held_out: a wording that was never trained on.
    """

    main: str
    trained: tuple[str, ...]
    held_out: str


INSTRUCTIONS: dict[Topic, Wordings] = {
    "action": Wordings(
        LlmSettings().instruction,
        (
            "Describe the facial actions of the person in the image.",
            "You are a facial action describer. Describe objectively what the face in the image does.",
            "List the detailed facial actions that are visible in the image.",
            "Please describe the facial actions in the image in detail.",
            "What do the brows, eyes and mouth of the person do?",
        ),
        "Please describe objectively which facial actions the person in the image shows.",
    ),
    "appearance": Wordings(
        "Describe the appearance of the person in the image.",
        (
            "What does the person in the image look like?",
            "Please play the role of an observer. Objectively describe the appearance of the person in the image.",
            "Describe the hair, age and clothes of the person.",
            "Give a detailed description of the appearance of the person.",
        ),
        "Please describe in detail what the person in the image looks like.",
    ),
    "background": Wordings(
        "Describe the background of the image.",
        (
            "Where is the person in the image?",
            "Please play the role of an observer. Objectively describe the background of the image.",
            "Describe the place and the light.",
            "Give a detailed description of the background.",
        ),
        "Please describe in detail the background of this image.",
    ),
    "caption": Wordings("", (), ""),
}
"""Instructions by what they ask for. The first is the reference's."""

QUESTIONS = (
    "Question: which expression does the person in the image show? Options: {}. Answer:",
    "Question: what is the expression of the face in the image? Options: {}. Answer:",
    "Which expression does the face show? Choose one of: {}. Answer:",
    "What is the facial expression of the person in the image? Options: {}.",
)
HELD_OUT_QUESTION = "Question: what expression does the face of the person show? Choose one of: {}. Answer:"


def draw_instruction(topic: Topic, rng: RandomStream) -> str:
    """A wording from the training: in half of the cases the main one; for questions, the options in any order."""
    if topic == "expression":
        return ask_expression(rng.choose(QUESTIONS), rng)
    wordings = INSTRUCTIONS[topic]
    if not wordings.trained or rng.chance(0.5):
        return wordings.main
    return rng.choose(wordings.trained)


def ask_expression(question: str, rng: RandomStream) -> str:
    """The question with the names of the classes in a random order."""
    return question.format(", ".join(sorted(EXPRESSIONS, key=lambda _: rng.uniform(0.0, 1.0))))
