"""`expclip-cache init` and what it stands on."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.commands.app import app
from expclip_cache.datasets.roots import resolve_root
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.presets import adapt_preset, preset_file
from expclip_cache.settings.setup import plan_setup

ROOT = Path(__file__).parents[3]
PRESETS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder with the presets and definitions of the repository, and two small datasets beside it."""
    place = tmp_path / "repository"
    shutil.copytree(ROOT / "configs", place / "configs")
    (place / "pipeline").symlink_to(ROOT / "pipeline")
    shutil.copy(ROOT / "configs/demo.yaml", place / "params.yaml")
    for name, classes in {"RAF": "1234567", "CAER-S": ("Anger", "Happy")}.items():
        for number, folder in enumerate(classes, start=1):
            for item in range(number):
                image = tmp_path / name / folder / f"{item}.jpg"
                image.parent.mkdir(parents=True, exist_ok=True)
                image.touch()
    monkeypatch.chdir(place)
    for variable in [name for name in os.environ if name.startswith("EXPCLIP_DATA_")]:
        monkeypatch.delenv(variable)
    return place


def init(*arguments: str):
    return CliRunner().invoke(app, ["init", *arguments])


BOTH = ("--preset", "paper-b32", "--root", "raf-db=../RAF", "--root", "caer-s=../CAER-S")


@pytest.mark.usefixtures("repository")
def test_what_is_there_is_kept_and_what_is_not_is_left_out_by_name():
    run = init(*BOTH)
    assert run.exit_code == 0, run.output
    params = load_settings()
    assert set(params.datasets) == {"caer-s", "raf-db"}
    assert params.score.datasets == ("raf-db",)
    assert params.clip.name == "clip-b32"
    assert resolve_root("raf-db", params.datasets["raf-db"]) == Path("../RAF").absolute()
    assert "raf-db: 28 items in" in run.output
    # Folder 1 of RAF-DB is surprise, folder 4 happiness.
    assert (
        "found:     happiness 4, sadness 5, neutral 7, anger 6, surprise 1, disgust 3, fear 2\n"
        "  published: happiness 1185, sadness 478, neutral 680, anger 162, surprise 329, disgust 160, fear 74\n"
    ) in run.output
    assert "28 items instead of the published 3068" in run.output
    assert "caer-s: 3 items in" in run.output
    assert "left out, no folder on this machine: affectnet-7, affectnet-8, ferplus, dfew-1," in run.output
    assert "cannot train" not in run.output
    assert ("clip.precision is fp16: fp32 is many times as fast" in run.output) == (not torch.cuda.is_available())
    assert "3 items instead of the 48640 to 49151 behind the published scores" in run.output


@pytest.mark.usefixtures("repository")
def test_comments_and_all_other_settings_of_the_preset_stay():
    init(*BOTH)
    preset, written = (Path(name).read_text().splitlines() for name in ("configs/paper-b32.yaml", "params.yaml"))
    assert [line for line in written if line not in preset] == []
    assert written.count("") == preset.count("")
    gone = [line.strip().removeprefix("- ").split(":")[0] for line in preset if line not in written]
    assert len(gone) == 2 * 15
    assert set(gone) == set(load_settings("configs/paper-b32.yaml").datasets) - {"caer-s", "raf-db"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_with_nothing_to_change_is_written_byte_for_byte(preset):
    text = (ROOT / "configs" / f"{preset}.yaml").read_text()
    assert adapt_preset(text, (), {}) == text


def test_without_the_training_set_its_entry_stays_and_that_is_said(repository):
    run = init("--preset", "paper-b16", "--root", "raf-db=../RAF")
    assert run.exit_code == 0
    assert "caer-s, which the head is trained on, has no folder here: dvc repro cannot train" in run.output
    params = load_settings()
    assert params.train.dataset in params.datasets
    with pytest.raises(DataError, match="EXPCLIP_DATA_CAER_S"):
        resolve_root("caer-s", params.datasets["caer-s"])
    assert list(repository.glob(".*tmp")) == []


@pytest.mark.usefixtures("repository")
def test_folders_known_from_the_environment_and_from_last_time_count(monkeypatch):
    init(*BOTH)
    monkeypatch.setenv("EXPCLIP_DATA_AFFECTNET_7", str(Path("../AffectNet").absolute()))
    for number in range(8):
        Path(f"../AffectNet/{number}").mkdir(parents=True)
        Path(f"../AffectNet/{number}/a.png").touch()
    Path("roots.yaml").write_text("# mine\n" + Path("roots.yaml").read_text())
    run = init("--preset", "paper-l14", "--force")
    assert run.exit_code == 0, run.output
    assert load_settings().score.datasets == ("raf-db", "affectnet-7")
    assert "note: 1 items in '7' are ignored" in run.output
    assert Path("roots.yaml").read_text().startswith("# mine\n# Where the datasets lie")
    assert "affectnet" not in Path("roots.yaml").read_text()


@pytest.mark.usefixtures("repository")
def test_a_dataset_that_the_preset_lacks_is_added_to_its_test_sets():
    Path("../FER/happy").mkdir(parents=True)
    Path("../FER/happy/1.png").touch()
    run = init(*BOTH, "--root", "fer2013=../FER")
    assert run.exit_code == 0, run.output
    params = load_settings()
    assert params.score.datasets == ("raf-db", "fer2013")
    assert params.datasets["fer2013"].source == "pipeline/expclip_cache/datasets/definitions/fer2013.yaml"


@pytest.mark.usefixtures("repository")
def test_settings_of_somebodys_own_are_not_lost_without_force():
    assert init(*BOTH).exit_code == 0
    own = Path("params.yaml").read_text().replace("seeds: [1]", "seeds: [1, 2]")
    Path("params.yaml").write_text(own)
    run = init("--preset", "demo")
    assert run.exit_code == 1
    assert "params.yaml: is no unchanged preset; somebody's settings would be lost. Give --force" in run.output
    assert Path("params.yaml").read_text() == own
    assert init("--preset", "demo", "--force").exit_code == 0
    assert Path("params.yaml").read_bytes() == Path("configs/demo.yaml").read_bytes()
    run = init(*BOTH)
    assert run.exit_code == 0


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--preset is missing: one of demo, paper-b16, paper-b32, paper-l14"),
        (
            ("--preset", "paper"),
            "preset: expected one of demo, paper-b16, paper-b32, paper-l14, or a file; found 'paper'",
        ),
        (("--preset", "paper-b32"), "none of its test sets has a folder on this machine. Name one with --root"),
        (("--preset", "demo", "--root", "raf-db"), "--root: expected DATASET=FOLDER"),
        (("--preset", "demo", "--root", "rafdb=../RAF"), "--root rafdb: expected one of afew, affectnet-7"),
        (
            ("--preset", "paper-b32", "--root", "raf-db=../R", "--root", "dfew=../RAF"),
            "the folder given for raf-db: expected a folder at",
        ),
        (("--preset", "paper-b32", "--root", "dfew=../RAF"), "expected the clip list DFEW_set_1_test.txt"),
        (
            ("--preset", "paper-b32", "--root", "affectnet-7=../CAER-S", "--root", "ferplus=../RAF"),
            "no class is known for",
        ),
    ],
)
def test_mistakes_change_nothing(arguments, message):
    run = init(*arguments)
    assert run.exit_code == 1
    assert message in run.output
    assert Path("params.yaml").read_bytes() == Path("configs/demo.yaml").read_bytes()
    assert not Path("roots.yaml").exists()


@pytest.mark.usefixtures("repository")
def test_several_wrong_folders_are_told_at_once(monkeypatch):
    with pytest.raises(DataError) as caught:
        plan_setup(Path("configs/paper-b32.yaml"), {"raf-db": "../R", "afew": "../A"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "the folder given for raf-db",
        "the folder given for afew",
    ]
    monkeypatch.setenv("EXPCLIP_DATA_RAF_DB", "/elsewhere")
    with pytest.raises(
        DataError, match="raf-db: a folder is given, but EXPCLIP_DATA_RAF_DB in the environment would win"
    ):
        plan_setup(Path("configs/paper-b32.yaml"), {"raf-db": "../RAF"})


def test_outside_the_repository_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="Run this in the root of the repository"):
        preset_file("demo")


def test_at_a_terminal_it_asks(repository):
    """A real terminal: a wrong folder is asked again, an empty answer leaves a dataset out."""
    ours, theirs = pty.openpty()
    answers = ["paper-b32", "../CAER-S", "../nowhere", "../RAF", *[""] * 7]
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    command = [sys.executable, "-m", "expclip_cache.commands.app", "init"]
    run = subprocess.run(command, cwd=repository, stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    os.close(ours)
    os.close(theirs)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "folder of RAF-DB, basic emotions, test split, empty if absent" in run.stdout
    assert "../nowhere is no folder" in run.stdout
    assert load_settings().score.datasets == ("raf-db",)
