"""Which datasets are scored: `score:` in params.yaml."""

from typing import Annotated

from pydantic import Field

from expclip_cache.base import Name, Section


class ScoreSettings(Section):
    """Which datasets are scored.

    Attributes:
        datasets: keys of `datasets:`; the report lists them in this order.
    """

    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]
