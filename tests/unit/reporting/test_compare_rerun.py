"""Whether a rerun reproduces the results: bit for bit or within a tolerance, and what is printed if it does not."""

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


def test_equal_results_are_identical(pair):
    done = run(pair)
    assert done.exit_code == 0
    assert "identical: 28 result files, bit for bit" in done.stdout


def test_a_changed_score_is_reported_unless_within_the_tolerance(pair):
    change(pair[1], "expclip_uar", 0.25)
    done = run(pair)
    assert done.exit_code == 1
    assert "results/score/demo-grey/metrics.json prompt_type_5.expclip_uar: recorded" in done.stdout
    assert run(pair, "--tolerance", "0.2").exit_code == 1
    done = run(pair, "--tolerance", "0.3")
    assert done.exit_code == 0
    assert "reproduced within 0.3 points; the largest difference is 0.250 points" in done.stdout


def test_the_tolerance_does_not_apply_to_counts(pair):
    change(pair[1], "n", 1)
    found = compare_results(*pair, tolerance=50.0)
    assert [difference.key for difference in found.differences] == ["prompt_type_5.n"]


def test_single_items_matter_only_at_tolerance_0(pair):
    path = pair[1] / "results/train/loss.csv"
    path.write_text(path.read_text().replace("\n1,1,", "\n1,1,9"))
    assert not compare_results(*pair).matches
    assert "line 2" in run(pair).stdout
    assert compare_results(*pair, tolerance=0.001).matches


@pytest.mark.parametrize("side", [0, 1])
def test_a_missing_file_is_a_difference(pair, side):
    (pair[side] / "results/score/demo-clips/metrics.json").unlink()
    found = compare_results(*pair, tolerance=100.0)
    assert [difference.file for difference in found.differences] == ["results/score/demo-clips/metrics.json"]
    assert "(missing)" in str(found.differences[0])


def test_a_folder_without_results_is_refused(pair, tmp_path):
    with pytest.raises(DataError, match="expected result files"):
        compare_results(tmp_path / "nowhere", pair[1])


def test_line_ends_of_another_platform_do_not_matter(pair):
    path = pair[1] / "results/train/metrics.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert compare_results(*pair).identical
