"""The extraction engine with a real, tiny CLIP: resume, refusal, bad pictures, identical bytes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from expclip_cache.base.errors import CacheError, DataError, EncoderError, SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import INDEX, MANIFEST, Block, Identity, shard_name
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.cache.shard import open_shard
from expclip_cache.cache.shard_writer import write_shard
from expclip_cache.datasets.listing import Listing, Row
from expclip_cache.datasets.manifest import build_manifest
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.images import read_pixels
from expclip_cache.extraction.encoding import encode_rows
from expclip_cache.extraction.extract_text import extract_texts
from expclip_cache.extraction.jobs import clip_job
from expclip_cache.extraction.run import extract
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_clip

CACHE = CacheSettings(shard_rows=4, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=3, workers=0)


class Notes(SilentReporter):
    """Remembers what was said."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(10):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def make_job(faces: Path, model, out: Path):
    names = sorted(path.name for path in faces.iterdir())
    listing = Listing(tuple(Row(name, k % 2, (name,)) for k, name in enumerate(names)), ("x", "y"))
    return clip_job(build_manifest("faces", faces, listing), lambda: faces, model, out)


def refuse(*_):
    raise AssertionError("nothing had to be loaded or read")


@pytest.fixture
def job(faces, model, tmp_path):
    return make_job(faces, model, tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_features_are_those_of_the_encoder_row_by_row(job, faces, model):
    cache = extract(job, CACHE, RUN, SilentReporter())
    encoder = load_clip(model, torch.device("cpu"))
    for row, name in enumerate(sorted(path.name for path in faces.iterdir())):
        pixels = torch.from_numpy(read_pixels(faces / name, encoder.preprocess))[None]
        found = cache[np.array([row])][0]
        np.testing.assert_allclose(found, encoder.encode_images(pixels)[0].numpy(), atol=1e-5)
        assert cache.paths(np.array([row])) == [name.encode()]
        assert cache.labels[np.array([row])] == [row % 2]


def test_a_complete_cache_needs_neither_pictures_nor_encoder(job):
    first = extract(job, CACHE, RUN, SilentReporter())
    again = extract(replace(job, root=refuse, load=refuse), CACHE, RUN, notes := Notes())
    assert again.index == first.index
    assert "nothing to do" in notes.lines[-1]


def test_a_machine_without_the_weights_trusts_the_fingerprint(job):
    extract(job, CACHE, RUN, SilentReporter())
    extract(replace(job, root=refuse, load=refuse, weights=lambda: None), CACHE, RUN, SilentReporter())


def test_weights_are_not_hashed_for_a_comparison_with_nothing(job):
    extract(replace(job, weights=refuse), CACHE, RUN, SilentReporter())


def test_worker_processes_change_nothing(job, tmp_path):
    extract(job, CACHE, RUN, SilentReporter())
    extract(replace(job, out=tmp_path / "two"), CACHE, RUN.model_copy(update={"workers": 2}), SilentReporter())
    assert contents(job.out) == contents(tmp_path / "two")


def test_resume_makes_only_what_is_missing_and_ends_in_the_same_bytes(job, monkeypatch):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    (job.out / INDEX).unlink()
    (job.out / shard_name(1)).unlink()
    (job.out / f".{shard_name(1)}.77.tmp").write_bytes(b"half")
    written = []
    monkeypatch.setattr(
        "expclip_cache.extraction.make_shards.write_shard",
        lambda out, block, *who: written.append(block.number) or write_shard(out, block, *who),
    )
    extract(job, CACHE, RUN, notes := Notes())
    assert written == [1]
    assert contents(job.out) == whole
    assert any("2 of 3 shards are there already" in line for line in notes.lines)


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_shard_is_made_again(job, damage):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    path = job.out / shard_name(0)
    broken = bytearray(whole[path.name])
    if damage == "flip":
        broken[len(broken) // 2] ^= 1
    else:
        broken = broken[:100]
    path.write_bytes(broken)
    if damage == "remove":
        path.unlink()
    (job.out / INDEX).unlink()
    extract(job, CACHE, RUN, SilentReporter())
    assert contents(job.out) == whole


def test_parts_made_apart_are_the_whole(job, tmp_path):
    extract(job, CACHE, RUN, SilentReporter())
    parts = replace(job, out=tmp_path / "parts")
    assert extract(parts, CACHE, RUN, notes := Notes(), only=range(1, 3)) is None
    assert "1 of 3 shards are still to be made" in notes.lines[-1]
    assert not (parts.out / INDEX).exists()
    assert extract(parts, CACHE, RUN, SilentReporter(), only=range(1)).rows == 10
    assert contents(parts.out) == contents(job.out)
    with pytest.raises(SettingsError, match="shards 2:4: expected a part of 0:3"):
        extract(parts, CACHE, RUN, SilentReporter(), only=range(2, 4))


def test_a_merge_is_just_the_index(job):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    (job.out / INDEX).unlink()
    extract(replace(job, root=refuse, load=refuse), CACHE, RUN, SilentReporter())
    assert contents(job.out) == whole


def test_a_damaged_index_is_made_again_from_the_shards(job):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    (job.out / INDEX).write_bytes(whole[INDEX][:-9])
    extract(job, CACHE, RUN, SilentReporter())
    assert contents(job.out) == whole


def test_other_settings_are_named_and_refused(job, faces, model):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    other = make_job(faces, model.model_copy(update={"preprocess": "clip"}), job.out)
    with pytest.raises(CacheError, match="preprocess differs: cached 'reference', asked 'clip'"):
        extract(other, CACHE, RUN, SilentReporter())
    with pytest.raises(CacheError, match="dtype differs: cached 'float32', asked 'float16'"):
        extract(job, CACHE.model_copy(update={"dtype": "float16"}), RUN, SilentReporter())
    with pytest.raises(CacheError, match="shard_rows differs: cached 4, asked 5"):
        extract(job, CACHE.model_copy(update={"shard_rows": 5}), RUN, SilentReporter())
    (faces / "3.png").unlink()
    with pytest.raises(CacheError, match="manifest differs"):
        extract(make_job(faces, model, job.out), CACHE, RUN, SilentReporter())
    assert contents(job.out) == whole


def test_other_weights_are_noticed(job, faces, model, tmp_path):
    from safetensors.torch import load_file, save_file

    extract(job, CACHE, RUN, SilentReporter())
    (job.out / INDEX).unlink()
    (job.out / shard_name(2)).unlink()
    copy = tmp_path / "copy"
    shutil.copytree(model.model, copy)
    tensors = load_file(copy / "open_clip_model.safetensors")
    tensors["logit_scale"] = tensors["logit_scale"] + 1
    save_file(tensors, copy / "open_clip_model.safetensors")
    swapped = replace(make_job(faces, model.model_copy(update={"model": str(copy)}), job.out), settings=job.settings)
    with pytest.raises(CacheError, match="weights_sha256 differs"):
        extract(swapped, CACHE, RUN, SilentReporter())


def test_replace_makes_the_cache_anew(job, faces, model):
    extract(job, CACHE, RUN, SilentReporter())
    other = make_job(faces, model.model_copy(update={"preprocess": "clip"}), job.out)
    cache = extract(other, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, notes := Notes())
    assert cache.identity.settings["preprocess"] == "clip"
    assert any("preprocess differs" in line for line in notes.lines)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_picture_is_recorded_and_shifts_nothing(faces, model, tmp_path, workers):
    (faces / "4.png").write_text("not a picture")
    job = make_job(faces, model, tmp_path / "out")
    cache = extract(job, CACHE, RUN.model_copy(update={"workers": workers}), notes := Notes())
    assert list(cache.skipped) == [4]
    assert "cannot identify" in cache.skipped[4]
    assert cache.good_rows.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert cache.paths(np.array([5])) == [b"5.png"]
    assert json.loads((job.out / INDEX).read_bytes())["skipped"][0]["path"] == "4.png"
    assert any("1 of 10 rows could not be read" in line for line in notes.lines)


def test_a_bad_picture_fails_by_policy_and_keeps_what_is_done(faces, model, tmp_path):
    (faces / "9.png").write_bytes(b"")
    job = make_job(faces, model, tmp_path / "out")
    with pytest.raises(DataError, match=r"'9.png' \(row 9\) cannot be read"):
        extract(job, CACHE.model_copy(update={"on_bad_image": "fail"}), RUN, SilentReporter())
    assert sorted(contents(job.out)) == [MANIFEST, shard_name(0), shard_name(1)]


def test_not_one_readable_picture_is_an_error(faces, model, tmp_path):
    for path in faces.iterdir():
        path.write_text("not a picture")
    with pytest.raises(DataError, match="not one of its 10 rows could be read"):
        extract(make_job(faces, model, tmp_path / "out"), CACHE, RUN, SilentReporter())


def test_a_clip_is_the_mean_of_its_frames(faces, model, tmp_path):
    rows = (Row("a", 0, ("0.png", "1.png", "1.png")), Row("b", 1, ("2.png", "3.png", "4.png")))
    manifest = build_manifest("clips", faces, Listing(rows, ("x", "y")))
    cache = extract(clip_job(manifest, lambda: faces, model, tmp_path / "out"), CACHE, RUN, SilentReporter())
    frames = extract(make_job(faces, model, tmp_path / "frames"), CACHE, RUN, SilentReporter())
    expected = [frames.features(np.array(ids)).mean(axis=0) for ids in ([0, 1, 1], [2, 3, 4])]
    np.testing.assert_allclose(cache[np.arange(2)], expected, atol=1e-6)


def test_a_batch_that_does_not_fit_is_halved_and_said(model):
    encoder = load_clip(model, torch.device("cpu"))

    class Small:
        """The real encoder on a device with room for two pictures."""

        device, width = encoder.device, encoder.width

        def encode_images(self, pixels):
            if len(pixels) > 2:
                raise torch.OutOfMemoryError("room for two")
            return encoder.encode_images(pixels)

    pixels = torch.randint(0, 256, (7, 1, 3, 28, 28), dtype=torch.uint8)
    found = encode_rows(Small(), pixels, np.ones(7, dtype=bool), notes := Notes())
    np.testing.assert_allclose(found, encoder.encode_images(pixels[:, 0]).numpy(), atol=1e-5)
    assert "out of memory with 7 pictures" in notes.lines[0]


def test_no_room_for_a_single_picture(model):
    class Full:
        device, width = torch.device("cpu"), 24

        def encode_images(self, pixels):
            raise torch.OutOfMemoryError

    with pytest.raises(EncoderError, match="out of memory with a single picture"):
        encode_rows(Full(), torch.zeros(3, 1, 3, 28, 28, dtype=torch.uint8), np.ones(3, dtype=bool), SilentReporter())


def test_prompts_are_cached_by_their_text(model, tmp_path):
    encoder = load_clip(model, torch.device("cpu"))
    texts = ("a photo of a face .", "an expression of anger .")
    extract_texts(texts, encoder, model.text_settings(), tmp_path / "prompts", CACHE)
    cache = FeatureCache(tmp_path / "prompts")
    assert [path.decode() for path in cache.paths(np.arange(2))] == list(texts)
    np.testing.assert_allclose(cache[np.arange(2)], encoder.encode_texts(list(texts)).numpy(), atol=1e-6)


def test_an_unfinished_cache_cut_in_another_way_is_refused_by_name(job):
    extract(job, CACHE, RUN, SilentReporter())
    (job.out / INDEX).unlink()
    whole = contents(job.out)
    with pytest.raises(CacheError, match="shard_rows differs: cached 4, asked 3"):
        extract(job, CACHE.model_copy(update={"shard_rows": 3}), RUN, SilentReporter())
    assert contents(job.out) == whole


def test_parts_made_with_different_settings_never_become_one_cache(job, faces, model):
    other = make_job(faces, model.model_copy(update={"preprocess": "clip"}), job.out)
    extract(job, CACHE, RUN, SilentReporter(), only=range(2))
    for number in range(2):
        (job.out / shard_name(number)).rename(job.out / f"hidden-{number}")
    extract(other, CACHE, RUN, SilentReporter(), only=range(2, 3))
    for number in range(2):
        (job.out / f"hidden-{number}").rename(job.out / shard_name(number))
    with pytest.raises(CacheError, match=r"shard-00002\.h5: preprocess differs: cached 'clip', asked 'reference'"):
        extract(job, CACHE, RUN, SilentReporter(), only=range(2))
    assert not (job.out / INDEX).exists()


def test_parts_made_with_different_weights_never_become_one_cache(job):
    extract(job, CACHE, RUN, SilentReporter())
    (job.out / INDEX).unlink()
    shard = open_shard(job.out / shard_name(2))
    identity = Identity(shard.identity.settings, {**shard.identity.encoder, "weights_sha256": "other"})
    block = Block(2, 8, shard.features, shard.labels, tuple(shard.paths), tuple(shard.errors))
    write_shard(job.out, block, identity, "test")
    unknowing = replace(job, weights=lambda: None)
    with pytest.raises(CacheError, match=r"shard-00002\.h5 was made with another encoder(.|\n)*weights_sha256 differs"):
        extract(unknowing, CACHE, RUN, SilentReporter())
    assert not (job.out / INDEX).exists()


def test_a_part_replaces_nothing(job, faces, model):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    other = make_job(faces, model.model_copy(update={"preprocess": "clip"}), job.out)
    with pytest.raises(CacheError, match="would take shards from under the other parts"):
        extract(other, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, SilentReporter(), only=range(1))
    assert contents(job.out) == whole


def test_a_shard_under_the_name_of_another_is_made_again(job):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    (job.out / INDEX).unlink()
    shutil.copy(job.out / shard_name(1), job.out / shard_name(0))
    extract(job, CACHE, RUN, notes := Notes())
    assert any("is shard 1 by its content. Making it again" in line for line in notes.lines)
    assert contents(job.out) == whole


def test_the_manifest_lies_beside_the_shards_and_is_mended(job):
    extract(job, CACHE, RUN, SilentReporter())
    whole = contents(job.out)
    (job.out / MANIFEST).write_bytes(b"{}")
    extract(replace(job, root=refuse, load=refuse), CACHE, RUN, SilentReporter())
    assert contents(job.out) == whole


def test_reasons_are_kept_short_and_without_nul(job, monkeypatch):
    def read(path, how):
        if path.name == "4.png":
            raise DataError("a\0b\udcff" + "x" * 10_000)
        return read_pixels(path, how)

    monkeypatch.setattr("expclip_cache.extraction.decoding.read_pixels", read)
    reason = extract(job, CACHE, RUN, SilentReporter()).skipped[4]
    assert reason.startswith("a\\0b\\udcffxxx")
    assert len(reason) < 600
