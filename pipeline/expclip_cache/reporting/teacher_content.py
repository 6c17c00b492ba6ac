"""What tables and page show of the teachers compared: the rows by name, the chosen one, and each test set's scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from expclip_cache.reporting.system_names import PLAIN_CLIP
from expclip_cache.teachers import (
    LABEL_FREE,
    TeacherResults,
    TeacherRow,
    TestSetRow,
    chosen,
    rank_correlation,
)

MEAN = "mean"
"""The name of the last column of test sets, where there are several."""


@dataclass(frozen=True)
class BackboneTeachers:
    """The teachers compared with one backbone.

    Attributes:
        backbone: its name.
        rows: name -> row, the best mean UAR first.
        chosen: name of the row that the recommended score chooses; empty if there is no such score.
        test_sets: names of the columns; the last is the mean, if there are several.
        scores: name of a row or plain CLIP -> its scores in the order of the columns.
        correlations: label-free score -> its rank correlation with the mean UAR; None if it has none.
    """

    backbone: str
    rows: dict[str, TeacherRow]
    chosen: str
    test_sets: tuple[str, ...]
    scores: dict[str, tuple[TestSetRow, ...]]
    correlations: dict[str, float | None]

    @property
    def clip(self) -> TestSetRow:
        """Plain CLIP's mean over the test sets."""
        return self.scores[PLAIN_CLIP][-1]

    @property
    def best(self) -> TeacherRow:
        """The row with the best mean UAR."""
        return next(iter(self.rows.values()))

    @property
    def any_row(self) -> TeacherRow:
        """One of the rows, for what all have in common."""
        return self.best


def teachers_of(found: TeacherResults) -> list[BackboneTeachers]:
    """The comparison with each backbone."""
    return [_of_backbone(found, backbone) for backbone in found.backbones]


def _of_backbone(found: TeacherResults, backbone: str) -> BackboneTeachers:
    rows = [row for row in found.teachers if row.backbone == backbone]
    tests = [row for row in found.test_sets if row.backbone == backbone]
    names = _names(rows)
    named = {names[row.key]: row for row in sorted(rows, key=lambda row: -row.uar)}
    choice = chosen(rows)
    keys = {PLAIN_CLIP: ("", "", None), **{name: row.key for name, row in named.items()}}
    return BackboneTeachers(
        backbone=backbone,
        rows=named,
        chosen=names[choice.key] if choice else "",
        test_sets=tuple(row.test_set or MEAN for row in tests if not row.teacher),
        scores={name: tuple(row for row in tests if row.key == key) for name, key in keys.items()},
        correlations={score: rank_correlation(rows, score) for score in LABEL_FREE},
    )


def _names(rows: Sequence[TeacherRow]) -> dict[tuple[str, str, float], str]:
    """The teacher, with the state if it has several."""
    several = {row.teacher for row in rows if any(row.teacher == o.teacher and row.key != o.key for o in rows)}
    return {
        row.key: f"{row.teacher} {row.read}@{row.layer:.3g}" if row.teacher in several else row.teacher for row in rows
    }
