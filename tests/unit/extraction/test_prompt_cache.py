"""The cache of prompts, with a real, tiny CLIP: an embedding depends on its text alone, and is made once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from expclip_cache.base import EncoderError, SilentReporter
from expclip_cache.cache import INDEX, CacheSettings, FeatureCache, shard_name
from expclip_cache.encoders import load_clip
from expclip_cache.encoders.clip import ClipEncoder
from expclip_cache.extraction import encode_prompts, prompt_cache
from face_images import RecordingReporter, files_in
from tiny_encoders import edit_weights, write_clip

CACHE = CacheSettings(dtype="float32")
ANGER, JOY, FEAR = "an expression of anger .", "an expression of joy .", "a photo of a face with fear ."


@pytest.fixture
def model(tmp_path):
    return write_clip(tmp_path / "clip")


@pytest.fixture
def encoded(monkeypatch) -> list[list[str]]:
    """The texts of each call of the text tower."""
    calls: list[list[str]] = []
    original = ClipEncoder.encode_texts

    def encode_texts(self, texts):
        calls.append(list(texts))
        return original(self, texts)

    monkeypatch.setattr(ClipEncoder, "encode_texts", encode_texts)
    return calls


def encode(out, model, *texts, cache=CACHE, report=None):
    return encode_prompts(texts, out, model, cache, "cpu", report)


def test_the_paths_are_the_prompts_and_the_features_those_of_the_text_tower(model, tmp_path, encoded):
    cache = encode(tmp_path / "out", model, ANGER, JOY, ANGER)
    assert encoded == [[ANGER], [JOY]]
    assert cache.paths() == [ANGER, JOY]
    expected = load_clip(model, torch.device("cpu")).encode_texts([ANGER, JOY])
    np.testing.assert_allclose(cache[:], expected.numpy(), atol=3e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_an_embedding_does_not_depend_on_the_other_texts(model, tmp_path, dtype):
    settings = CacheSettings(dtype=dtype)
    many = encode(tmp_path / "many", model, *(f"prompt {number}" for number in range(9)), ANGER, cache=settings)
    one = encode(tmp_path / "one", model, ANGER, cache=settings)
    assert many[9].tobytes() == one[0].tobytes()


def test_complete_prompts_are_passed_over(model, tmp_path, encoded, monkeypatch):
    out = tmp_path / "out"
    encode(out, model, ANGER, JOY)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    monkeypatch.setattr(prompt_cache, "_load", None)
    cache = encode(out, model, ANGER, JOY, report=(reporter := RecordingReporter()))
    assert reporter.lines == [f"{out}: complete, 2 prompts; nothing to do"]
    assert cache.paths() == [ANGER, JOY]
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert len(encoded) == 2


def test_only_new_prompts_are_encoded(model, tmp_path, encoded):
    out = tmp_path / "out"
    old = encode(out, model, ANGER, JOY)[:]
    cache = encode(out, model, FEAR, JOY, ANGER, report=(reporter := RecordingReporter()))
    assert encoded == [[ANGER], [JOY], [FEAR]]
    assert cache[[2, 1]].tobytes() == old.tobytes()
    assert cache.paths() == [FEAR, JOY, ANGER]
    assert reporter.bars == [(f"{out} on cpu", 1, "prompt")]
    assert reporter.lines == [f"{out}: 3 prompts, 1 of them new"]
    encode(tmp_path / "at once", model, FEAR, JOY, ANGER)
    assert files_in(out) == files_in(tmp_path / "at once")


def test_fewer_prompts_or_another_order_need_no_encoder(model, tmp_path, encoded, monkeypatch):
    out = tmp_path / "out"
    old = encode(out, model, ANGER, JOY, FEAR)[:]
    monkeypatch.setattr(prompt_cache, "_load", None)
    cache = encode(out, model, FEAR, ANGER)
    assert len(encoded) == 3
    assert cache[:].tobytes() == old[[2, 0]].tobytes()
    assert cache.paths() == [FEAR, ANGER]


def test_other_settings_replace_everything(model, tmp_path, encoded):
    out = tmp_path / "out"
    encode(out, model, ANGER, JOY)
    assert encode(out, model, ANGER, JOY, cache=CacheSettings(dtype="float16")).dtype == np.float16
    other = model.model_copy(update={"precision": "bf16"})
    assert encode(out, other, ANGER).identity.settings["precision"] == "bf16"
    assert [text for (text,) in encoded] == [ANGER, JOY, ANGER, JOY, ANGER]


def test_other_weights_replace_everything(model, tmp_path, encoded):
    out = tmp_path / "out"
    before = encode(out, model, ANGER)[:]
    file = Path(model.model) / "open_clip_model.safetensors"
    edit_weights(file, {"text_projection": torch.ones(32, 24)})
    after = encode(out, model, ANGER)
    assert len(encoded) == 2
    assert after[:].tobytes() != before.tobytes()


def test_weights_that_are_not_on_this_machine_are_not_compared(model, tmp_path, encoded, monkeypatch):
    out = tmp_path / "out"
    encode(out, model, ANGER)
    monkeypatch.setattr(prompt_cache, "file_hashes", lambda *_: None)
    encode(out, model, ANGER)
    assert encoded == [[ANGER]]
    index = json.loads((out / INDEX).read_text())
    assert index["encoder"]["weights_sha256"]


def test_weights_that_arrive_only_now_are_compared_then(model, tmp_path, encoded, monkeypatch):
    """The weights are downloaded for a new prompt, and turn out to be others."""
    out = tmp_path / "out"
    encode(out, model, ANGER)
    edit_weights(Path(model.model) / "open_clip_model.safetensors", {"text_projection": torch.ones(32, 24)})
    monkeypatch.setattr(prompt_cache, "file_hashes", lambda *_: None)
    cache = encode(out, model, ANGER, JOY)
    assert encoded == [[ANGER], [ANGER], [JOY]]
    assert cache[:].tobytes() == encode(tmp_path / "fresh", model, ANGER, JOY)[:].tobytes()


def test_prompts_made_under_other_libraries(model, tmp_path, encoded, monkeypatch):
    out = tmp_path / "out"
    encode(out, model, ANGER, JOY)
    monkeypatch.setattr(prompt_cache, "library_versions", lambda _: {"torch": "99.0"})
    encode(out, model, JOY, report=(reporter := RecordingReporter()))
    assert "keeping prompts encoded under other library versions: torch " in reporter.lines[0]
    assert len(encoded) == 2
    encode(out, model, JOY, FEAR)
    assert encoded[2:] == [[JOY], [FEAR]]
    encode(out, model, JOY, FEAR, cache=CACHE.model_copy(update={"on_other_library": "refuse"}))
    assert encoded[4:] == [[JOY], [FEAR]]


def test_a_damaged_cache_is_made_again(model, tmp_path, encoded):
    out = tmp_path / "out"
    encode(out, model, ANGER, JOY)
    whole = files_in(out)
    shutil.copytree(out, tmp_path / "copy")
    raw = bytearray((out / shard_name(0)).read_bytes())
    raw[len(raw) // 2] ^= 4
    (out / shard_name(0)).write_bytes(raw)
    encode(out, model, ANGER, JOY, report=(reporter := RecordingReporter()))
    assert "Encoding every prompt again." in reporter.lines[0]
    assert files_in(out) == whole
    (out / INDEX).write_text("{")
    encode(out, model, ANGER, JOY)
    assert files_in(out) == whole
    assert len(encoded) == 6


def test_a_prompt_that_is_too_long_leaves_what_is_there(model, tmp_path):
    encode(tmp_path / "out", model, ANGER)
    with pytest.raises(EncoderError, match="has more than the"):
        encode_prompts([ANGER, "anger " * 99], tmp_path / "out", model, CACHE, "cpu", SilentReporter())
    assert FeatureCache(tmp_path / "out").paths() == [ANGER]


def test_embeddings_of_the_same_clip_elsewhere_are_taken(model, tmp_path, encoded):
    encode(tmp_path / "first", model, ANGER, JOY)
    places = [tmp_path / "missing", tmp_path / "first"]
    second = encode_prompts([JOY, FEAR], tmp_path / "second", model, CACHE, "cpu", others=places)
    assert encoded == [[ANGER], [JOY], [FEAR]]
    alone = encode(tmp_path / "alone", model, JOY, FEAR)
    assert second.identity == alone.identity
    assert second[:].tobytes() == alone[:].tobytes()
    encoded.clear()
    other = write_clip(tmp_path / "other")
    encode_prompts([JOY], tmp_path / "third", other, CACHE, "cpu", others=places)
    assert encoded == [[JOY]], "those of another model are not"
