"""Which prompts describe the classes: `prompts:` in params.yaml."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from expclip_cache.base import Section

Aggregation = Literal["mean", "renorm_mean", "nearest"]
"""How the similarities to a class's prompts become one score, see `scoring.PromptIndex`."""


def _known_set(value: str) -> str:
    if value not in ("reference", "clean") and not value.endswith((".yaml", ".yml")):
        raise ValueError(f"expected reference, clean, or a prompt file such as my-prompts.yaml, found {value!r}")
    return value


class PromptSettings(Section):
    """Which prompts describe the classes, and how the prompts of a class are aggregated.

    Attributes:
        set: `reference`, `clean`, or the path of a prompt file.
        types: prompt types 1 to 5, for the two built-in sets.
        aggregation: see `Aggregation`.
        backbones: that are scored with them; all if none is named.
    """

    set: Annotated[str, AfterValidator(_known_set)] = "reference"
    types: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (2, 5)
    aggregation: Aggregation = "mean"
    backbones: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether `set` is the path of a prompt file."""
        return self.set.endswith((".yaml", ".yml"))
