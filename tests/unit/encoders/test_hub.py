"""Models on a hub: a real server on the loopback interface, the real client, real tiny models."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from expclip_cache.base import EncoderError
from expclip_cache.encoders import (
    ClipSettings,
    LlmSettings,
    file_hashes,
    hub_errors,
    load_backbone,
    load_blip2_t5,
    load_clip,
)
from expclip_cache.encoders.clip_files import find_clip_files
from expclip_cache.encoders.llm_files import find_llm_files
from loopback_hub import Fault, loopback_hub, sha256
from served_models import Served, served_models, use_hub
from tiny_backbones import write_flava
from tiny_encoders import random_pixels, write_blip2, write_clip

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def network_attempts() -> None:
    """The other tests of this folder close the network."""


CLIP, LLM = ClipSettings(model="hf-hub:someone/clip"), LlmSettings(model="someone/blip2")


@pytest.fixture(params=["plain", "xet"])
def served(request: pytest.FixtureRequest, tmp_path, monkeypatch):
    with served_models(tmp_path, monkeypatch, xet=request.param == "xet") as found:
        yield found


@pytest.fixture
def plain(tmp_path, monkeypatch):
    with served_models(tmp_path, monkeypatch, xet=False) as found:
        yield found


def outputs(clip: ClipSettings = CLIP, llm: LlmSettings = LLM) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = random_pixels(2)
    return load_clip(clip, CPU).encode_images(pixels), load_blip2_t5(llm, CPU).encode_images(pixels)


def test_models_of_the_hub_are_those_of_their_folders(served):
    local = outputs(ClipSettings(model=str(served.folders / "clip")), LlmSettings(model=str(served.folders / "blip2")))
    for mine, theirs in zip(outputs(), local, strict=True):
        assert torch.equal(mine, theirs)


def test_a_backbone_of_transformers_is_that_of_its_folder(plain, monkeypatch):
    local = write_flava(plain.folders / "flava")
    (plain.folders / "flava" / "pytorch_model.bin").write_bytes(b"pickle")
    commit = plain.hub.add("someone/flava", plain.folders / "flava")
    expected = load_backbone(local, CPU).encode_images(random_pixels(2))
    for model in ("someone/flava", "hf-hub:someone/flava"):
        settings = local.model_copy(update={"model": model})
        assert (file_hashes(settings) is None) == (model == "someone/flava")
        encoder = load_backbone(settings, CPU)
        assert torch.equal(encoder.encode_images(random_pixels(2)), expected)
        assert encoder.describe()["library"].endswith(f"someone/flava@{commit}")
        assert file_hashes(settings) == file_hashes(local)
    assert "pytorch_model.bin" not in plain.hub.sent
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(load_backbone(settings, CPU).encode_images(random_pixels(2)), expected)


def test_only_what_is_loaded_is_downloaded(served):
    found = find_llm_files(LLM)
    folder = served.folders / "blip2"
    assert [file.name for file in found.weights] == [f"model-0000{k}-of-00004.safetensors" for k in (1, 2)]
    # A file in chunks is known to the store by its hash alone.
    large = [file for suffix in ("safetensors", "bin", "md") for file in folder.glob(f"*.{suffix}")]
    sent = {file.name for file in large if served.hub.sent[file.name] or served.hub.sent[sha256(file)]}
    assert sent == {file.name for file in found.weights}
    assert found.hashes() == find_llm_files(LlmSettings(model=str(folder))).hashes()


def test_a_second_start_downloads_nothing_and_needs_no_hub(served, monkeypatch):
    first = outputs()
    served.hub.sent.clear()
    again = outputs()
    assert not served.hub.sent
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    served.hub.requests.clear()
    offline = outputs()
    assert not served.hub.requests
    for one, two, three in zip(first, again, offline, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_a_model_of_another_kind_is_known_before_its_weights_come(plain):
    config = plain.folders / "blip2" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "llava"}))
    plain.hub.add("someone/blip2", plain.folders / "blip2")
    with pytest.raises(EncoderError, match=r"expected a BLIP-2 or InstructBLIP.*found model_type 'llava'"):
        find_llm_files(LLM)
    assert set(plain.hub.sent) == {"config.json"}


REASONS: dict[Fault, str] = {
    "silent": "no answer within",
    "garbage": "does not speak HTTP",
    "500": "the hub answered with status 500",
    "loop": "it redirects in a circle",
    "gated": "its licence has to be accepted on its page",
    "html": "what answers is not a hub",
}


def test_the_docs_have_every_reason():
    text = (Path(__file__).parents[3] / "docs" / "weights.md").read_text()
    reasons = {*hub_errors.LASTING.values(), *hub_errors.PASSING.values(), hub_errors.NO_SPACE, hub_errors.SOCKS}
    assert not [reason for reason in reasons if f"{reason}`" not in text]


@pytest.mark.parametrize("fault", REASONS)
def test_what_the_hub_does_wrong_is_one_line(plain, fault):
    plain.hub.fault = fault
    for find, model in ((find_llm_files, LLM), (find_clip_files, CLIP)):
        with pytest.raises(EncoderError) as caught:
            find(model)
        message = str(caught.value)
        assert REASONS[fault] in message
        assert str(plain.cache) in message
        assert plain.hub.address in message
        assert "\n" not in message


@pytest.mark.parametrize("fault", ["silent", "garbage", "500", "gated", "html", "loop", "no commit"])
def test_a_complete_copy_is_used_where_the_hub_fails(plain, caplog, fault):
    first = find_llm_files(LLM)
    plain.hub.fault = fault
    assert find_llm_files(LLM) == first
    if fault != "no commit":
        assert "someone/blip2: using the files on this machine" in caplog.text


@pytest.mark.parametrize(
    ("fault", "kept"),
    [("reset", True), ("cut", False), ("503 once", False), ("silent", True), ("no commit", True), ("full", True)],
)
def test_a_download_that_fails_keeps_what_was_complete(plain, fault, kept, monkeypatch):
    plain.hub.fault, plain.hub.only = fault, "00002-of-00004"
    if fault == "full":
        monkeypatch.setattr("huggingface_hub.file_download.http_get", full_disk(plain))
    if kept:
        with pytest.raises(EncoderError, match=r"model-00002-of-00004.safetensors \(.* MB\): .*are kept") as caught:
            find_llm_files(LLM)
        assert "\n" not in str(caught.value)
        plain.hub.fault = None
        monkeypatch.undo()
        use_hub(monkeypatch, plain.hub, plain.cache)
    plain_sent = plain.hub.sent["model-00001-of-00004.safetensors"]
    find_llm_files(LLM)
    if kept:
        assert plain.hub.sent["model-00001-of-00004.safetensors"] == plain_sent
    size = (plain.folders / "blip2" / "model-00002-of-00004.safetensors").stat().st_size
    if fault == "cut":
        # What was sent before the connection ended is not sent again, up to the last piece.
        assert size <= plain.hub.sent["model-00002-of-00004.safetensors"] < size + (1 << 14)


def full_disk(served: Served) -> Callable[..., None]:
    http_get = huggingface_hub.file_download.http_get

    def get(url: str, *args: object, **kwargs: object) -> None:
        if served.hub.only in url:
            raise OSError(28, "No space left on device")
        http_get(url, *args, **kwargs)

    return get


def test_a_lack_of_space_is_known_before_the_weights_come(plain, monkeypatch):
    usage = shutil.disk_usage(plain.folders)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(EncoderError, match=r"0\.\d MB are needed and 0\.1 MB are free in .*are kept"):
        find_llm_files(LLM)
    assert not [name for name in plain.hub.sent if name.endswith(".safetensors")]


def test_a_file_that_was_damaged_in_transit_is_never_used(plain, caplog):
    plain.hub.fault, plain.hub.only = "flipped", "00001-of-00004"
    with pytest.raises(EncoderError, match=r"model-00001-of-00004.safetensors came damaged twice"):
        find_llm_files(LLM)
    plain.hub.fault = None
    assert find_llm_files(LLM).hashes() == find_llm_files(LlmSettings(model=str(plain.folders / "blip2"))).hashes()


@pytest.mark.parametrize("name", ["model-00001-of-00004.safetensors", "config.json"])
def test_a_file_that_was_damaged_in_the_cache_is_never_used(plain, name, monkeypatch, caplog):
    find_llm_files(LLM)
    file = next(plain.cache.rglob(name)).resolve()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert file_hashes(LLM) is None
    with pytest.raises(EncoderError, match=rf"HF_HUB_OFFLINE is set; .*{name} is damaged: its hash is not"):
        find_llm_files(LLM)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    find_llm_files(LLM)
    assert f"{name} is damaged; deleting it" in caplog.text


def test_a_branch_that_moves_is_followed_and_its_former_commit_stays_in_reach(plain, monkeypatch):
    first = find_llm_files(LLM)
    old = first.commits[0].partition("@")[2]
    (plain.folders / "blip2" / "README.md").write_text("A better description.")
    new = plain.hub.add("someone/blip2", plain.folders / "blip2")
    second = find_llm_files(LLM)
    assert second.commits == (f"someone/blip2@{new}",) != first.commits
    assert second.hashes() == first.hashes()
    assert find_llm_files(LLM, first.commits).commits == first.commits
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert find_llm_files(LLM).commits == second.commits
    assert find_llm_files(LLM.model_copy(update={"revision": old})).commits == first.commits


def test_a_revision_is_that_of_the_repository(plain):
    write_clip(plain.folders / "other", model_cfg=None)
    weights = load_file(plain.folders / "other" / "open_clip_model.safetensors")
    save_file({name: value * 2 for name, value in weights.items()}, plain.folders / "other/open_clip_model.safetensors")
    commit = plain.hub.add("someone/clip", plain.folders / "other", branch="louder")
    for revision in ("louder", commit):
        found = find_clip_files(CLIP.model_copy(update={"revision": revision}))
        assert found.commits == (f"someone/clip@{commit}",)
    assert find_clip_files(CLIP).hashes() != found.hashes()
    with pytest.raises(EncoderError, match=r"someone/clip@nowhere.*the repository has no such revision"):
        find_clip_files(CLIP.model_copy(update={"revision": "nowhere"}))
    with pytest.raises(EncoderError, match="the hub has no such repository, or it is private"):
        find_clip_files(ClipSettings(model="hf-hub:someone/else"))


def test_a_revision_of_a_folder_is_refused(tmp_path):
    settings = write_clip(tmp_path)
    with pytest.raises(
        EncoderError, match=r"revision 'v1' is of a repository on the hub, but .* Set its revision: null"
    ):
        find_clip_files(settings.model_copy(update={"revision": "v1"}))
    (tmp_path / "mine.safetensors").touch()
    for weights in ("random", str(tmp_path / "mine.safetensors")):
        with pytest.raises(EncoderError, match="revision 'v1' is of a repository"):
            find_clip_files(ClipSettings(model="ViT-B-32", weights=weights, revision="v1"))


@pytest.fixture
def tag(plain, monkeypatch):
    """Adds a tag to open_clip's ViT-B-32 that stands for a repository with these files."""

    def add(names: list[str], stands_for: str = "someone/tagged/") -> ClipSettings:
        folder = plain.folders / "tagged"
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(name.encode())
        plain.hub.add("someone/tagged", folder)
        known = {**open_clip.pretrained._PRETRAINED["ViT-B-32"], "mine": {"hf_hub": stands_for}}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-B-32", known)
        return ClipSettings(model="ViT-B-32", weights="mine")

    return add


@pytest.mark.parametrize(
    ("names", "stands_for", "taken"),
    [
        (["open_clip_model.safetensors", "open_clip_pytorch_model.bin"], "someone/tagged/", 0),
        (["open_clip_pytorch_model.bin", "open_clip_pytorch_model.safetensors"], "someone/tagged/", 1),
        (["pytorch_model.bin", "pytorch_model.safetensors"], "someone/tagged/pytorch_model.bin", 1),
    ],
)
def test_a_tag_is_looked_for_under_the_names_that_hubs_use(plain, tag, names, stands_for, taken):
    found = find_clip_files(tag(names, stands_for))
    assert [file.name for file in found.weights] == [names[taken]]
    assert found.commits[0].startswith("someone/tagged@")


def test_a_tag_that_is_only_a_pickle_is_named_as_such(plain, tag):
    with pytest.raises(
        EncoderError, match=r"found open_clip_pytorch_model.bin in its folder.*is a pickle.*docs/weights\.md"
    ):
        find_clip_files(tag(["open_clip_pytorch_model.bin"]))
    assert not plain.hub.sent


def test_a_text_tower_of_transformers_takes_config_and_tokenizer_from_its_repositories(plain, monkeypatch):
    from transformers import RobertaConfig

    tower = plain.folders / "tower"
    RobertaConfig(
        vocab_size=60_000, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    ).save_pretrained(tower)
    for file in (plain.folders / "clip").glob("tokenizer*"):
        shutil.copy(file, tower)
    plain.hub.add("someone/tower", tower)
    config = json.loads((plain.folders / "clip" / "open_clip_config.json").read_text())["model_cfg"]
    config["text_cfg"] = {
        "hf_model_name": "someone/tower",
        "hf_tokenizer_name": "someone/tower",
        "hf_proj_type": "linear",
        "hf_pooler_type": "mean_pooler",
    }
    (plain.folders / "architectures").mkdir()
    (plain.folders / "architectures" / "tiny-roberta.json").write_text(json.dumps(config))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    open_clip.add_model_config(plain.folders / "architectures")
    settings = ClipSettings(model="tiny-roberta", weights="random")
    encoder = load_clip(settings, CPU)
    assert encoder.encode_texts(["a photo of happiness"]).shape == (1, 24)
    described = encoder.describe()
    assert described["library"].endswith("someone/tower@" + plain.hub.repositories["someone/tower"].branches["main"])
    assert described["tokenizer_sha256"]
    assert described["config_sha256"]
    tokenizer = tower / "tokenizer_config.json"
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()) | {"model_max_length": 7}))
    plain.hub.add("someone/tower", tower)
    assert find_clip_files(settings).hashes()["tokenizer_sha256"] != described["tokenizer_sha256"]


@pytest.mark.parametrize("only", ["/xorb/", "/v1/reconstructions"])
@pytest.mark.parametrize("fault", ["500", "garbage"])
def test_what_a_store_of_chunks_does_wrong_is_one_line(tmp_path, only, fault):
    """In another process: the client of such stores waits and tries again by settings that are read once."""
    with loopback_hub() as server:
        write_blip2(tmp_path / "blip2")
        server.add("someone/blip2", tmp_path / "blip2", xet=True)
        server.fault, server.only = fault, only
        program = (
            "from expclip_cache.base import handle_errors\n"
            "from expclip_cache.encoders import LlmSettings\n"
            "from expclip_cache.encoders.llm_files import find_llm_files\n"
            "with handle_errors(): find_llm_files(LlmSettings(model='someone/blip2'))\n"
        )
        environment = os.environ | {
            "HF_ENDPOINT": server.address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1",
            "HF_XET_CLIENT_RETRY_BASE_DELAY": "1ms",
        }
        ended = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300
        )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error: teacher: someone/blip2 is not a folder on this machine")
    assert "model.safetensors (0.4 MB): " in ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_clip_of_full_size_comes_through_the_hub(tmp_path, monkeypatch):
    """ViT-B/32 with random weights, 605 MB, as the tag `openai` stands for it."""
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 6e9:
        pytest.skip("needs 6 GB of memory")
    folder = tmp_path / "timm"
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32-quickgelu")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    settings = ClipSettings(model="ViT-B-32-quickgelu", weights="openai")
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with served_models(tmp_path, monkeypatch, xet=True) as served:
        commit = served.hub.add("timm/vit_base_patch32_clip_224.openai", folder, xet=True)
        encoder = load_clip(settings, CPU)
        assert encoder.describe()["library"].endswith(f"timm/vit_base_patch32_clip_224.openai@{commit}")
        assert encoder.describe()["weights_sha256"] == sha256(folder / "open_clip_model.safetensors")
        values = pixels.float() / 255
        expected = model.eval().encode_image(values)
        torch.testing.assert_close(encoder.encode_images(pixels), expected, rtol=0, atol=1e-4)
