"""The architecture holds: who imports whom, what starts fast, and that DVC and the library agree."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import expclip_cache
from expclip_cache.settings import paths
from expclip_cache.settings.file import load_settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline/expclip_cache"
PACKAGES = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__")
GRAPH = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def run(*command: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "pipeline"), str(ROOT)])}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def test_there_are_no_loose_modules_and_every_package_has_a_layer():
    assert {path.name for path in PACKAGE.glob("*.py*") if path.is_file()} == {"__init__.py", "__init__.pyi"}
    contract = (ROOT / "pyproject.toml").read_text().partition("layers = [")[2].partition("]")[0]
    assert sorted(re.findall(r"expclip_cache\.(\w+)", contract)) == PACKAGES


def imports_of(path: Path) -> list[tuple[str, list[str]]]:
    """Module and names of each `from ... import ...` in a file."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return [(node.module or "", [alias.name for alias in node.names]) for node in nodes]


@pytest.mark.parametrize("folder", ["pipeline", "stages"])
def test_packages_use_each_other_through_their_public_interfaces(folder):
    private = []
    for path in (ROOT / folder).rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts[0] if path.is_relative_to(PACKAGE) else ""
        for module, names in imports_of(path):
            parts = module.split(".")
            if parts[0] == "expclip_cache" and len(parts) > 2 and parts[1] != inside and inside != "commands":
                private.append(f"{path.relative_to(ROOT)}: from {module} import {', '.join(names)}")
    assert not private


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_exports_exists(package):
    module = importlib.import_module(f"expclip_cache.{package}")
    for name in getattr(module, "__all__", []):
        assert not isinstance(getattr(module, name), type(sys)), f"{package}.{name} is a module"


def test_what_the_library_exports_exists():
    for name in expclip_cache.__all__:
        assert callable(getattr(expclip_cache, name)), name


def test_no_source_imports_a_package_called_pipeline():
    for folder in ("pipeline", "stages", "tests", "benchmarks", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            # Only files with the word are parsed, which takes longest.
            nodes = list(ast.walk(ast.parse(text))) if "pipeline" in text else []
            plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
            modules = [*plain, *(node.module or "" for node in nodes if isinstance(node, ast.ImportFrom))]
            assert not [name for name in modules if name.split(".")[0] == "pipeline"], path


def test_the_graph_and_the_library_agree_on_places():
    settings = load_settings(ROOT / "params.yaml")
    teacher, llm = settings.teachers["demo-llm"], settings.answers["demo-llm"]
    places = {
        "manifests/${key}.arrow": paths.manifest_file("${key}"),
        "features/images": paths.image_features("backbone", "dataset").parents[1],
        "features/targets": paths.target_draws("teacher", teacher, "dataset")[0].parents[1],
        "features/answers": paths.answer_features("name", "dataset").parents[1],
        "features/prompts": paths.prompt_features("backbone").parent,
        "heads": paths.HEADS,
        "results/heads/metrics.json": paths.HEAD_RESULTS / "metrics.json",
        "results/scores": paths.SCORES,
        "results/scores.csv": paths.SCORES_TABLE,
        "results/predictions": paths.PREDICTIONS,
        "results/statistics": paths.STATISTICS,
        "report/metrics.json": paths.REPORT / "metrics.json",
    }
    outs = set()
    for entry in GRAPH.values():
        stage = entry.get("do", entry)
        for kind in ("outs", "metrics", "plots"):
            outs |= {next(iter(out)) if isinstance(out, dict) else out for out in stage.get(kind, [])}
    assert {place: str(path) for place, path in places.items()} == {place: place for place in places}
    assert set(places) <= outs
    assert paths.head_folder("backbone", "teacher").parents[1] == paths.HEADS
    assert paths.score_file("backbone", "dataset").parents[1] == paths.SCORES
    assert paths.answer_score_file("name", "dataset").parents[2] == paths.SCORES
    assert paths.answer_prediction_file("name", "dataset").parents[2] == paths.PREDICTIONS
    assert paths.calibration_answers("name", llm, ("anger", "fear")).parents[1] == paths.ANSWERS


@pytest.mark.parametrize("stage", GRAPH)
def test_every_dependency_in_the_repository_exists(stage):
    deps = [dep for dep in GRAPH[stage].get("do", GRAPH[stage])["deps"] if dep.startswith(("pipeline/", "stages/"))]
    assert not [dep for dep in deps if not (ROOT / dep).exists()]
    assert len(GRAPH[stage].get("do", GRAPH[stage])["deps"]) <= 9


def modules_after(code: str) -> set[str]:
    done = run(sys.executable, "-c", f"{code}\nimport sys; print(' '.join({{n.split('.')[0] for n in sys.modules}}))")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


ENCODERS = {"torch", "transformers", "open_clip"}
HEAVY = ENCODERS | {"faiss", "h5py", "numpy", "pydantic", "pandas", "dvc"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import expclip_cache", HEAVY),
        ("import expclip_cache.commands.app", HEAVY),
        ("from expclip_cache import FeatureCache, CacheWriter, score", ENCODERS | {"faiss"}),
        ("from expclip_cache import ClipSettings, ContrastiveSettings, extract", ENCODERS | {"faiss"}),
        ("import stages.scores", ENCODERS),
        ("import stages.report", ENCODERS | {"faiss", "h5py"}),
        ("import stages.images", ENCODERS),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code, absent):
    assert not modules_after(code) & absent


def test_the_check_on_heavy_imports_can_fail():
    assert "numpy" in modules_after("import expclip_cache.scoring.prompt_index")
