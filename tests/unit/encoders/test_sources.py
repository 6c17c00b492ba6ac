import hashlib
import json
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from expclip_cache.base.errors import EncoderError
from expclip_cache.encoders import files
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.clip_source import clip_source
from expclip_cache.encoders.hashing import digest
from expclip_cache.encoders.llm_source import llm_source
from expclip_cache.encoders.settings import ClipSettings, LlmSettings
from expclip_cache.encoders.weights import weights_sha256
from tiny_encoders import INSTRUCTION, blip2_config, write_blip2, write_clip


def clip(model: str, weights: str = "pretrained") -> ClipSettings:
    return ClipSettings(name="tiny", model=str(model), weights=weights)


def llm(model: str, **more: str) -> LlmSettings:
    return LlmSettings(name="tiny", model=str(model), instruction=INSTRUCTION, **more)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_swapped_clip_weights_are_noticed(tmp_path):
    params, file = write_clip(tmp_path), tmp_path / "open_clip_model.safetensors"
    assert weights_sha256(params) == sha256(file) == load_clip(params, torch.device("cpu")).describe()["weights_sha256"]
    first = clip_source(params).identity()
    weights = load_file(file)
    weights["visual.proj"][0, 0] += 1
    save_file(weights, file)
    second = clip_source(params).identity()
    assert first.pop("weights_sha256") != second.pop("weights_sha256") == sha256(file)
    assert first == second


def test_changed_config_and_tokenizer_are_noticed(tmp_path):
    params = write_clip(tmp_path)
    before = clip_source(params).identity()
    config = tmp_path / "open_clip_config.json"
    config.write_text(config.read_text() + "\n")
    after = clip_source(params).identity()
    assert {key for key in before if before[key] != after[key]} == {"config_sha256"}
    (tmp_path / "tokenizer.json").write_text("{}")
    assert {key for key in after if after[key] != clip_source(params).identity()[key]} == {"tokenizer_sha256"}


def test_shards_are_hashed_in_order(tmp_path):
    params, model = write_blip2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert llm_source(params).weights == tuple(shards)
    listing = "".join(f"{sha256(shard)}  {shard.name}\n" for shard in shards)
    assert weights_sha256(params) == digest(shards) == hashlib.sha256(listing.encode()).hexdigest()
    shards[1].unlink()
    assert weights_sha256(params) is None
    with pytest.raises(EncoderError, match=f"expected the file .*{shards[1].name}"):
        llm_source(params)


def test_identity_of_random_and_absent_weights(tmp_path):
    blip2_config().save_pretrained(tmp_path)
    assert weights_sha256(llm(tmp_path)) is None
    assert weights_sha256(llm(tmp_path, weights="random")) == "random:seed=0"
    assert weights_sha256(clip("ViT-B-32-quickgelu", "random")) == "random:seed=0"
    assert weights_sha256(clip(tmp_path)) is None
    assert weights_sha256(llm(tmp_path / "nowhere")) is None


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def cache_repository(cache: Path, name: str, commit: str, folder: Path) -> None:
    """Put a folder into the hub's cache as a download would: blobs named by hash, and links to them."""
    repository = cache / f"models--{name.replace('/', '--')}"
    for part in ("refs", "blobs", f"snapshots/{commit}"):
        (repository / part).mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    for file in folder.iterdir():
        blob = repository / "blobs" / sha256(file)
        blob.write_bytes(file.read_bytes())
        (repository / "snapshots" / commit / file.name).symlink_to(blob)


ADVICE = r".*is not in the cache, and could not be fetched.*give its folder as {0}\.model; {0}\.weights: random"


@pytest.mark.parametrize("offline", [True, False])
def test_without_network_a_repository_that_is_not_cached_is_said(hub, monkeypatch, network_attempts, offline):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    params = llm("Salesforce/blip2-flan-t5-xxl", revision="abc")
    assert weights_sha256(params) is None
    assert not network_attempts
    with pytest.raises(EncoderError, match="Salesforce/blip2-flan-t5-xxl@abc" + ADVICE.format("llm")):
        llm_source(params)
    assert bool(network_attempts) != offline


def test_offline_a_tag_that_is_not_cached_is_said(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    params = clip("ViT-B-32-quickgelu", "openai")
    with pytest.raises(EncoderError, match="ViT-B-32-quickgelu with weights 'openai'" + ADVICE.format("clip")):
        clip_source(params)
    assert weights_sha256(params) is None


def test_a_cached_repository_needs_no_network(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    write_blip2(tmp_path / "llm")
    write_clip(tmp_path / "clip")
    cache_repository(hub, "someone/blip2", commit, tmp_path / "llm")
    cache_repository(hub, "someone/clip", commit, tmp_path / "clip")
    assert (
        llm_source(llm("someone/blip2")).identity() | {"revision": commit}
        == llm_source(llm("someone/blip2")).identity()
    )
    assert weights_sha256(llm("someone/blip2")) == sha256(tmp_path / "llm" / "model.safetensors")
    assert weights_sha256(clip("hf-hub:someone/clip")) == sha256(tmp_path / "clip" / "open_clip_model.safetensors")
    assert load_clip(clip("hf-hub:someone/clip"), torch.device("cpu")).describe()["revision"] == commit


def test_an_unknown_architecture_names_close_ones():
    with pytest.raises(EncoderError, match=r"'ViT-B-32-quickglu' is neither.*Close to it: .*ViT-B-32-quickgelu"):
        clip_source(clip("ViT-B-32-quickglu", "openai"))
    with pytest.raises(EncoderError, match="neither a folder nor an architecture"):
        load_clip(clip("no-such-clip", "random"), torch.device("cpu"))


def test_an_unknown_tag_names_the_known_ones():
    with pytest.raises(
        EncoderError, match=r"'opena1' is not a tag of ViT-B-32-quickgelu.*Close to it: openai.*laion400m_e32"
    ):
        clip_source(clip("ViT-B-32-quickgelu", "opena1"))
    with pytest.raises(EncoderError, match=r"'pretrained' is not a tag.*Expected one of openai"):
        clip_source(clip("ViT-B-32-quickgelu"))


def test_openai_weights_want_quickgelu():
    with pytest.raises(EncoderError, match=r"trained with QuickGELU.*without it.*Set clip.model: ViT-B-32-quickgelu"):
        clip_source(clip("ViT-B-32", "openai"))


def test_every_published_checkpoint_of_the_method_is_known():
    for model in ("ViT-B-32-quickgelu", "ViT-B-16-quickgelu", "ViT-L-14-quickgelu"):
        assert open_clip.get_pretrained_cfg(model, "openai")["hf_hub"].startswith("timm/")


def test_a_missing_folder_is_said():
    for model in ("./nowhere", "/no/such/folder", "a/b/c"):
        with pytest.raises(EncoderError, match=f"clip.model: {model} is not a folder on this machine"):
            clip_source(clip(model))
        with pytest.raises(EncoderError, match=f"llm.model: {model} is not a folder on this machine"):
            llm_source(llm(model))


def test_pickles_are_not_weights(tmp_path):
    params = write_clip(tmp_path / "clip")
    (tmp_path / "clip" / "open_clip_model.safetensors").rename(tmp_path / "clip" / "open_clip_pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"open_clip_model.safetensors, found .*open_clip_pytorch_model.bin.*pickle"):
        clip_source(params)
    params, _ = write_blip2(tmp_path / "llm")
    (tmp_path / "llm" / "model.safetensors").rename(tmp_path / "llm" / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"model.safetensors, found .*pytorch_model.bin.*pickle"):
        llm_source(params)


def test_a_folder_has_its_own_weights(tmp_path):
    params = write_clip(tmp_path)
    with pytest.raises(EncoderError, match=r"'openai' does not go with the folder.*pretrained"):
        clip_source(params.model_copy(update={"weights": "openai"}))
    with pytest.raises(EncoderError, match=r"expected the file .*missing\.safetensors"):
        clip_source(clip("ViT-B-32-quickgelu", str(tmp_path / "missing.safetensors")))


def test_a_broken_index_is_said(tmp_path):
    params, _ = write_blip2(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps([]))
    with pytest.raises(EncoderError, match="does not list the shards"):
        llm_source(params)


def test_demo_is_the_packaged_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PACKAGED", tmp_path)
    with pytest.raises(EncoderError, match="demo encoder is not part of this installation"):
        clip_source(clip("demo"))
    write_clip(tmp_path / "clip")
    write_blip2(tmp_path / "blip2")
    assert clip_source(clip("demo")).folder == tmp_path / "clip"
    assert llm_source(llm("demo")).folder == tmp_path / "blip2"
