"""The examples of docs/api.md, run as a user would: with the wheel, in a folder that has its own pipeline.py."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from dvc.repo import Repo

import expclip_cache

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the wheel unpacked, which is how a wheel of pure Python is installed."""
    dist = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.fixture
def user_folder(tmp_path) -> Path:
    (tmp_path / "pipeline.py").write_text("OWNER = 'the user'\n")
    return tmp_path


def run(site: Path, folder: Path, code: str) -> str:
    (folder / "example.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_installs_one_package_and_every_file_it_needs(site):
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"expclip_cache"}
    ours = {
        path.relative_to(ROOT / "pipeline") for path in (ROOT / "pipeline/expclip_cache").rglob("*") if path.is_file()
    }
    ours = {path for path in ours if "__pycache__" not in path.parts}
    assert not [path for path in ours if not (site / path).is_file()]


def test_the_wheel_has_the_files_of_a_project_and_init_makes_one_from_them(site, tmp_path):
    packaged = site / "expclip_cache/project"
    files = {path.relative_to(packaged): path for path in packaged.rglob("*") if path.is_file()}
    assert {Path("dvc.yaml"), Path(".gitignore"), Path("configs/paper.yaml"), Path("stages/heads.py")} <= files.keys()
    assert not [path for path, file in files.items() if file.read_bytes() != (ROOT / path).read_bytes()]
    command = [sys.executable, "-m", "expclip_cache.commands.app", "init"]
    environment = {**os.environ, "PYTHONPATH": str(site), "DVC_SITE_CACHE_DIR": str(tmp_path / "cache")}
    project = tmp_path / "project"
    project.mkdir()
    done = subprocess.run(
        command, cwd=project, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.relative_to(project) for path in project.rglob("*") if path.is_file()}
    assert files.keys() <= made
    with Repo(str(project)) as repo:
        commands = {stage.cmd for stage in repo.index.stages}
    assert commands == {f"python stages/{path.stem}.py" for path in (ROOT / "stages").glob("[!_]*.py")}


def test_every_example_runs_in_a_folder_with_its_own_pipeline_module(site, user_folder):
    check = "import expclip_cache, pipeline\nassert pipeline.OWNER == 'the user'\nprint(expclip_cache.__file__)\n"
    output = run(site, user_folder, check + "\n".join(BLOCKS))
    assert output.startswith(str(site))
    assert "prompt type 5: CLIP" in output
    assert output.splitlines()[-1] == "300"


def test_the_wheel_has_no_module_called_pipeline(site, tmp_path):
    code = """
try:
    import pipeline
except ModuleNotFoundError:
    print("not found")
"""
    assert run(site, tmp_path, code) == "not found\n"


def test_the_page_documents_every_public_name_and_no_other():
    named = set(re.findall(r"`([A-Za-z_]+)", PAGE)) | set(re.findall(r"\b[A-Za-z_]+\b", "\n".join(BLOCKS)))
    assert not [name for name in expclip_cache.__all__ if name not in named]
    imported = [name for line in re.findall(r"from expclip_cache import (.*)", PAGE) for name in line.split(", ")]
    assert set(imported) <= set(expclip_cache.__all__)


def test_the_import_is_light():
    code = """
import sys, time
start = time.perf_counter()
import expclip_cache
seconds = time.perf_counter() - start
heavy = {"torch", "transformers", "open_clip", "faiss", "h5py", "numpy", "pydantic", "pandas"} & set(sys.modules)
print(heavy or "light", seconds)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("light"), done.stdout
