"""A project outside the repository, as `expclip-cache init` makes it: the same pipeline, without the code beside it."""

import re
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.project import VERSION, graph_without_code, make_project, other_version, project_texts

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path.parent / "site-cache"))
    return tmp_path


def init(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["init", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def stages(graph: str) -> dict[str, dict]:
    entries = YAML(typ="safe").load(graph)["stages"]
    return {name: entry.get("do", entry) for name, entry in entries.items()}


def test_a_projects_graph_is_the_repositorys_with_the_version_in_place_of_the_code():
    theirs, ours = stages((ROOT / "dvc.yaml").read_text()), stages(graph_without_code((ROOT / "dvc.yaml").read_text()))
    assert ours.keys() == theirs.keys()
    for name, stage in theirs.items():
        deps = ["definitions" if dep.endswith("/datasets/definitions") else dep for dep in stage.pop("deps")]
        expected = {dep for dep in deps if not dep.startswith("pipeline/")} | {str(VERSION)}
        found = ours[name].pop("deps")
        assert set(found) == expected
        assert len(found) == len(expected)
        assert ours[name] == stage


@pytest.mark.slow
def test_init_in_an_empty_folder_makes_the_demo_a_project_that_dvc_can_run(folder):
    output = init()
    assert "a project now" in output
    assert "without Git" in output
    assert output.endswith("next: dvc repro\n")
    assert {path.name for path in folder.iterdir()} == {
        *(".dvc", ".dvcignore", ".gitignore", "dvc.yaml", "params.yaml"),
        *("configs", "definitions", "prompts", "stages"),
    }
    with Repo(str(folder)) as repo:
        made = {Path(str(out.fs_path)) for stage in repo.index.stages for out in stage.outs}
        needed = {Path(str(dep.fs_path)) for stage in repo.index.stages for dep in stage.deps}
        assert "manifest@demo-clean" in {stage.addressing.rpartition(":")[2] for stage in repo.index.stages}
    # The folder of all manifests is a dependency, of which each is an output.
    made |= {path.parent for path in made}
    assert not [path for path in needed if path not in made and not path.exists()]
    assert all(path.is_relative_to(folder) for path in needed)


def test_presets_are_the_repositorys_with_the_definitions_beside_them(folder):
    make_project()
    for name in ("demo", "paper"):
        ours, theirs = load_settings(f"configs/{name}.yaml"), load_settings(ROOT / f"configs/{name}.yaml")
        sources = {dataset: entry.source for dataset, entry in ours.datasets.items()}
        assert all((folder / source).is_file() for source in sources.values())
        assert ours.model_copy(update={"datasets": theirs.datasets}) == theirs
        for dataset, source in sources.items():
            theirs_file = ROOT / theirs.datasets[dataset].source
            if theirs_file.is_file():
                assert (folder / source).read_bytes() == theirs_file.read_bytes()
            else:
                assert source == str(VERSION), "what is drawn changes with the version"


def test_a_dataset_that_is_added_has_its_definition_in_the_project(folder):
    (folder / "FER/happy").mkdir(parents=True)
    (folder / "FER/happy/1.png").touch()
    init("--preset", "paper", "--root", "fer2013=FER")
    assert load_settings().datasets["fer2013"].source == "definitions/fer2013.yaml"


def test_the_prompt_files_are_in_the_project(folder):
    make_project()
    assert sorted(file.name for file in (folder / "prompts").iterdir()) == ["emoclip.yaml", "example.yaml"]


def test_nothing_that_is_there_is_lost(folder):
    (folder / "prompts").mkdir()
    (folder / "prompts/example.yaml").write_text("mine: [my words.]\n")
    (folder / ".gitignore").write_text("*.mp4\n/data/\n")
    output = init()
    assert (folder / "prompts/example.yaml").read_text() == "mine: [my words.]\n"
    assert "prompts/example.yaml: kept as it is" in output
    ignored = (folder / ".gitignore").read_text().splitlines()
    assert ignored[:2] == ["*.mp4", "/data/"]
    assert ignored.count("/data/") == 1
    assert "/features/" in ignored
    assert "uv.lock" not in ignored, "that is the repository's own affair"


def test_git_that_comes_later_ignores_what_dvc_keeps_to_itself(folder):
    make_project()
    subprocess.run(["git", "init", "-q"], check=True)
    for kept in ("cache", "tmp", "config.local"):
        (folder / ".dvc" / kept).mkdir(exist_ok=True)
        (folder / ".dvc" / kept / "file").touch()
    subprocess.run(["git", "add", "."], check=True)
    tracked = subprocess.run(["git", "ls-files", ".dvc"], capture_output=True, text=True, check=True).stdout
    assert tracked.splitlines() == [".dvc/.gitignore", ".dvc/config"]


def test_a_folder_with_a_graph_of_its_own_is_left_alone(folder):
    (folder / "dvc.yaml").write_text("stages: {}\n")
    assert make_project() == []
    assert [path.name for path in folder.iterdir()] == ["dvc.yaml"]


def test_in_a_folder_of_a_git_repository_dvc_uses_git(folder):
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    study = folder / "study"
    study.mkdir()
    assert ".dvc: made, in this Git repository" in make_project(study)
    with Repo(str(study)) as repo:
        assert repo.config["core"]["autostage"] is True
        assert repo.config["core"].get("no_scm", False) is False
    tracked = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True)
    assert "study/.dvc/config" in tracked.stdout.splitlines()


def test_another_version_is_named_and_its_files_come_without_touching_params(folder):
    init()
    assert other_version(folder) == ""
    (folder / VERSION).write_text("expclip-cache 0.0.1\n")
    assert "this project was made by expclip-cache 0.0.1, and expclip-cache" in other_version(folder)
    doctor = CliRunner().invoke(app, ["doctor"])
    assert doctor.exit_code == 1
    assert "made by expclip-cache 0.0.1" in doctor.output
    edited = (folder / "params.yaml").read_text().replace("epochs: 20", "epochs: 21")
    (folder / "params.yaml").write_text(edited)
    (folder / "dvc.yaml").unlink()
    (folder / VERSION).unlink()
    assert init().endswith("params.yaml: kept; next: dvc repro\n")
    assert other_version(folder) == ""
    assert (folder / "params.yaml").read_text() == edited


def test_a_section_that_an_earlier_version_did_not_have_is_named_and_added(folder):
    init()
    text = (folder / "params.yaml").read_text()
    old = re.sub(r"\nanswers:.*?\n(?=\w)", "\n", text, flags=re.DOTALL)
    (folder / "params.yaml").write_text(old)
    assert load_settings().answers == {}
    doctor = CliRunner().invoke(app, ["doctor"])
    assert doctor.exit_code == 1
    assert "params.yaml: lacks a section that the stages read; add the line: answers: {}" in doctor.output
    (folder / "dvc.yaml").unlink()
    (folder / VERSION).unlink()
    assert "params.yaml: kept; new in this version and added: answers: {}" in init()
    assert (folder / "params.yaml").read_text().startswith(old)
    assert load_settings().answers == {}
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_the_ignored_files_of_a_project_begin_where_the_repositorys_list_says():
    assert project_texts()[Path(".gitignore")].startswith("# local settings of one machine\nroots.yaml\n")
