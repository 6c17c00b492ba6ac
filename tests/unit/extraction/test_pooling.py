"""Pooled caches of kept frames: the numbers of plain formulas, made once, and made again when the frames are others."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from expclip_cache.base import CacheError, EncoderError, SettingsError
from expclip_cache.cache import INDEX, CacheSettings, CacheWriter, FeatureCache, shard_name, verify_cache
from expclip_cache.datasets import ListedRow, Listing, hash_listing
from expclip_cache.encoders import ClipSettings, load_backbone
from expclip_cache.extraction import Job, clip_encoder, pool_frames, run_job
from expclip_cache.workers import RunSettings
from face_images import RecordingReporter, files_in, write_images
from temporal_checkpoints import write_emoclip, write_emotionclip
from tiny_encoders import write_clip
from tiny_x_clip import write_x_clip

CACHE = CacheSettings(shard_rows=4, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=16, workers=0)
FRAMES, BAD = 3, 2
"""Frames of a clip, and the clip whose second frame is no image."""


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("images") / "images", 30, bad=(BAD * FRAMES + 1,))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ClipSettings:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip")


def job(images: Path, model: ClipSettings, out: Path | str, frames: int = FRAMES, pool: str = "none") -> Job:
    """Ten clips of three frames, the third of them unreadable; or 30 images."""
    names = sorted(path.name for path in images.iterdir())
    parts = [tuple(names[start : start + frames]) for start in range(0, len(names), frames)]
    listing = Listing(tuple(ListedRow(f"clip-{k}", k % 2, part) for k, part in enumerate(parts)), ("x", "y"))
    clip = model.model_copy(update={"pool": pool})
    return Job(hash_listing("clips", images, listing), partial(Path, images), clip_encoder(clip), out)


def extract(images, model, out, frames=FRAMES, pool="none", cache=CACHE) -> FeatureCache:
    done = run_job(job(images, model, out, frames, pool), cache, RUN, RecordingReporter())
    assert done is not None
    return done


def pool(frames, by, out, cache=None) -> tuple[FeatureCache, list[str]]:
    report = RecordingReporter()
    return pool_frames(frames, by, out, cache, "cpu", report), report.lines


@pytest.fixture
def frames(images, model, tmp_path) -> FeatureCache:
    return extract(images, model, tmp_path / "frames")


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def by_hand(clip: np.ndarray, by: str, scale: float) -> np.ndarray:
    """(f, d) -> (d,), one clip at a time in float64."""
    clip = clip.astype(np.float64)
    if by == "attention":
        unit = [frame / np.sqrt(frame @ frame) for frame in clip]
        common = sum(unit) / len(unit)
        scores = np.array([scale * (frame @ common) / np.sqrt(common @ common) for frame in unit])
        return sum(weight * frame for weight, frame in zip(softmax(scores), clip, strict=True))
    return {"first": clip[0], "mean": clip.sum(axis=0) / len(clip), "max": np.max(clip, axis=0)}[by]


@pytest.mark.parametrize("by", ["first", "mean", "max", "attention"])
def test_a_clip_has_the_feature_of_the_formula_and_a_skipped_one_has_none(frames, by, tmp_path):
    pooled, lines = pool(frames, by, tmp_path / by)
    assert pooled.width == frames.layout.width == 24
    assert pooled.layout.frames == 1
    assert pooled.skipped == frames.skipped
    assert list(pooled.skipped) == [BAD]
    assert pooled.paths() == frames.paths()
    assert pooled.labels.tolist() == frames.labels.tolist()
    assert pooled.classes == frames.classes
    assert pooled.libraries == frames.libraries
    assert lines == [f"{tmp_path / by}: 1 of 10 rows could not be read; see index.json"]
    rows = pooled.good_rows
    expected = [by_hand(row.reshape(FRAMES, -1), by, frames.logit_scale) for row in frames[rows]]
    np.testing.assert_allclose(pooled[rows], expected, rtol=1e-5, atol=1e-6)
    assert not [finding for finding in verify_cache(tmp_path / by, RecordingReporter()).findings if finding.problem]


def test_the_mean_is_that_of_the_encoder_but_known_to_come_from_stored_frames(frames, images, model, tmp_path):
    pooled, _ = pool(frames, "mean", tmp_path / "mean")
    encoded = extract(images, model, tmp_path / "encoded", pool="mean")
    np.testing.assert_allclose(pooled[pooled.good_rows], encoded[encoded.good_rows], atol=1e-6)
    assert "temporal_pooling_version" in pooled.identity.settings
    assert "temporal_pooling_version" not in encoded.identity.settings


@pytest.mark.parametrize("by", ["first", "mean", "max", "attention"])
def test_a_still_image_stays_as_it_is(images, model, by, tmp_path):
    frames = extract(images, model, tmp_path / "frames", frames=1)
    pooled, _ = pool(frames, by, tmp_path / by)
    rows = pooled.good_rows
    assert np.array_equal(pooled[rows], frames[rows])


def test_several_vectors_of_an_image_are_pooled_one_by_one(tmp_path):
    from expclip_cache.extraction.frame_poolings import FRAME_POOLINGS

    features = np.random.default_rng(0).normal(size=(5, 4, 3, 6)).astype(np.float32)
    for by, pooling in FRAME_POOLINGS.items():
        found = pooling(features, 10.0)
        for row in range(5):
            for vector in range(3):
                expected = by_hand(features[row, :, vector], by, 10.0)
                np.testing.assert_allclose(found[row, vector], expected, rtol=1e-5, atol=1e-6)


def test_a_cache_of_several_vectors_an_image_keeps_them(images, model, tmp_path):
    """As BLIP-2's query tokens: (n, f * q * d) becomes (n, q * d)."""
    rows = np.random.default_rng(1).normal(size=(10, FRAMES * 2 * 5)).astype(np.float32)
    with CacheWriter(
        tmp_path / "frames",
        manifest=job(images, model, "").manifest,
        settings={**ClipSettings(pool="none").image_settings(), "frames": FRAMES},
        encoder={"width": 5, "vectors": 2, "logit_scale": 10.0, "weights_sha256": "w"},
        library="torch 2.0.0",
        dtype="float32",
    ) as writer:
        writer.add(rows)
    pooled, _ = pool(FeatureCache(tmp_path / "frames"), "max", tmp_path / "max")
    assert pooled.layout == (1, 2, 5, "best-vector")
    assert np.array_equal(pooled[:], rows.reshape(10, FRAMES, 10).max(axis=1))


def test_attention_hardly_counts_a_frame_that_shows_something_else():
    from expclip_cache.extraction.frame_poolings import attention_over_frames, mean_of_frames

    face, other = np.eye(2, dtype=np.float32)
    clip = np.stack([face, face, face, other])[None, :, None]
    assert mean_of_frames(clip, 100.0)[0, 0].tolist() == [0.75, 0.25]
    assert attention_over_frames(clip, 100.0)[0, 0] == pytest.approx([1, 0], abs=1e-6)
    assert attention_over_frames(clip, 0.0)[0, 0] == pytest.approx([0.75, 0.25]), "without a scale it is the mean"
    assert attention_over_frames(np.zeros((1, 2, 1, 3), np.float32), 100.0).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("write", [write_emoclip, write_emotionclip])
def test_temporal_is_the_model_of_the_kind_read_from_the_cache(write, images, tmp_path):
    model = write(tmp_path / "model")
    frames = extract(images, model, tmp_path / "frames")
    pooled, _ = pool(frames, "temporal", tmp_path / "temporal")
    rows = pooled.good_rows
    encoder = load_backbone(model, torch.device("cpu"))
    expected = encoder.pool_frames(torch.from_numpy(frames[rows].reshape(len(rows), FRAMES, 24)))
    np.testing.assert_allclose(pooled[rows], expected.numpy(), atol=1e-6)
    assert pooled.identity.encoder == frames.identity.encoder
    assert pooled.identity.settings["pool"] == "temporal"


def test_what_is_complete_is_left_alone_and_loads_nothing(images, tmp_path):
    frames = extract(images, write_emoclip(tmp_path / "model"), tmp_path / "frames")
    pool(frames, "temporal", tmp_path / "out")
    before = files_in(tmp_path / "out")
    program = (
        "import sys; from expclip_cache.cache import FeatureCache; from expclip_cache.extraction import pool_frames\n"
        f"pool_frames(FeatureCache({str(tmp_path / 'frames')!r}), 'temporal', {str(tmp_path / 'out')!r})\n"
        "assert not {'torch', 'open_clip'} & set(sys.modules), 'a library was imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    _, lines = pool(frames, "temporal", tmp_path / "out")
    assert lines == [f"{tmp_path / 'out'}: complete, 10 rows; nothing to do"]
    assert files_in(tmp_path / "out") == before


def test_a_run_that_was_ended_goes_on_shard_by_shard(frames, tmp_path):
    pool(frames, "max", tmp_path / "whole")
    pool(frames, "max", tmp_path / "out")
    for name in (INDEX, shard_name(1)):
        (tmp_path / "out" / name).unlink()
    _, lines = pool(frames, "max", tmp_path / "out")
    assert lines[0] == f"{tmp_path / 'out'}: 2 of 3 shards are there already"
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")


def test_other_frames_are_pooled_again_or_refused(frames, images, tmp_path):
    pool(frames, "max", tmp_path / "out")
    other = write_clip(tmp_path / "other", None)
    other_frames = extract(images, other, tmp_path / "other-frames")
    with pytest.raises(
        CacheError, match=r"(?s)holds features made with other settings; nothing was changed.*model differs"
    ):
        pool(other_frames, "max", tmp_path / "out")
    with pytest.raises(CacheError, match="pool differs: cached 'max', requested 'first'"):
        pool(frames, "first", tmp_path / "out")
    replaced, lines = pool(frames, "first", tmp_path / "out", CacheSettings(on_mismatch="replace"))
    assert "replacing features made with other settings" in lines[0]
    assert np.array_equal(replaced[replaced.good_rows], frames[frames.good_rows][:, :24])


def test_frames_of_other_weights_under_the_same_name_are_pooled_again(images, tmp_path):
    model = write_clip(tmp_path / "clip")
    pool(extract(images, model, tmp_path / "frames"), "max", tmp_path / "out")
    from tiny_encoders import edit_weights

    edit_weights(tmp_path / "clip/open_clip_model.safetensors", {"visual.proj": torch.randn(32, 24)})
    replace = CACHE.model_copy(update={"on_mismatch": "replace"})
    frames = extract(images, model, tmp_path / "frames", cache=replace)
    with pytest.raises(CacheError, match="weights_sha256 differs"):
        pool(frames, "max", tmp_path / "out")
    pooled, _ = pool(frames, "max", tmp_path / "out", replace)
    rows = pooled.good_rows
    assert np.array_equal(pooled[rows], frames[rows].reshape(len(rows), FRAMES, -1).max(axis=1))


def test_a_clip_that_can_be_read_by_now_gets_its_feature(frames, images, model, tmp_path):
    """As after `retry_skipped`: the frames have the same identity and one row more."""
    pool(frames, "max", tmp_path / "out")
    rows, settings = np.zeros((10, FRAMES * 24), np.float32), dict(frames.identity.settings)
    rows[frames.good_rows] = frames[frames.good_rows]
    with CacheWriter(
        tmp_path / "read",
        manifest=job(images, model, "").manifest,
        settings={name: value for name, value in settings.items() if name not in ("dtype", "manifest")},
        encoder=frames.identity.encoder,
        library=frames.libraries[0],
        shard_rows=4,
        dtype="float32",
    ) as writer:
        writer.add(rows)
    read = FeatureCache(tmp_path / "read")
    assert read.identity == frames.identity
    pooled, _ = pool(read, "max", tmp_path / "out")
    assert not pooled.skipped
    assert np.array_equal(pooled[:], read[:].reshape(10, FRAMES, 24).max(axis=1))
    assert pool(read, "max", tmp_path / "out")[1] == [f"{tmp_path / 'out'}: complete, 10 rows; nothing to do"]


def test_a_cache_in_a_remote_store_is_pooled_into_another(images, model, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCLIP_CACHE_MIRROR", str(tmp_path / "mirror"))
    frames = extract(images, model, "memory://pooling/frames")
    pooled, _ = pool(frames, "attention", "memory://pooling/attention")
    local, _ = pool(extract(images, model, tmp_path / "frames"), "attention", tmp_path / "attention")
    rows = local.good_rows
    assert pooled.identity == local.identity
    assert np.array_equal(pooled[rows], local[rows])


def test_features_of_whole_clips_cannot_be_pooled(images, model, tmp_path):
    encoded = extract(images, model, tmp_path / "mean", pool="mean")
    with pytest.raises(CacheError, match=r"expected the features of every frame \(pool: none\).*\(pool: mean\)"):
        pool(encoded, "max", tmp_path / "out")


def test_a_model_without_temporal_part_is_refused(frames, tmp_path):
    with pytest.raises(SettingsError, match="kind open-clip has no temporal model"):
        pool(frames, "temporal", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_temporal_model_must_be_that_of_the_frames(images, tmp_path):
    model = write_emoclip(tmp_path / "model")
    frames = extract(images, model, tmp_path / "frames")
    tensors = torch.load(model.weights, weights_only=True)
    torch.save(tensors | {"module.logit_scale": torch.tensor(4.0)}, model.weights)
    with pytest.raises(EncoderError, match=r"(?s)frames were encoded by another model.*logit_scale differs"):
        pool(frames, "temporal", tmp_path / "out")


def test_what_are_no_frames_of_a_backbone_is_said_in_its_own_words(images, frames, tmp_path):
    targets = CacheWriter(tmp_path / "targets", manifest="m", settings={"encoder": "llm-target"}, dtype="float32")
    with targets as writer:
        writer.add(np.zeros((2, 3)))
    with pytest.raises(CacheError, match=r"expected image features of a CLIP .*found features of llm-target"):
        pool(FeatureCache(tmp_path / "targets"), "max", tmp_path / "out")
    with pytest.raises(SettingsError, match=r"frames: kind open-clip has no temporal model\. Pool by first, mean, max"):
        pool(frames, "temporal", tmp_path / "out")
    x_clip = write_x_clip(tmp_path / "x-clip")
    clips = extract(images, x_clip, tmp_path / "clips", pool="mean")
    with pytest.raises(CacheError, match=r"kind x-clip puts the frames of a clip together by itself: nothing is left"):
        pool(clips, "max", tmp_path / "out")


def test_a_complete_cache_of_a_temporal_model_with_other_files_is_not_taken_as_it_is(images, tmp_path):
    model = write_emoclip(tmp_path / "model")
    frames = extract(images, model, tmp_path / "frames")
    pool(frames, "temporal", tmp_path / "out")
    tensors = torch.load(model.weights, weights_only=True)
    name = next(name for name in tensors if "temporal" in name)
    torch.save({**tensors, name: tensors[name] + 1}, model.weights)
    with pytest.raises(CacheError, match="weights_sha256 differs"):
        pool(frames, "temporal", tmp_path / "out")
    assert len(pool(frames, "max", tmp_path / "max")[0]) == 10, "a pooling without weights needs no files"


def test_features_too_large_for_half_precision_are_refused_by_name(images, tmp_path):
    model = write_emoclip(tmp_path / "model")
    tensors = torch.load(model.weights, weights_only=True)
    name = "module.temporal.temporal_transformer.layers.1.1.fn.fn.net.3.bias"
    torch.save(tensors | {name: torch.full((24,), 1e6)}, model.weights)
    frames = extract(images, model, tmp_path / "frames", cache=CacheSettings(shard_rows=4))
    with pytest.raises(EncoderError, match="pooled features of 'clip-0' are not finite in float16"):
        pool(frames, "temporal", tmp_path / "out")
