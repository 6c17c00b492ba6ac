"""The architecture holds: who imports whom, what a stage depends on, what starts fast."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from expclip_cache.settings import paths
from expclip_cache.settings.file import load_settings

ROOT = Path(__file__).parents[2]
GRAPH = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def deps_of(stage: str) -> list[str]:
    return GRAPH[stage].get("do", GRAPH[stage])["deps"]


def test_the_import_contracts_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_graph_and_the_library_agree_on_places():
    params = load_settings(ROOT / "params.yaml")
    train, clip, llm = params.train.dataset, params.clip.name, params.llm.name
    places = {
        "data/${key}": paths.rendered_faces("${key}"),
        "manifests/${key}.jsonl": paths.manifest_file("${key}"),
        "features/${clip.name}/${key}": paths.image_features("${clip.name}", "${key}"),
        "features/${llm.name}/${train.dataset}": paths.target_features("${llm.name}", "${train.dataset}"),
        "features/${clip.name}/prompts": paths.prompt_features("${clip.name}"),
        "heads": paths.head_file(1).parent,
        "results/train/metrics.json": paths.training_results() / "metrics.json",
        "results/score/${item}/metrics.json": paths.score_results("${item}") / "metrics.json",
        "report/summary.json": paths.REPORT / "summary.json",
    }
    outs = set()
    for entry in GRAPH.values():
        stage = entry.get("do", entry)
        for kind in ("outs", "metrics", "plots"):
            outs |= {next(iter(out)) if isinstance(out, dict) else out for out in stage.get(kind, [])}
    assert {place: str(path) for place, path in places.items()} == {place: place for place in places}
    assert set(places) <= outs
    assert (train, clip, llm) == ("demo-train", "demo-clip", "demo-llm")


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "pipeline"), str(ROOT)])}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "import expclip_cache.commands.app",
            {"torch", "transformers", "open_clip", "faiss", "h5py", "numpy", "dvc", "pydantic"},
        ),
        ("import stages.score", {"torch", "transformers", "open_clip"}),
        ("import stages.report", {"torch", "transformers", "open_clip", "faiss", "h5py"}),
        ("import stages.encode_images", {"torch", "transformers", "open_clip"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code, absent):
    assert not modules_after(code) & absent


def test_the_check_on_heavy_imports_can_fail():
    assert "numpy" in modules_after("import expclip_cache.scoring.prompt_index")
