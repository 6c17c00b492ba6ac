"""What is compared: a choice has a value on every axis; a cell is a choice with one draw of the faces and one seed."""

from typing import NamedTuple

from expclip_cache.prompts import Aggregation


class Choice(NamedTuple):
    """A value on every axis.

    Attributes:
        backbone: name of the CLIP.
        prompts: name of the prompt set.
        prompt_type: 1 to 5, or 0 for prompts from a file.
        aggregation: over the prompts of a class.
        teacher: whose targets the head learned from; empty for plain CLIP.
        head: name of the head; empty for plain CLIP.
        faces: unlabelled faces that the head was fitted on; None: all there are, as in the study.
    """

    backbone: str
    prompts: str
    prompt_type: int
    aggregation: Aggregation
    teacher: str = ""
    head: str = ""
    faces: int | None = None

    @property
    def clip(self) -> "Choice":
        """Plain CLIP with the same backbone and prompts."""
        return Choice(self.backbone, self.prompts, self.prompt_type, self.aggregation)

    @property
    def fitted(self) -> "HeadChoice":
        """The part that the head depends on."""
        return HeadChoice(self.backbone, self.teacher, self.head, self.faces)


class HeadChoice(NamedTuple):
    """What the heads of a choice depend on, see `Choice`."""

    backbone: str
    teacher: str
    head: str
    faces: int | None


class Repeat(NamedTuple):
    """What tells the heads of one choice apart.

    Attributes:
        draw: of the faces, from 1; None if all are used.
        seed: of a contrastive head; None for ridge and plain CLIP.
    """

    draw: int | None = None
    seed: int | None = None


class Cell(NamedTuple):
    """One head under one set of prompts."""

    choice: Choice
    repeat: Repeat
