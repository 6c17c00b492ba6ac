"""Choosing among the rows of one backbone without labels, and how well a score would have chosen."""

from collections.abc import Mapping, Sequence

from expclip_cache.teachers.results import TeacherRow

LABEL_FREE: Mapping[str, str] = {
    "agreement": "agreement",
    "balance": "balance",
    "mrr": "MRR",
    "r2": "R²",
    "constant": "constant",
    "rank": "rank",
}
"""Field of a row -> the name of the score in tables."""

RECOMMENDED = "agreement"
"""The score to choose by."""


def chosen(rows: Sequence[TeacherRow]) -> TeacherRow | None:
    """The row with the highest agreement, of equal ones the first; None if there is no agreement to choose by."""
    scored = [row for row in rows if row.agreement is not None]
    return max(scored, key=lambda row: row.agreement or 0.0, default=None)


def rank_correlation(rows: Sequence[TeacherRow], score: str) -> float | None:
    """Spearman's correlation of a label-free score with the mean UAR; None for fewer than three rows or equal values.

    Args:
        rows: of one backbone.
        score: a key of `LABEL_FREE`.
    """
    import numpy as np
    from scipy.stats import rankdata

    values, uars = [getattr(row, score) for row in rows], [row.uar for row in rows]
    if len(rows) < 3 or None in values or len(set(values)) == 1 or len(set(uars)) == 1:
        return None
    return float(np.corrcoef(rankdata(values), rankdata(uars))[0, 1])
