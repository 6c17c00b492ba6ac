"""The scores of a study, one row per test set and system: a head's seeds averaged, plain CLIP, an LLM's answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from expclip_cache.scoring import ScoreRow
from expclip_cache.statistics.bootstrap import Interval, ScoreIntervals
from expclip_cache.statistics.results import Difference, ScoredRow, Statistics
from expclip_cache.statistics.system import Row, System


@dataclass(frozen=True)
class SystemScores:
    """One system on one test set under one prompt type; scores in percent.

    Attributes:
        test_set: name of the dataset; empty for the mean over all test sets.
        backbone, teacher, head, prompts: see `System`.
        prompt_type: 1 to 5, or 0 for prompts from a file and own answers.
        items: scored items.
        skipped: items without features; they are not scored.
        seeds: heads that the scores are the mean of; 0 without a head.
        uar, war: mean over the seeds.
        uar_std, war_std: sample standard deviation over the seeds; 0 for a single head and without one.
        uar_low, uar_high, war_low, war_high: their intervals over the test items.
        clip_uar, clip_war: plain CLIP with the same backbone and prompts; None for own answers.
        gain: UAR minus plain CLIP's, in points; 0 for plain CLIP, None for own answers.
        gain_low, gain_high: its interval over the test items, which both classify; None without a head.
    """

    test_set: str
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    items: int
    skipped: int
    seeds: int
    uar: float
    uar_std: float
    uar_low: float
    uar_high: float
    war: float
    war_std: float
    war_low: float
    war_high: float
    clip_uar: float | None
    clip_war: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None

    @property
    def system(self) -> System:
        """What classified."""
        return System(self.backbone, self.teacher, self.head, self.prompts)

    @property
    def intervals(self) -> ScoreIntervals:
        """The intervals of UAR and WAR over the test items."""
        return ScoreIntervals(Interval(self.uar_low, self.uar_high), Interval(self.war_low, self.war_high))

    @property
    def gain_interval(self) -> Interval | None:
        """The interval of the gain over the test items; None without a head."""
        return None if self.gain_low is None or self.gain_high is None else Interval(self.gain_low, self.gain_high)


def system_scores(rows: Iterable[ScoreRow], statistics: Statistics) -> list[SystemScores]:
    """Average the seeds of each head.

    Args:
        rows: of `TestSetScores.rows` and `AnswerScores.rows`; with each head's rows, those of plain CLIP under the same
            prompts.
        statistics: of the same study.

    Returns:
        One item per test set, system and prompt type, in the order of their first rows.

    Raises:
        DataError: the statistics are of another study.
    """
    groups: dict[tuple[str, Row], list[ScoreRow]] = {}
    for one in rows:
        system = System(one.backbone, one.teacher, one.head, one.prompts)
        groups.setdefault((one.test_set, Row(system, one.prompt_type)), []).append(one)
    found = []
    for (test_set, row), seeds in groups.items():
        uar, war = mean(one.uar for one in seeds), mean(one.war for one in seeds)
        (clip,) = [None] if row.system.is_own_answers else groups[test_set, row.plain_clip]
        scored = statistics.scored(test_set, "test set", row)
        gain = statistics.difference(test_set, "test set", row, row.plain_clip) if row.system.has_head else None
        found.append(
            replace(
                _scores(scored, clip, gain),
                test_set=test_set,
                skipped=seeds[0].skipped,
                uar=uar,
                uar_std=standard_deviation([one.uar for one in seeds]),
                war=war,
                war_std=standard_deviation([one.war for one in seeds]),
                gain=uar - clip.uar if clip else None,
            )
        )
    return found


def mean_scores(scores: Sequence[SystemScores], statistics: Statistics) -> list[SystemScores]:
    """The means over all test sets, with `test_set` empty; none if there is only one test set.

    Args:
        scores: of the study.
        statistics: of the same study.

    Raises:
        DataError: the statistics are of another study.
    """
    if len({one.test_set for one in scores}) == 1:
        return []
    found = []
    for row in dict.fromkeys(Row(one.system, one.prompt_type) for one in scores):
        scored = statistics.scored("", "mean", row)
        clip = None if row.system.is_own_answers else statistics.scored("", "mean", row.plain_clip)
        gain = statistics.difference("", "mean", row, row.plain_clip) if row.system.has_head else None
        found.append(_scores(scored, clip, gain))
    return found


def _scores(scored: ScoredRow, clip: ScoreRow | ScoredRow | None, gain: Difference | None) -> SystemScores:
    return SystemScores(
        test_set=scored.test_set,
        backbone=scored.backbone,
        teacher=scored.teacher,
        head=scored.head,
        prompts=scored.prompts,
        prompt_type=scored.prompt_type,
        items=scored.items,
        skipped=0,
        seeds=scored.seeds,
        uar=scored.uar,
        uar_std=scored.uar_std,
        uar_low=scored.uar_low,
        uar_high=scored.uar_high,
        war=scored.war,
        war_std=scored.war_std,
        war_low=scored.war_low,
        war_high=scored.war_high,
        clip_uar=clip and clip.uar,
        clip_war=clip and clip.war,
        gain=gain.uar if gain else clip and 0.0,
        gain_low=gain and gain.uar_low,
        gain_high=gain and gain.uar_high,
    )


class _Prompted(Protocol):
    @property
    def prompts(self) -> str: ...

    @property
    def prompt_type(self) -> int: ...


Prompted = TypeVar("Prompted", bound=_Prompted)


def under_highest_type(rows: Sequence[Prompted]) -> list[Prompted]:
    """The rows under the highest prompt type of each prompt set."""
    highest: dict[str, int] = {}
    for row in rows:
        highest[row.prompts] = max(row.prompt_type, highest.get(row.prompts, 0))
    return [row for row in rows if row.prompt_type == highest[row.prompts]]


def mean(values: Iterable[float]) -> float:
    """The mean of some numbers."""
    return float(np.mean(list(values)))


def standard_deviation(values: Sequence[float]) -> float:
    """The sample standard deviation; 0 for a single number."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
