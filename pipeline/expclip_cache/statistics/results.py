"""The statistics of a study: every score with its intervals, every controlled pair of systems with its tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from expclip_cache.base import DataError
from expclip_cache.statistics.bootstrap import Interval, ScoreIntervals
from expclip_cache.statistics.fold_groups import Part
from expclip_cache.statistics.settings import StatisticsSettings
from expclip_cache.statistics.system import Row, System


@dataclass(frozen=True)
class ScoredRow:
    """One system on one test set, on all folds of a set, or over all test sets; scores in percent.

    Attributes:
        test_set: name of the dataset, of the set whose folds they are, or empty for the mean over all test sets.
        part: see `Part`.
        backbone, teacher, head, prompts, prompt_type: see `System`.
        items: scored items.
        seeds: heads that the scores are the mean of; 0 without a head.
        uar, war: mean over the seeds.
        uar_low, uar_high, war_low, war_high: their intervals over test items, for these heads.
        uar_std, war_std: sample standard deviation over the seeds, for these items; 0 for a single head.
    """

    test_set: str
    part: Part
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    items: int
    seeds: int
    uar: float
    uar_low: float
    uar_high: float
    uar_std: float
    war: float
    war_low: float
    war_high: float
    war_std: float

    @property
    def row(self) -> Row:
        """What was scored."""
        return Row(System(self.backbone, self.teacher, self.head, self.prompts), self.prompt_type)

    @property
    def intervals(self) -> ScoreIntervals:
        """The intervals over test items."""
        return ScoreIntervals(Interval(self.uar_low, self.uar_high), Interval(self.war_low, self.war_high))


@dataclass(frozen=True)
class ClassRecall:
    """The recall of one class with one system on one test set, in percent.

    Attributes:
        test_set: name of the dataset.
        backbone, teacher, head, prompts, prompt_type: see `System`.
        class_name: of the class.
        items: its test items.
        recall: mean over the seeds; None without test items.
        recall_low, recall_high: its interval over test items, for these heads.
    """

    test_set: str
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    class_name: str
    items: int
    recall: float | None
    recall_low: float | None
    recall_high: float | None

    @property
    def row(self) -> Row:
        """What was scored."""
        return Row(System(self.backbone, self.teacher, self.head, self.prompts), self.prompt_type)

    @property
    def interval(self) -> Interval | None:
        """The interval over test items; None without any."""
        if self.recall_low is None or self.recall_high is None:
            return None
        return Interval(self.recall_low, self.recall_high)


@dataclass(frozen=True)
class Difference:
    """One system minus another on the same items, in points.

    Attributes:
        test_set, part: see `ScoredRow`.
        backbone, teacher, head, prompts, prompt_type: the system.
        against_backbone, against_teacher, against_head, against_prompts, against_prompt_type: the other one.
        items: items that both have.
        uar, uar_low, uar_high, war, war_low, war_high: the differences and their intervals over test items.
        only_this_right, only_other_right: items that only one of them classifies correctly, for the pair of seeds with
            the largest p; None for a mean over folds or test sets, which has no items of its own.
        mcnemar_p: of McNemar's exact test, the largest over all pairs of seeds.
        holm_p: the same corrected for the number of test sets; None for a single fold of a set with all its folds.
    """

    test_set: str
    part: Part
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    against_backbone: str
    against_teacher: str
    against_head: str
    against_prompts: str
    against_prompt_type: int
    items: int
    uar: float
    uar_low: float
    uar_high: float
    war: float
    war_low: float
    war_high: float
    only_this_right: int | None
    only_other_right: int | None
    mcnemar_p: float | None
    holm_p: float | None

    @property
    def row(self) -> Row:
        """The system."""
        return Row(System(self.backbone, self.teacher, self.head, self.prompts), self.prompt_type)

    @property
    def against(self) -> Row:
        """The other one."""
        other = System(self.against_backbone, self.against_teacher, self.against_head, self.against_prompts)
        return Row(other, self.against_prompt_type)

    @property
    def intervals(self) -> ScoreIntervals:
        """The intervals over test items."""
        return ScoreIntervals(Interval(self.uar_low, self.uar_high), Interval(self.war_low, self.war_high))


Found = TypeVar("Found")


@dataclass(frozen=True)
class Statistics:
    """The statistics of a study.

    Attributes:
        settings: of the intervals.
        rows: every row of every group of test sets.
        recalls: of every class in every row of every test set.
        differences: every controlled pair of rows of every group.
    """

    settings: StatisticsSettings
    rows: tuple[ScoredRow, ...]
    recalls: tuple[ClassRecall, ...]
    differences: tuple[Difference, ...]

    def scored(self, test_set: str, part: Part | Literal["test set"], row: Row) -> ScoredRow:
        """One row.

        Args:
            test_set: see `ScoredRow`.
            part: see `Part`; `test set` is a set without folds or a single fold.
            row: what was scored.

        Raises:
            DataError: there is none.
        """
        return self._found(self._by_row, (test_set, part, row))

    def difference(self, test_set: str, part: Part | Literal["test set"], row: Row, against: Row) -> Difference:
        """One pair, see `scored`.

        Raises:
            DataError: there is none.
        """
        return self._found(self._by_pair, (test_set, part, row, against))

    def recall_intervals(self, test_set: str, row: Row) -> tuple[Interval | None, ...]:
        """The intervals of the recalls of a test set's classes, in their order; None for a class without items.

        Raises:
            DataError: there are none.
        """
        return self._found(self._recalls_by_row, (test_set, "test set", row))

    @cached_property
    def _recalls_by_row(self) -> dict[tuple[object, ...], tuple[Interval | None, ...]]:
        found: dict[tuple[object, ...], tuple[Interval | None, ...]] = {}
        for one in self.recalls:
            key = one.test_set, "test set", one.row
            found[key] = (*found.get(key, ()), one.interval)
        return found

    @cached_property
    def _by_row(self) -> dict[tuple[object, ...], ScoredRow]:
        return {(one.test_set, part, one.row): one for one in self.rows for part in _parts(one)}

    @cached_property
    def _by_pair(self) -> dict[tuple[object, ...], Difference]:
        return {(one.test_set, part, one.row, one.against): one for one in self.differences for part in _parts(one)}

    @staticmethod
    def _found(lines: Mapping[tuple[object, ...], Found], key: tuple[object, ...]) -> Found:
        if key not in lines:
            raise DataError(
                f"results/statistics: expected {key[0] or 'the mean over all sets'} "
                f"with {key[2:]}, found other rows. They are of another study; run `dvc repro`."
            )
        return lines[key]


def _parts(line: ScoredRow | Difference) -> tuple[str, ...]:
    return (line.part, "test set") if line.part in ("whole", "fold") else (line.part,)
