"""`init --table-1` and `systems`: weights by their makers' names become backbones, the others are named."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expclip_cache.base.errors import EncoderError, SettingsError
from expclip_cache.commands.app import app
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.reporting.published import OTHER_SYSTEMS
from expclip_cache.reporting.published_weights import PublishedWeights, published_weights
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.found_weights import find_weights

ROOT = Path(__file__).parents[3]
FARL = "FaRL-Base-Patch16-LAIONFace20M-ep16.pth"
# As the makers name them, some in folders of their own; EmoCLIP's and EmotionCLIP's files have no published name.
FILES = {
    "BLIP2": (
        "lavis/blip2_pretrained_vitL.pth",
        "lavis/clip_vit_L.pth",
        "lavis/config.json",
        "lavis/tokenizer.json",
        "lavis/tokenizer_config.json",
    ),
    "FaRL": (FARL,),
    "FLAVA": ("flava-full/tokenizer.json", "flava-full/config.json", "flava-full/model.safetensors"),
    "X-CLIP": ("microsoft/xclip-base-patch32/config.json", "microsoft/xclip-base-patch32/model.safetensors"),
    "EmotionCLIP": ("emotionclip.pt",),
    "EmoCLIP": ("emoclip.pt",),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the repository's presets, and RAF-DB in miniature; the hub's cache is empty."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "prompts", folder / "prompts")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")
    shutil.copy(ROOT / "dvc.yaml", folder)
    for number in "1234567":
        (folder / "data/RAF" / number).mkdir(parents=True)
        (folder / "data/RAF" / number / "0.jpg").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for variable in [name for name in os.environ if name.startswith("EXPCLIP_DATA_")]:
        monkeypatch.delenv(variable)
    return folder


def put(*systems: str, folder: str = "weights") -> None:
    for name in systems:
        for file in FILES[name]:
            (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / file).write_text(file)
    Path(folder).mkdir(exist_ok=True)


def init(*more: str) -> str:
    roots = ("--root", "raf-db=data/RAF", "--root", "caer-s=data/RAF")
    run = CliRunner().invoke(app, ["init", "--preset", "paper", *roots, "--table-1", "weights", *more])
    assert run.exit_code == 0, run.output
    return run.output


def listed(*arguments: str) -> str:
    run = CliRunner().invoke(app, ["systems", *arguments])
    assert run.exit_code == 0, run.output
    return run.output


@pytest.mark.usefixtures("project")
def test_every_system_with_weights_becomes_a_backbone_and_the_study_loads():
    put(*FILES)
    init()
    settings, preset = load_settings(), load_settings("configs/paper.yaml")
    added = {name: clip for name, clip in settings.backbones.items() if name not in preset.backbones}
    assert {name: settings.backbones[name] for name in preset.backbones} == preset.backbones
    assert {clip.published_as: (clip.kind, clip.model, clip.weights, clip.pool) for clip in added.values()} == {
        "BLIP2": ("lavis-itc", "pretrain_vitL", "weights/lavis", "mean"),
        "FaRL": ("open-clip", "ViT-B-16-quickgelu", f"weights/{FARL}", "mean"),
        "FLAVA": ("flava", "weights/flava-full", "pretrained", "mean"),
        "X-CLIP": ("x-clip", "weights/microsoft/xclip-base-patch32", "pretrained", "mean"),
        "EmotionCLIP": ("emotionclip", "ViT-B-32", "weights/emotionclip.pt", "temporal"),
        "EmoCLIP": ("emoclip", "ViT-B-32-quickgelu", "weights/emoclip.pt", "temporal"),
        None: ("emoclip", "ViT-B-32-quickgelu", "weights/emoclip.pt", "none"),
    }
    for name in ("emoclip", "emotionclip"):
        frames = added[f"{name}-frames"].image_settings()
        assert frames == added[name].model_copy(update={"pool": "none"}).image_settings()
    assert {clip.preprocess for clip in added.values()} == {"clip"}


@pytest.mark.usefixtures("project")
def test_emoclip_brings_its_own_prompts_and_no_other_backbone_is_scored_with_them():
    put("EmoCLIP", "FaRL")
    init()
    settings = load_settings()
    assert list(settings.prompts_of("emoclip")) == ["reference", "emoclip"]
    assert list(settings.prompts_of("farl-b16")) == list(settings.prompts_of("clip-b32")) == ["reference"]
    own = prompt_table(settings.prompts["emoclip"].set, (), ("anger", "disappointment"))
    assert [prompt.text[:21] for prompt in own] == ["A facial expression s", "An expression of frus"]


@pytest.mark.usefixtures("project")
def test_comments_order_and_blank_lines_are_kept_and_a_second_run_writes_the_same():
    put("FaRL", "EmoCLIP")
    init()
    written = Path("params.yaml").read_text()
    preset = Path("configs/paper.yaml").read_text().splitlines()
    new = [line for line in written.splitlines() if line not in preset]
    assert new[:2] == ["  farl-b16:", "    kind: open-clip"]
    assert "    - emoclip-frames" in new
    kept = [line for line in written.splitlines() if line in preset]
    assert [line for line in kept if "#" in line] == [line for line in preset if "#" in line]
    assert written.splitlines().count("") == preset.count("")
    assert "\n\nteachers:" in written
    init("--force")
    assert Path("params.yaml").read_text() == written
    init("--preset", "params.yaml")
    assert Path("params.yaml").read_text() == written


@pytest.mark.usefixtures("project")
def test_a_part_of_the_clips_beside_all_systems():
    put("FaRL")
    init("--backbones", "b32")
    assert list(load_settings().backbones) == ["clip-b32", "farl-b16"]


@pytest.mark.usefixtures("project")
def test_systems_that_are_not_here_are_named_with_origin_and_licence():
    put("FaRL")
    output = init()
    assert f"FaRL (B/16): weights/{FARL}\n  backbones: farl-b16\n  hash: not compared" in output
    absent = output.split("FaRL (B/16)")[1]
    assert "BLIP2 (L/14): not on this machine\n  weights: blip2_pretrained_vitL.pth and clip_vit_L.pth" in absent
    assert "github.com/NickyFot/EmoCLIP, Apache-2.0" in absent
    assert "VideoCLIP: published scores only\n  no weights, because it needs a video network, S3D" in absent
    assert all(weights.title in output for weights in published_weights().values())


@pytest.mark.usefixtures("project")
def test_the_list_needs_no_study_and_no_folder():
    put("FaRL", "BLIP2", folder="elsewhere")
    assert "FaRL (B/16): not on this machine" in listed()
    assert f"FaRL (B/16): elsewhere/{FARL}" in listed("elsewhere")
    refused = CliRunner().invoke(app, ["systems", "nowhere"])
    assert refused.exit_code == 1
    assert "nowhere: is not a folder" in refused.output


def hashed(content: bytes | None) -> dict[str, PublishedWeights]:
    """FaRL as if its makers published the hash of this content."""
    farl = published_weights()["FaRL"]
    sha256 = hashlib.sha256(content).hexdigest() if content is not None else None
    return {"FaRL": farl.model_copy(update={"files": (farl.files[0].model_copy(update={"sha256": sha256}),)})}


@pytest.mark.usefixtures("project")
def test_a_file_has_the_published_hash_or_is_refused_with_both():
    put("FaRL")
    content = (Path("weights") / FARL).read_bytes()
    assert [each.hash for each in find_weights(Path("weights"), hashed(content))] == ["published"]
    assert [each.hash for each in find_weights(Path("weights"), hashed(None))] == ["none"]
    own, published = (hashlib.sha256(each).hexdigest() for each in (content, b"another file"))
    with pytest.raises(EncoderError, match=rf"{FARL}: its SHA-256 is {own}, but its makers publish {published}\. It"):
        find_weights(Path("weights"), hashed(b"another file"))


@pytest.mark.usefixtures("project")
def test_half_a_system_and_a_model_folder_without_weights_are_not_found():
    put("BLIP2", "FLAVA")
    Path("weights/lavis/clip_vit_L.pth").unlink()
    Path("weights/flava-full/model.safetensors").unlink()
    assert find_weights(Path("weights")) == []
    put("FaRL")
    shutil.copytree("weights", "weights/copy")
    with pytest.raises(SettingsError, match=rf"^weights and weights/copy both have {FARL}\. Keep one"):
        find_weights(Path("weights"))


@pytest.mark.parametrize("damaged", [False, True])
def test_a_model_in_the_hubs_cache_is_found_and_compared_with_the_hubs_hash(project, damaged):
    storage = project.parent / "hub/models--facebook--flava-full"
    snapshot = storage / "snapshots" / ("a" * 40)
    for place in (snapshot, storage / "blobs", storage / "refs"):
        place.mkdir(parents=True)
    (storage / "refs/main").write_text("a" * 40)
    (snapshot / "config.json").write_text("{}")
    name = hashlib.sha256(b"weights").hexdigest()
    (storage / "blobs" / name).write_bytes(b"weightz" if damaged else b"weights")
    (snapshot / "model.safetensors").symlink_to(storage / "blobs" / name)
    if damaged:
        with pytest.raises(EncoderError, match=r"model\.safetensors is damaged: its hash is not the one that the hub"):
            find_weights()
        return
    (found,) = find_weights()
    assert (found.name, found.place, found.hash) == ("FLAVA", "facebook/flava-full", "hub")
    assert found.backbones()["flava"]["model"] == "facebook/flava-full"


def test_the_documentation_has_the_same_files_and_licences():
    lines = (ROOT / "docs/table-1.md").read_text().splitlines()
    for name in OTHER_SYSTEMS:
        weights = published_weights()[name]
        (line,) = (line for line in lines if line.startswith(f"| {weights.title} | "))
        names = [weights.model, *(file.name for file in weights.files)]
        assert all(word in line for word in filter(None, names))
        assert not weights.place or f"| {weights.licence} |" in line
        kinds = {entry["kind"] for entry in weights.backbones.values()} or {"none"}
        assert all(kind in line.split(" | ")[2] for kind in kinds)


def test_every_entry_is_a_valid_backbone_and_every_published_system_has_one_or_says_why_not():
    assert set(OTHER_SYSTEMS) <= set(published_weights())
    for name, weights in published_weights().items():
        entries = {key: ClipSettings(**entry) for key, entry in weights.backbones.items()}
        named = {clip.published_as for clip in entries.values()} - {None}
        assert named == ({name} if name in OTHER_SYSTEMS and entries else set())
        assert bool(entries) == bool(weights.place) == bool(weights.model or weights.files)
        assert {key for prompts in weights.prompts.values() for key in prompts["backbones"]} <= set(entries)
        assert weights.licence
        assert all(len(file.sha256) == 64 for file in weights.files if file.sha256)
