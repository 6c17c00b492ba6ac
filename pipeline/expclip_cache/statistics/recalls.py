"""Intervals of the recall of each class."""

from collections.abc import Collection, Mapping

from expclip_cache.scoring import PredictionFile
from expclip_cache.statistics.bootstrap import Interval, interval_of, score_draws
from expclip_cache.statistics.items import read_answers
from expclip_cache.statistics.outcomes import item_outcomes
from expclip_cache.statistics.settings import StatisticsSettings
from expclip_cache.statistics.system import Row


def recall_intervals(
    files: Mapping[str, PredictionFile], rows: Collection[Row], settings: StatisticsSettings, test_set: str
) -> dict[Row, tuple[Interval | None, ...]]:
    """The intervals of the recall of each class of one test set, from the draws that the interval of UAR is from.

    Args:
        files: backbone -> its predictions for the test set.
        rows: whose recalls.
        settings: of the intervals.
        test_set: its name.

    Returns:
        For each of `rows` c intervals in percent, None for a class without items.

    Raises:
        DataError: a file is damaged, or has no predictions of one of the rows.
    """
    answers = read_answers(files)
    found = {}
    for row in rows:
        one = answers[row]
        draws = score_draws(item_outcomes(one.truth, one.share_right, one.c), settings, test_set)
        found[row] = tuple(
            interval_of(recall, settings) if items else None
            for recall, items in zip(draws.recalls.T, draws.items, strict=True)
        )
    return found
