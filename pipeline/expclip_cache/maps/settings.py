"""What a map shows of a test set."""

from typing import Annotated

from pydantic import Field

from expclip_cache.base import Section


class MapSettings(Section):
    """What a map shows of a test set.

    Attributes:
        items: most items that are drawn, see `stratified_sample`.
        seed: of the choice of items and of t-SNE.
    """

    items: Annotated[int, Field(ge=3)] = 2000
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
