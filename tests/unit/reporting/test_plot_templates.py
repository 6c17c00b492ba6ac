"""The templates of `dvc plots` fit the files that they draw."""

import csv
import json
import re
from pathlib import Path

import pytest
from dvc_render.vega import VegaRenderer

from expclip_cache.heads.results import write_head_results
from expclip_cache.heads.study import StudyHead
from expclip_cache.reporting.score_files import headline_csv
from score_rows import scores_of, study_rows

ROOT = Path(__file__).parents[3]


def filled(template: str, lines: list[dict], x: str, y: str) -> dict:
    """The plot that DVC makes of the lines of a csv file."""
    points = [{**line, "rev": "workspace"} for line in lines]
    renderer = VegaRenderer(
        points, "plot", template=template, template_dir=str(ROOT / ".dvc/plots"), x=x, y=y, title="Title"
    )
    return renderer.get_filled_template()


def fields_of(tree: object) -> set[str]:
    """The fields that the encodings of a plot use."""
    if isinstance(tree, dict):
        own = {tree["field"]} if isinstance(tree.get("field"), str) else set()
        return own.union(*(fields_of(value) for key, value in tree.items() if key != "data"))
    return set().union(*map(fields_of, tree)) if isinstance(tree, list) else set()


def lines_of(text: str) -> list[dict]:
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture
def losses(tmp_path) -> list[dict]:
    fitted = {
        (backbone, "blip2"): [
            StudyHead(name, seed, Path(), {"rows": 4, "losses": [3.0, 2.0]}, fitted=True)
            for name in ("slow", "fast")
            for seed in (1, 2)
        ]
        for backbone in ("b32", "b16")
    }
    write_head_results(tmp_path, fitted, {})
    return lines_of((tmp_path / "loss.csv").read_text())


def test_the_loss_has_a_panel_for_each_fit(losses):
    plot = filled("seeds", losses, "epoch", "loss")
    assert len(plot["data"]["values"]) == 2 * 2 * 2 * 2
    (made,) = plot["transform"]
    assert plot["facet"]["column"]["field"] == made["as"]
    assert set(re.findall(r"datum\.(\w+)", made["calculate"])) <= set(losses[0])
    assert fields_of(plot) - {made["as"], "rev"} == {"epoch", "loss"}
    assert "DVC_METRIC" not in json.dumps(plot)


def test_the_scores_have_a_bar_for_each_test_set_and_system():
    lines = lines_of(headline_csv(scores_of(study_rows(backbones=("b32", "b16")))))
    plot = filled("systems", lines, "uar", "test_set")
    assert len(plot["data"]["values"]) == 3 * 2 * 3
    assert fields_of(plot) - {"rev"} == {"test_set", "uar", "system"}
    assert "DVC_METRIC" not in json.dumps(plot)
