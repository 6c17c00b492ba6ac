"""What is compared: systems, and the rows of a table of scores."""

from typing import NamedTuple


class System(NamedTuple):
    """What classifies, apart from the prompt type: plain CLIP, Exp-CLIP with a head, or an LLM by its own answers.

    Attributes:
        backbone: name of the CLIP; empty for own answers.
        teacher: whose targets the head learned from, or the LLM that answers; empty for plain CLIP.
        head: name of the head, or the rule of own answers; empty for plain CLIP.
        prompts: name of the prompt set; empty for own answers.
    """

    backbone: str
    teacher: str
    head: str
    prompts: str

    @property
    def is_own_answers(self) -> bool:
        """Whether an LLM answers by itself, without a CLIP."""
        return not self.backbone

    @property
    def has_head(self) -> bool:
        """Whether a CLIP is followed by a head, as in Exp-CLIP."""
        return bool(self.backbone and self.head)


class Row(NamedTuple):
    """What one row of a table of scores is about: a system under a prompt type."""

    system: System
    prompt_type: int

    @property
    def plain_clip(self) -> "Row":
        """Plain CLIP with the same backbone and prompts; own answers have none."""
        return Row(System(self.system.backbone, "", "", self.system.prompts), self.prompt_type)
