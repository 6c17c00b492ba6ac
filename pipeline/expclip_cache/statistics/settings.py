"""How intervals are computed: `statistics:` in params.yaml."""

from typing import Annotated

from pydantic import Field

from expclip_cache.base import Section


class StatisticsSettings(Section):
    """How intervals are computed.

    Attributes:
        confidence: of every interval, in percent.
        resamples: draws behind every interval.
        seed: of the draws; the same seed gives the same intervals.
    """

    confidence: Annotated[float, Field(gt=0, lt=100)] = 95.0
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    seed: Annotated[int, Field(ge=0)] = 1
