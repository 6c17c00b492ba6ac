"""`dvc exp run -S` rewrites params.yaml: of a preset it changes the lines of what it sets, and no other."""

import shutil
from difflib import ndiff
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from expclip_cache.datasets import DatasetSettings
from expclip_cache.settings.presets import adapt_preset

ROOT = Path(__file__).parents[3]
PRESETS = ["params.yaml", "configs/demo.yaml", "configs/paper.yaml"]


def changes(file: Path, override: str) -> list[str]:
    """The lines that an override removes (`- `) and adds (`+ `)."""
    before = file.read_text().splitlines()
    apply_overrides(file, [override])
    return [line for line in ndiff(before, file.read_text().splitlines()) if line[:2] in ("- ", "+ ")]


@pytest.fixture(params=PRESETS)
def preset(request, tmp_path):
    return shutil.copy(ROOT / request.param, tmp_path / "params.yaml")


def test_a_number_changes_one_line(preset):
    (removed, added) = changes(preset, "heads.ridge.tolerance=0.25")
    assert removed.startswith("-     tolerance: 0.03 ")
    assert added == removed.replace("-", "+", 1).replace("0.03", "0.25")


def test_a_list_changes_its_own_lines(preset):
    assert changes(preset, "prompts.reference.types=[2]")
    assert set(changes(preset, "prompts.reference.types=[2, 4]")) == {"+     - 4"}
    scored = changes(preset, "score.datasets=[one]")
    assert "+   - one" in scored
    assert all(line[2:].startswith("  - ") for line in scored)


def test_the_heads_seeds_change_alone(tmp_path):
    file = shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    assert changes(file, "heads.contrastive.seeds=[1, 2]") == ["-     - 3", "-     - 4", "-     - 5"]


def test_what_init_writes_is_left_as_it_is_too(tmp_path):
    file = tmp_path / "params.yaml"
    added = {"fer2013": DatasetSettings(source="pipeline/expclip_cache/datasets/definitions/fer2013.yaml", fold=1)}
    text = (ROOT / "configs/paper.yaml").read_text()
    file.write_text(adapt_preset(text, ["raf-db"], added, drop_backbones=["clip-l14"], crop=["caer-s"]))
    assert len(changes(file, "heads.reference.momentum=0.8")) == 2
