"""Features of models on a hub whose branches move while caches are half finished: a real server, real tiny models."""

from pathlib import Path

import huggingface_hub
import pytest
from safetensors.torch import load_file, save_file

from expclip_cache.base import CacheError
from expclip_cache.cache import INDEX, CacheSettings, FeatureCache, shard_name
from expclip_cache.encoders import ClipSettings, LlmSettings
from expclip_cache.extraction import encode_prompts
from expclip_cache.extraction import extract as extract_features
from face_images import RUN, RecordingReporter, write_images
from served_models import Served, served_models

CLIP, LLM = ClipSettings(model="hf-hub:someone/clip"), LlmSettings(model="someone/blip2")
NAMES = {CLIP.model: "clip", LLM.model: "blip2"}
CACHE = CacheSettings(shard_rows=4)
BOTH = pytest.mark.parametrize("model", [CLIP, LLM], ids=["clip", "blip2"])


@pytest.fixture
def plain(tmp_path, monkeypatch):
    with served_models(tmp_path / "models", monkeypatch, xet=False) as found:
        yield found


@pytest.fixture
def images(tmp_path) -> Path:
    return write_images(tmp_path / "images", 10, bad=())


def extract(
    images: Path, out: Path, model: ClipSettings | LlmSettings, report: RecordingReporter | None = None
) -> FeatureCache:
    return extract_features(images, out, model, cache=CACHE, run=RUN, report=report)


def half_finished(images: Path, out: Path, model: ClipSettings | LlmSettings) -> None:
    """The cache as a kill would leave it: two of three shards, and no index."""
    extract(images, out, model)
    (out / INDEX).unlink()
    (out / shard_name(2)).unlink()


def publish(served: Served, model: ClipSettings | LlmSettings, *, readme: str = "", factor: float = 1.0) -> str:
    """A new commit on the branch main, with another README or other weights."""
    folder = served.folders / NAMES[model.model]
    (folder / "README.md").write_text(readme)
    for file in folder.glob("*.safetensors"):
        if factor != 1 and file.stat().st_size > 100:
            save_file({name: value * factor for name, value in load_file(file).items()}, file, {"format": "pt"})
    return served.hub.add(f"someone/{folder.name}", folder)


def recorded(cache: FeatureCache) -> set[str]:
    return {library.rpartition("@")[2] for library in cache.libraries}


@BOTH
def test_the_commit_is_recorded_and_no_part_of_the_identity(plain, images, tmp_path, model):
    first = publish(plain, model, readme="One.")
    one = extract(images, tmp_path / "one", model)
    second = publish(plain, model, readme="Two.")
    two = extract(images, tmp_path / "two", model)
    assert (recorded(one), recorded(two)) == ({first}, {second})
    assert one.identity == two.identity


@BOTH
@pytest.mark.parametrize("factor", [1.0, 1.5], ids=["another README", "other weights"])
def test_a_half_finished_cache_is_finished_from_the_commit_that_it_was_begun_with(
    plain, images, tmp_path, model, factor
):
    whole = extract(images, tmp_path / "whole", model)
    half_finished(images, tmp_path / "half", model)
    publish(plain, model, readme="Better.", factor=factor)
    finished = extract(images, tmp_path / "half", model)
    assert recorded(finished) == recorded(whole)
    assert finished[:].tobytes() == whole[:].tobytes()


def test_another_machine_that_never_had_the_commit_fetches_it(plain, images, tmp_path, monkeypatch):
    whole = extract(images, tmp_path / "whole", LLM)
    half_finished(images, tmp_path / "half", LLM)
    publish(plain, LLM, factor=1.5)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "other"))
    assert extract(images, tmp_path / "half", LLM)[:].tobytes() == whole[:].tobytes()


@BOTH
def test_pinning_the_commit_that_a_cache_was_made_of_keeps_it(plain, images, tmp_path, model, monkeypatch):
    commit = publish(plain, model, readme="One.")
    out = tmp_path / "out"
    extract(images, out, model)
    pinned = model.model_copy(update={"revision": commit})
    # Here, and on a machine that has neither the weights nor a network.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for cache in (plain.cache, tmp_path / "empty"):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
        reporter = RecordingReporter()
        extract(images, out, pinned, report=reporter)
        assert reporter.lines == [f"{out}: complete, 10 rows; nothing to do"]
    with pytest.raises(
        CacheError, match=r"revision differs: cached someone/.*, requested 0{40}, whose files are not here to be compar"
    ):
        extract(images, out, model.model_copy(update={"revision": "0" * 40}))


@BOTH
def test_a_pinned_commit_with_other_weights_is_refused(plain, images, tmp_path, model):
    out = tmp_path / "out"
    extract(images, out, model)
    commit = publish(plain, model, factor=1.5)
    pinned = model.model_copy(update={"revision": commit})
    extract(images, tmp_path / "new", pinned)
    with pytest.raises(CacheError, match=r"weights_sha256 differs"):
        extract(images, out, pinned)


def test_prompts_are_completed_from_the_commit_that_they_were_begun_with(plain, tmp_path):
    encode_prompts(["anger"], tmp_path / "out", CLIP, device="cpu")
    publish(plain, CLIP, factor=1.5)
    grown = encode_prompts(["anger", "happiness"], tmp_path / "out", CLIP, device="cpu")
    fresh = encode_prompts(["anger", "happiness"], tmp_path / "fresh", CLIP, device="cpu")
    assert recorded(grown) != recorded(fresh)
    assert grown.identity.encoder["weights_sha256"] != fresh.identity.encoder["weights_sha256"]
