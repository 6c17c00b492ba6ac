"""The headline numbers that DVC compares."""

import pytest

from expclip_cache.reporting.score_tables import headline_csv, headline_metrics, headline_rows
from expclip_cache.scoring.results import ScoreRow


def row(dataset: str, kind: int, head: str, clip: float, expclip: float, std: float) -> ScoreRow:
    return ScoreRow(
        dataset=dataset,
        prompt_type=kind,
        head=head,
        n=100,
        skipped=0,
        seeds=3,
        clip_uar=clip,
        clip_war=clip,
        expclip_uar=expclip,
        expclip_uar_std=std,
        expclip_war=expclip,
        expclip_war_std=std,
    )


ROWS = [
    row("a", 2, "contrastive", 10, 20, 1),
    row("a", 2, "ridge", 10, 30, 0),
    row("a", 5, "contrastive", 40, 50, 2),
    row("a", 5, "ridge", 40, 60, 0),
    row("b", 5, "contrastive", 20, 24, 1),
]


def test_a_set_is_represented_by_its_highest_prompt_type_and_first_kind_of_head():
    assert headline_rows(ROWS) == [ROWS[2], ROWS[4]]


def test_means_and_the_uar_of_each_set():
    assert headline_metrics(ROWS) == {
        "mean": {"uar": pytest.approx(37.0), "gain": pytest.approx(7.0), "std": pytest.approx(1.5)},
        "uar": {"a": 50, "b": 24},
    }


def test_bar_plot_csv():
    assert headline_csv(ROWS) == "test_set,uar\na,50.000\nb,24.000\n"
