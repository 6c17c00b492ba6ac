"""What is compared: systems, and the rows of a table of scores."""

from typing import NamedTuple


class System(NamedTuple):
    """What classifies, apart from the prompt type.

    Attributes:
        backbone: name of the CLIP.
        teacher: whose targets the head learned from; empty for plain CLIP.
        head: name of the head; empty for plain CLIP.
        prompts: name of the prompt set.
    """

    backbone: str
    teacher: str
    head: str
    prompts: str


class Row(NamedTuple):
    """What one row of a table of scores is about: a system under a prompt type."""

    system: System
    prompt_type: int

    @property
    def plain_clip(self) -> "Row":
        """Plain CLIP with the same backbone and prompts."""
        return Row(System(self.system.backbone, "", "", self.system.prompts), self.prompt_type)
