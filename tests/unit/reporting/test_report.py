"""The short list of numbers that DVC compares."""

import pytest

from expclip_cache.reporting.tables import headline, to_bars, to_metrics
from expclip_cache.scoring.results import Row


def row(dataset: str, kind: int, head: str, clip: float, expclip: float, std: float) -> Row:
    return Row(dataset, kind, head, 100, 0, 3, clip, clip, expclip, std, expclip, std)


ROWS = [
    row("a", 2, "contrastive", 10, 20, 1),
    row("a", 2, "ridge", 10, 30, 0),
    row("a", 5, "contrastive", 40, 50, 2),
    row("a", 5, "ridge", 40, 60, 0),
    row("b", 5, "contrastive", 20, 24, 1),
]


def test_the_highest_prompt_type_and_the_first_fit_stand_for_a_set():
    assert headline(ROWS) == [ROWS[2], ROWS[4]]


def test_means_and_each_set():
    assert to_metrics(ROWS) == {
        "mean": {"uar": pytest.approx(37.0), "gain": pytest.approx(7.0), "std": pytest.approx(1.5)},
        "uar": {"a": 50, "b": 24},
    }


def test_bars():
    assert to_bars(ROWS) == "test_set,uar\na,50.000\nb,24.000\n"
