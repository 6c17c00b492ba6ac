"""`expclip-cache init` and the setup behind it."""

import os
import pty
import re
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
from expclip_cache.settings.old_features import old_feature_moves
from expclip_cache.settings.paths import image_features
from expclip_cache.settings.presets import adapt_preset, preset_file
from expclip_cache.settings.setup import plan_setup
from expclip_cache.settings.study_part import full_names
from native_trees import write_dataset, write_shipped

ROOT = Path(__file__).parents[3]
PRESETS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A copy of the repository's presets and definitions, with two small datasets beside it."""
    folder = tmp_path / "repository"
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")
    shutil.copy(ROOT / "configs/demo.yaml", folder / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", folder)
    for name, classes in {"RAF": "1234567", "CAER-S": ("Anger", "Happy")}.items():
        for number, class_folder in enumerate(classes, start=1):
            for item in range(number):
                image = tmp_path / name / class_folder / f"{item}.jpg"
                image.parent.mkdir(parents=True, exist_ok=True)
                image.touch()
    monkeypatch.chdir(folder)
    for variable in [name for name in os.environ if name.startswith("EXPCLIP_DATA_")]:
        monkeypatch.delenv(variable)
    return folder


def init(*arguments: str):
    return CliRunner().invoke(app, ["init", *arguments])


BOTH = ("--preset", "paper", "--root", "raf-db=../RAF", "--root", "caer-s=../CAER-S")


@pytest.mark.usefixtures("repository")
def test_datasets_with_a_folder_are_kept_and_others_are_left_out_by_name():
    run = init(*BOTH)
    assert run.exit_code == 0, run.output
    settings = load_settings()
    assert set(settings.datasets) == {"caer-s", "raf-db"}
    assert settings.score.datasets == ("raf-db",)
    assert list(settings.backbones) == ["clip-b32", "clip-b16", "clip-l14"]
    assert list(settings.heads) == ["reference", "ridge"]
    assert resolve_root("raf-db", settings.datasets["raf-db"]) == Path("../RAF").absolute()
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
    advice = "in half precision: clip-b32 (fp16), clip-b16 (fp16), clip-l14 (fp16). On a CPU fp32 is many times faster"
    assert (advice in run.output) == (not torch.cuda.is_available())
    assert run.output.endswith("wrote params.yaml; next: dvc repro\n")
    assert "3 items instead of 48640 to 49151" in run.output


@pytest.mark.usefixtures("repository")
def test_comments_and_other_settings_of_the_preset_are_kept():
    init(*BOTH)
    preset, written = (Path(name).read_text().splitlines() for name in ("configs/paper.yaml", "params.yaml"))
    assert [line for line in written if line not in preset] == []
    assert written.count("") == preset.count("")
    removed = load_settings("configs/paper.yaml").datasets.keys() - {"caer-s", "raf-db"}
    assert {f"  {name}:" for name in removed} < set(preset) - set(written)
    assert {f"  - {name}" for name in removed} < set(preset) - set(written)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("chosen", [("b32,b16",), ("clip-b16", "b32"), ("b16, clip-b32",), ("clip-b32,b16",)])
def test_a_part_of_the_backbones_is_kept_in_the_presets_order(chosen):
    given = [part for name in chosen for part in ("--backbones", name)]
    run = init(*BOTH, *given)
    assert run.exit_code == 0, run.output
    settings, preset = load_settings(), load_settings("configs/paper.yaml")
    assert settings.backbones == {name: preset.backbones[name] for name in ("clip-b32", "clip-b16")}
    assert settings.heads == preset.heads
    assert "left out, for none of the chosen backbones" not in run.output
    lines, written = (Path(name).read_text().splitlines() for name in ("configs/paper.yaml", "params.yaml"))
    assert [line for line in written if line not in lines] == []
    assert written.count("") == lines.count("")
    removed = [line.split(":")[0] for line in lines if line not in written]
    assert [name for name in removed if name.startswith("  clip-")] == ["  clip-l14"]


HEADS_BY_BACKBONE = """heads:                    # projection heads by name, each fitted on every backbone and teacher
  large:
    kind: ridge             # only for the large one
    backbones: [clip-l14]
  both:
    kind: ridge
    backbones: [clip-b32, clip-l14] # kept
"""


@pytest.fixture
def preset_with_heads_by_backbone(repository):
    path = repository / "configs/paper.yaml"
    text = path.read_text()
    first, last = text.index("heads:  "), text.index("\n  ridge:\n")
    assert text[first:].startswith(HEADS_BY_BACKBONE.splitlines()[0])
    path.write_text(text[:first] + HEADS_BY_BACKBONE.rstrip() + text[last:])
    return path


@pytest.mark.usefixtures("preset_with_heads_by_backbone")
def test_a_dropped_backbone_leaves_the_heads_that_name_it():
    run = init(*BOTH, "--backbones", "b32")
    assert run.exit_code == 0, run.output
    assert "left out, for none of the chosen backbones: head large\n" in run.output
    settings = load_settings()
    assert list(settings.backbones) == ["clip-b32"]
    assert list(settings.heads) == ["both", "ridge"]
    assert settings.heads["both"].backbones == ("clip-b32",)
    assert re.search(r"^    backbones: \[clip-b32\] +# kept$", Path("params.yaml").read_text(), re.MULTILINE)


def test_a_part_without_any_head_is_refused(preset_with_heads_by_backbone):
    path = preset_with_heads_by_backbone
    text = path.read_text()
    path.write_text(text[: text.index("  ridge:\n")] + text[text.index("\ndatasets:") :])
    run = init(*BOTH, "--backbones", "b16")
    assert run.exit_code == 1
    assert (
        "backbones: no head is left for clip-b16: large is for clip-l14, both is for clip-b32 and clip-l14. "
        "Keep more backbones."
    ) in run.output
    assert Path("params.yaml").read_bytes() == Path("configs/demo.yaml").read_bytes()


@pytest.mark.usefixtures("repository")
def test_features_in_the_folders_of_earlier_versions_come_with_the_commands_that_move_them():
    """The commands are run as printed; what is in the new place already, prompts and other files stay."""
    for cache in ("clip-b32/caer-s", "clip-b32/raf db", "clip-b32/prompts", "clip-b16/raf-db", "clip-l14/prompts"):
        write_old_cache(f"features/{cache}")
    for cache in ("blip2-flan-t5-xxl/caer-s/draw-0", "someone/caer-s"):
        write_old_cache(f"features/{cache}")
    write_old_cache("features/images/clip-b16/raf-db")
    Path("features/clip-b32/.gitignore").write_text("/caer-s\n")
    run = init(*BOTH)
    assert run.exit_code == 0, run.output
    after = run.output.partition("features of an earlier version are found; ")[2].splitlines()
    assert after[0] == "to use them instead of encoding again, move them first:"
    assert after[1:-1] == [
        "  mkdir -p features/images/clip-b32",
        "  mv features/clip-b32/caer-s 'features/clip-b32/raf db' features/images/clip-b32/",
        "  mkdir -p features/targets/blip2-flan-t5-xxl",
        "  mv features/blip2-flan-t5-xxl/caer-s features/targets/blip2-flan-t5-xxl/",
    ]
    assert after[-1] == "wrote params.yaml; next: dvc repro"
    for command in after[1:-1]:
        subprocess.run(["sh", "-c", command], check=True)
    for cache in (image_features("clip-b32", "caer-s"), Path("features/targets/blip2-flan-t5-xxl/caer-s/draw-0")):
        assert (cache / "index.json").is_file()
    assert Path("features/clip-b32/.gitignore").is_file()
    assert "earlier version" not in init(*BOTH, "--force").output


def write_old_cache(folder: str) -> None:
    Path(folder).mkdir(parents=True)
    Path(folder, "index.json").write_text("{}")


@pytest.mark.usefixtures("repository")
def test_features_of_this_layout_are_not_taken_for_old_ones():
    """Whatever a backbone is called."""
    write_old_cache("features/images/clip-b32/raf-db")
    write_old_cache("features/targets/blip2-flan-t5-xxl/caer-s")
    text = Path("configs/paper.yaml").read_text().replace("  clip-b16: ", "  images: ")
    Path("params.yaml").write_text(text)
    assert old_feature_moves(load_settings()) == []


@pytest.mark.parametrize("preset", PRESETS)
def test_an_unchanged_preset_is_written_byte_for_byte(preset):
    text = (ROOT / "configs" / f"{preset}.yaml").read_text()
    assert adapt_preset(text, (), {}) == text


def test_a_training_set_without_a_folder_stays_and_a_message_says_so(repository):
    run = init("--preset", "paper", "--root", "raf-db=../RAF")
    assert run.exit_code == 0
    assert "caer-s, the training set, has no folder on this machine: dvc repro cannot train a head" in run.output
    assert run.output.partition("next: ")[2].splitlines() == [
        "the same command with --root caer-s=FOLDER, or score a head that was trained elsewhere (import-head reads the "
        "reference's):",
        "  python stages/manifest.py raf-db",
        "  python stages/images.py --dataset raf-db",
        "  python stages/prompts.py",
        "  expclip-cache score features/images/clip-b32/raf-db --prompt-features features/prompts/clip-b32 --head HEAD",
    ]
    settings = load_settings()
    assert settings.train.dataset in settings.datasets
    with pytest.raises(DataError, match="EXPCLIP_DATA_CAER_S"):
        resolve_root("caer-s", settings.datasets["caer-s"])
    assert list(repository.glob(".*tmp")) == []


@pytest.mark.usefixtures("repository")
def test_folders_from_the_environment_and_from_roots_yaml_are_used(monkeypatch):
    init(*BOTH)
    monkeypatch.setenv("EXPCLIP_DATA_AFFECTNET_7", str(Path("../AffectNet").absolute()))
    for number in range(8):
        Path(f"../AffectNet/{number}").mkdir(parents=True)
        Path(f"../AffectNet/{number}/a.png").touch()
    Path("roots.yaml").write_text("# mine\n" + Path("roots.yaml").read_text())
    run = init("--preset", "paper", "--backbones", "l14", "--force")
    assert run.exit_code == 0, run.output
    assert load_settings().score.datasets == ("raf-db", "affectnet-7")
    assert "note: 1 items in '7' are ignored" in run.output
    assert Path("roots.yaml").read_text().startswith("# mine\n# Where the datasets are")
    assert "affectnet" not in Path("roots.yaml").read_text()


@pytest.mark.usefixtures("repository")
def test_a_given_dataset_outside_the_preset_becomes_a_test_set():
    Path("../FER/happy").mkdir(parents=True)
    Path("../FER/happy/1.png").touch()
    run = init(*BOTH, "--root", "fer2013=../FER")
    assert run.exit_code == 0, run.output
    settings = load_settings()
    assert settings.score.datasets == ("raf-db", "fer2013")
    assert settings.datasets["fer2013"].source == "pipeline/expclip_cache/datasets/definitions/fer2013.yaml"


@pytest.mark.usefixtures("repository")
def test_an_edited_params_file_is_replaced_only_with_force():
    assert init(*BOTH).exit_code == 0
    edited = Path("params.yaml").read_text().replace("    lr: 1e-3", "    lr: 2e-3")
    Path("params.yaml").write_text(edited)
    run = init("--preset", "demo")
    assert run.exit_code == 1
    assert (
        "params.yaml: has been edited (it differs from every preset), and your changes would be lost. Pass --force"
        in run.output
    )
    assert Path("params.yaml").read_text() == edited
    assert init("--preset", "demo", "--force").exit_code == 0
    assert Path("params.yaml").read_bytes() == Path("configs/demo.yaml").read_bytes()
    run = init(*BOTH)
    assert run.exit_code == 0


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--preset is missing: one of demo, paper, or a settings file"),
        (
            ("--preset", "paper-b32"),
            "preset: expected one of demo, paper, or a file; found 'paper-b32'",
        ),
        (("--preset", "paper"), "none of its test sets has a folder on this machine. Name one with --root"),
        (("--preset", "demo", "--root", "raf-db"), "--root: expected DATASET=FOLDER"),
        (("--preset", "demo", "--root", "rafdb=../RAF"), "--root rafdb: expected one of afew, affectnet-7"),
        (
            ("--preset", "paper", "--root", "raf-db=../R", "--root", "dfew=../RAF"),
            "the folder given for raf-db: expected a folder at",
        ),
        (("--preset", "paper", "--root", "dfew=../RAF"), "expected the clip list DFEW_set_1_test.txt"),
        (
            ("--preset", "paper", "--root", "affectnet-7=../CAER-S", "--root", "ferplus=../RAF"),
            "no class is known for",
        ),
        (
            (*BOTH, "--backbones", "b32,b64"),
            "backbones: expected names from clip-b32, clip-b16, clip-l14, or ends that fit one of them; found 'b64', "
            "which fits none.",
        ),
        ((*BOTH, "--backbones", "CLIP-B32"), "found 'CLIP-B32', which fits none."),
        (("--preset", "demo", "--backbones", "b32"), "expected names from demo-clip, or ends that fit one of them"),
    ],
)
def test_an_error_changes_no_file(arguments, message):
    run = init(*arguments)
    assert run.exit_code == 1
    assert message in run.output
    assert Path("params.yaml").read_bytes() == Path("configs/demo.yaml").read_bytes()
    assert not Path("roots.yaml").exists()


@pytest.mark.usefixtures("repository")
def test_all_wrong_folders_are_reported_at_once(monkeypatch):
    with pytest.raises(DataError) as caught:
        plan_setup(Path("configs/paper.yaml"), {"raf-db": "../R", "afew": "../A"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "the folder given for raf-db",
        "the folder given for afew",
    ]
    monkeypatch.setenv("EXPCLIP_DATA_RAF_DB", "/elsewhere")
    with pytest.raises(
        DataError, match="raf-db: a folder is given, but the environment variable EXPCLIP_DATA_RAF_DB would override it"
    ):
        plan_setup(Path("configs/paper.yaml"), {"raf-db": "../RAF"})


def test_an_end_that_fits_two_backbones_is_refused_unless_it_is_a_name():
    names = ["b32", "openai-b32", "laion-b32", "laion-b16"]
    assert full_names(["b32"], names) == ("b32",)
    assert full_names(["b16", "openai-b32", "b16"], names) == ("openai-b32", "laion-b16")
    with pytest.raises(SettingsError, match=r"found '32', which fits b32 and openai-b32 and laion-b32\.$"):
        full_names(["32"], names)


def test_without_presets_an_error_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"Run this where dvc\.yaml is"):
        preset_file("demo")


@pytest.mark.slow
def test_at_a_terminal_it_asks_for_folders(repository):
    """With a real terminal: it repeats the question for a wrong folder; an empty answer leaves a dataset out."""
    terminal, stdin = pty.openpty()
    answers = ["paper", "b16", "../CAER-S", "../nowhere", "../RAF", *[""] * 7]
    os.write(terminal, "".join(f"{answer}\n" for answer in answers).encode())
    command = [sys.executable, "-m", "expclip_cache.commands.app", "init"]
    run = subprocess.run(command, cwd=repository, stdin=stdin, capture_output=True, text=True, timeout=60, check=False)
    os.close(terminal)
    os.close(stdin)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "folder of RAF-DB, basic emotions, test split (empty: leave it out)" in run.stdout
    assert "../nowhere is not a folder" in run.stdout
    assert load_settings().score.datasets == ("raf-db",)
    assert "backbones of clip-b32, clip-b16, clip-l14 (empty: all)" in run.stdout
    assert list(load_settings().backbones) == ["clip-b16"]


FOLDERS = {
    "raf-db": "RAF-DB",
    "affectnet": "AffectNet",
    "ferplus-csv": "FERPlus",
    "dfew": "DFEW",
    "mafw": "MAFW_v1",
    "ferv39k": "FERV39k",
    "afew": "AFEW",
    "caer-s": "CAER-S",
    "fer2013": "fer2013",
}
"""Dataset as written by `native_trees` -> what its folder is called here."""


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_datasets_side_by_side_are_found_and_named(tmp_path):
    data = tmp_path / "data"
    for name, folder in FOLDERS.items():
        (write_dataset if name in ("caer-s", "fer2013") else write_shipped)(data, name)
        if name != folder:
            (data / name).rename(data / folder)
    (data / "holiday/2024").mkdir(parents=True)
    run = init("--preset", "paper", "--data", str(data))
    assert run.exit_code == 0, run.output
    settings = load_settings()
    single = {"caer-s", "raf-db", "affectnet-7", "affectnet-8", "ferplus-csv", "fer2013", "ferv39k", "afew"}
    folds = {f"{name}-{fold}" for name in ("dfew", "mafw") for fold in range(1, 6)}
    assert set(settings.datasets) == single | folds
    for name in single:
        folder = FOLDERS[name if name in FOLDERS else "affectnet"]
        assert re.search(rf"^{name}: \d+ items in .*/data/{folder}$", run.output, flags=re.M), (name, run.output)
    assert run.output.count("read as shipped: ") == len(single | folds) - len({"caer-s", "fer2013"})


@pytest.mark.usefixtures("repository")
def test_two_folders_of_one_dataset_and_none_at_all(tmp_path):
    data = tmp_path / "data"
    (data / "empty").mkdir(parents=True)
    refused = init("--preset", "paper", "--data", str(data))
    assert refused.exit_code == 1
    assert "no dataset is recognised" in " ".join(refused.output.split())
    for copy in ("RAF-DB", "raf_db_old"):
        write_shipped(data, "raf-db")
        (data / "raf-db").rename(data / copy)
    refused = init("--preset", "paper", "--data", str(data))
    assert "are both raf-db" in " ".join(refused.output.split())
    chosen = init("--preset", "paper", "--data", str(data), "--root", f"raf-db={data}/RAF-DB")
    assert chosen.exit_code == 0, chosen.output


@pytest.mark.usefixtures("repository")
def test_what_looks_like_a_dataset_and_cannot_be_read_is_named(tmp_path):
    data = tmp_path / "data"
    write_shipped(data, "raf-db")
    write_shipped(data, "ferv39k")
    shutil.rmtree(data / "ferv39k/2_ClipsforFaceCrop")
    run = init("--preset", "paper", "--data", str(data))
    assert run.exit_code == 0, run.output
    assert re.search(r"ferv39k: looks like FERV39k.*cannot be read", " ".join(run.output.split()))
    assert set(load_settings().score.datasets) == {"raf-db"}
