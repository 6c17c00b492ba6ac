"""The plan of the house holds: who imports whom, what each stage depends on, what starts fast."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.params import load_params
from tools.stage_dependencies import DATA, import_closure

ROOT = Path(__file__).parents[2]
GRAPH = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
SCRIPTS = {name: entry.get("do", entry)["cmd"].split()[2].split(".")[1] for name, entry in GRAPH.items()}


def deps_of(stage: str) -> list[str]:
    return GRAPH[stage].get("do", GRAPH[stage])["deps"]


def covered(file: str, deps: list[str]) -> bool:
    return any(file == dep or file.startswith(dep + "/") for dep in deps)


def test_the_import_contracts_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("stage", GRAPH)
def test_a_stage_depends_on_all_it_imports(stage):
    closure = import_closure(ROOT, ROOT / "stages" / f"{SCRIPTS[stage]}.py")
    assert not [file for file in sorted(closure) if not covered(file, deps_of(stage))]


@pytest.mark.parametrize("stage", GRAPH)
def test_a_stage_depends_on_no_source_it_does_not_import(stage):
    closure = import_closure(ROOT, ROOT / "stages" / f"{SCRIPTS[stage]}.py")
    sources = [dep for dep in deps_of(stage) if dep.startswith(("pipeline/", "stages/"))]
    assert not [dep for dep in sources if dep not in DATA and not any(covered(file, [dep]) for file in closure)]


def test_the_closure_finds_imports_inside_functions():
    closure = import_closure(ROOT, ROOT / "stages/encode_images.py")
    assert "pipeline/encoders/clip.py" in closure


def test_an_edit_of_the_head_touches_no_encoder():
    for stage in ("encode-images", "encode-targets", "encode-prompts", "manifest", "render-demo"):
        assert not covered("pipeline/heads/contrastive.py", deps_of(stage)), stage


def test_the_graph_and_the_library_agree_on_places():
    params = load_params(ROOT / "params.yaml")
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
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import pipeline.cli", {"torch", "transformers", "open_clip", "faiss", "h5py", "numpy", "dvc", "pydantic"}),
        ("import stages.score", {"torch", "transformers", "open_clip"}),
        ("import stages.report", {"torch", "transformers", "open_clip", "faiss", "h5py"}),
        ("import stages.encode_images", {"torch", "transformers", "open_clip"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code, absent):
    assert not modules_after(code) & absent


def test_the_check_on_heavy_imports_can_fail():
    assert "numpy" in modules_after("import pipeline.scoring.index")
