"""What a `Predictor` returns."""

from dataclasses import dataclass

from expclip_cache.faces import DetectedFace

Ranked = tuple[tuple[str, float], ...]
"""Every class with its percentage (softmax over the classes), in descending order."""


@dataclass(frozen=True)
class Answer:
    """The expression of one face, or of a whole image or clip.

    Attributes:
        expclip: with the head; None without one.
        clip: without it.
        face: the face that was cropped, in a clip on its first frame; None if whole images were used.
        unsure: the top class has less than the predictor's `min_confidence`; it is a best guess.
    """

    expclip: Ranked | None
    clip: Ranked
    face: DetectedFace | None = None
    unsure: bool = False

    @property
    def ranked(self) -> Ranked:
        """With the head if there is one."""
        return self.expclip or self.clip

    @property
    def best(self) -> str:
        """The top class."""
        return self.ranked[0][0]


@dataclass(frozen=True)
class Prediction:
    """The answers for one photo, video or clip.

    Attributes:
        path: of the file or folder; empty for an image in memory.
        answers: one per face, the largest face first; none if there is no answer.
        frames: number of images behind each answer, 1 for a photo.
        reason: why there is no answer; empty if there is one.
    """

    path: str
    answers: tuple[Answer, ...] = ()
    frames: int = 1
    reason: str = ""

    @property
    def best(self) -> str | None:
        """The top class of the largest face; None without an answer."""
        return self.answers[0].best if self.answers else None


@dataclass(frozen=True)
class Moment:
    """What is seen in a video at one time.

    Attributes:
        seconds: from its start.
        answer: of the largest face; None if no face is found.
    """

    seconds: float
    answer: Answer | None

    @property
    def reason(self) -> str:
        """Why there is no answer; empty if there is one."""
        return "" if self.answer else "no face found"
