"""Stand-ins until `expclip_cache.statistics` lands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """low, high."""

    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class ScoreIntervals:
    """UAR and WAR."""

    uar: Interval
    war: Interval
