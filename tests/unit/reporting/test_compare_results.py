"""Whether a rerun matches: same bits, within points, and what is printed when it does not."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expclip_cache.base.errors import DataError
from expclip_cache.commands.app import app
from expclip_cache.reporting.rerun import compare_results
from sample_results import write_results


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    for name in ("recorded", "rerun"):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name, items=70)
    return tmp_path / "recorded", tmp_path / "rerun"


def change(root: Path, key: str, by: float) -> None:
    path = root / "results/score/demo-grey/metrics.json"
    tree = json.loads(path.read_text())
    tree["prompt_type_5"][key] += by
    path.write_text(json.dumps(tree, indent=2) + "\n")


def run(pair, *options: str):
    return CliRunner().invoke(app, ["compare-results", *map(str, pair), *options], catch_exceptions=False)


def test_equal_results(pair):
    done = run(pair)
    assert done.exit_code == 0
    assert "the same: 18 result files, bit for bit" in done.stdout


def test_a_score_that_moved(pair):
    change(pair[1], "expclip_uar", 0.25)
    done = run(pair)
    assert done.exit_code == 1
    assert "results/score/demo-grey/metrics.json prompt_type_5.expclip_uar: recorded" in done.stdout
    assert run(pair, "--tolerance", "0.2").exit_code == 1
    done = run(pair, "--tolerance", "0.3")
    assert done.exit_code == 0
    assert "the same within 0.3 points; the largest difference is 0.250" in done.stdout


def test_counts_have_no_tolerance(pair):
    change(pair[1], "n", 1)
    verdict = compare_results(*pair, tolerance=50.0)
    assert [difference.key for difference in verdict.differences] == ["prompt_type_5.n"]


def test_single_items_count_at_tolerance_0_alone(pair):
    path = pair[1] / "results/train/loss.csv"
    path.write_text(path.read_text().replace("\n1,1,", "\n1,1,9"))
    assert not compare_results(*pair).matches
    assert "line 2" in run(pair).stdout
    assert compare_results(*pair, tolerance=0.001).matches


@pytest.mark.parametrize("side", [0, 1])
def test_a_missing_file(pair, side):
    (pair[side] / "results/score/demo-clips/metrics.json").unlink()
    verdict = compare_results(*pair, tolerance=100.0)
    assert [difference.file for difference in verdict.differences] == ["results/score/demo-clips/metrics.json"]
    assert "(missing)" in str(verdict.differences[0])


def test_nothing_recorded(pair, tmp_path):
    with pytest.raises(DataError, match="expected result files"):
        compare_results(tmp_path / "nowhere", pair[1])


def test_line_ends_of_another_platform_are_no_difference(pair):
    path = pair[1] / "results/train/metrics.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert compare_results(*pair).identical
