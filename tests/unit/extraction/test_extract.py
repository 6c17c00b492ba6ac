"""Extraction with a real, tiny CLIP: resuming, refusing other settings, unreadable images, identical bytes."""

import errno
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from changed_jobs import refuse, untouchable, with_encoder
from expclip_cache.base.errors import CacheError, DataError, EncoderError, SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import INDEX, MANIFEST, Block, Identity, shard_name
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.cache.shard import open_shard
from expclip_cache.cache.shard_writer import write_shard
from expclip_cache.datasets.hashing import hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.images import decode_pixels, read_pixels
from expclip_cache.extraction.batch import free_shared_memory
from expclip_cache.extraction.encoding import encode_rows
from expclip_cache.extraction.folder import extract
from expclip_cache.extraction.jobs import clip_job
from expclip_cache.extraction.run import run_job
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_clip

CACHE = CacheSettings(shard_rows=4, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=3, workers=0)


class RecordingReporter(SilentReporter):
    """Records the lines."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(10):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def make_job(images: Path, model, out: Path):
    names = sorted(path.name for path in images.iterdir())
    listing = Listing(tuple(ListedRow(name, k % 2, (name,)) for k, name in enumerate(names)), ("x", "y"))
    return clip_job(hash_listing("images", images, listing), lambda: images, model, out)


@pytest.fixture
def job(images, model, tmp_path):
    return make_job(images, model, tmp_path / "out")


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_every_row_has_the_features_that_the_encoder_gives_for_its_image(job, images, model):
    cache = run_job(job, CACHE, RUN, SilentReporter())
    encoder = load_clip(model, torch.device("cpu"))
    for row, name in enumerate(sorted(path.name for path in images.iterdir())):
        pixels = torch.from_numpy(read_pixels(images / name, encoder.preprocess))[None]
        found = cache[row]
        np.testing.assert_allclose(found, encoder.encode_images(pixels)[0].numpy(), atol=1e-5)
        assert cache.paths([row]) == [name]
        assert cache.labels[row] == row % 2


def test_a_complete_cache_needs_neither_images_nor_encoder(job):
    first = run_job(job, CACHE, RUN, SilentReporter())
    again = run_job(untouchable(job), CACHE, RUN, reporter := RecordingReporter())
    assert (again.describe(), again.shards, again.libraries) == (first.describe(), first.shards, first.libraries)
    assert "nothing to do" in reporter.lines[-1]


def test_a_complete_cache_that_cannot_be_written_is_complete_all_the_same(job, monkeypatch):
    run_job(job, CACHE, RUN, SilentReporter())

    def refuse_writing(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("expclip_cache.cache.lock.open_shared", refuse_writing)
    before = files_in(job.out)
    run_job(untouchable(job), CACHE, RUN, reporter := RecordingReporter())
    assert "nothing to do" in reporter.lines[-1]
    assert files_in(job.out) == before
    with pytest.raises(CacheError, match="holds features made with other settings"):
        run_job(job, CACHE.model_copy(update={"dtype": "float16"}), RUN, SilentReporter())
    (job.out / INDEX).unlink()
    with pytest.raises(CacheError, match=r"cannot be written to \(Read-only file system\)"):
        run_job(job, CACHE, RUN, SilentReporter())


def test_without_the_weights_on_this_machine_they_are_not_compared(job):
    run_job(job, CACHE, RUN, SilentReporter())
    run_job(with_encoder(untouchable(job), files=lambda _: None), CACHE, RUN, SilentReporter())


def test_files_are_not_hashed_for_an_empty_folder(job):
    run_job(with_encoder(job, files=refuse), CACHE, RUN, SilentReporter())


def test_decoding_workers_do_not_change_the_bytes(job, tmp_path):
    run_job(job, CACHE, RUN, SilentReporter())
    run_job(replace(job, out=tmp_path / "two"), CACHE, RUN.model_copy(update={"workers": 2}), SilentReporter())
    assert files_in(job.out) == files_in(tmp_path / "two")


def test_resuming_encodes_only_the_missing_shards_and_gives_the_same_bytes(job, monkeypatch):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    (job.out / INDEX).unlink()
    (job.out / shard_name(1)).unlink()
    (job.out / f".{shard_name(1)}.77.tmp").write_bytes(b"half")
    written = []
    monkeypatch.setattr(
        "expclip_cache.cache.shard_writer.write_shard",
        lambda out, block, *identity: written.append(block.number) or write_shard(out, block, *identity),
    )
    run_job(job, CACHE, RUN, reporter := RecordingReporter())
    assert written == [1]
    assert files_in(job.out) == before
    assert any("2 of 3 shards are there already" in line for line in reporter.lines)


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_shard_is_encoded_again(job, damage):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    path = job.out / shard_name(0)
    broken = bytearray(before[path.name])
    if damage == "flip":
        broken[len(broken) // 2] ^= 1
    else:
        broken = broken[:100]
    path.write_bytes(broken)
    if damage == "remove":
        path.unlink()
    (job.out / INDEX).unlink()
    run_job(job, CACHE, RUN, SilentReporter())
    assert files_in(job.out) == before


def test_parts_made_separately_give_the_same_bytes(job, tmp_path):
    run_job(job, CACHE, RUN, SilentReporter())
    parts = replace(job, out=tmp_path / "parts")
    assert run_job(parts, CACHE, RUN, reporter := RecordingReporter(), part=range(1, 3)) is None
    assert "1 of 3 shards are still to be made" in reporter.lines[-1]
    assert not (parts.out / INDEX).exists()
    assert run_job(parts, CACHE, RUN, SilentReporter(), part=range(1)) is not None
    assert files_in(parts.out) == files_in(job.out)
    with pytest.raises(SettingsError, match="shards 2:4: expected a part of 0:3"):
        run_job(parts, CACHE, RUN, SilentReporter(), part=range(2, 4))


def test_when_all_shards_are_there_only_the_index_is_written(job):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    (job.out / INDEX).unlink()
    run_job(untouchable(job), CACHE, RUN, SilentReporter())
    assert files_in(job.out) == before


def test_a_damaged_index_is_rebuilt_from_the_shards(job):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    (job.out / INDEX).write_bytes(before[INDEX][:-9])
    run_job(job, CACHE, RUN, SilentReporter())
    assert files_in(job.out) == before


def test_other_settings_are_refused_by_name(job, images, model):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    other = make_job(images, model.model_copy(update={"preprocess": "clip"}), job.out)
    with pytest.raises(CacheError, match="preprocess differs: cached 'reference', requested 'clip'"):
        run_job(other, CACHE, RUN, SilentReporter())
    with pytest.raises(CacheError, match="dtype differs: cached 'float32', requested 'float16'"):
        run_job(job, CACHE.model_copy(update={"dtype": "float16"}), RUN, SilentReporter())
    with pytest.raises(CacheError, match="shard_rows differs: cached 4, requested 5"):
        run_job(job, CACHE.model_copy(update={"shard_rows": 5}), RUN, SilentReporter())
    (images / "3.png").unlink()
    with pytest.raises(CacheError, match="manifest differs"):
        run_job(make_job(images, model, job.out), CACHE, RUN, SilentReporter())
    assert files_in(job.out) == before


def test_other_weights_are_noticed(job, images, model, tmp_path):
    from safetensors.torch import load_file, save_file

    run_job(job, CACHE, RUN, SilentReporter())
    (job.out / INDEX).unlink()
    (job.out / shard_name(2)).unlink()
    copy = tmp_path / "copy"
    shutil.copytree(model.model, copy)
    tensors = load_file(copy / "open_clip_model.safetensors")
    tensors["logit_scale"] = tensors["logit_scale"] + 1
    save_file(tensors, copy / "open_clip_model.safetensors")
    swapped = with_encoder(
        make_job(images, model.model_copy(update={"model": str(copy)}), job.out), settings=job.encoder.settings
    )
    with pytest.raises(CacheError, match="weights_sha256 differs"):
        run_job(swapped, CACHE, RUN, SilentReporter())


def test_images_that_are_not_those_of_the_manifest_end_the_run_by_name(job, images):
    """Another copy of the dataset under the same root, say; features of its images must not pass as those listed."""
    original = (images / "6.png").read_bytes()
    (images / "6.png").write_bytes((images / "7.png").read_bytes())
    with pytest.raises(
        DataError,
        match=rf"^\w+: '6\.png' \(row 6\) is not what its manifest lists: there it had {len(original)} bytes with the "
        rf"hash \w{{32}}, now {re.escape(str(images / '6.png'))}: \d+ bytes .* Put the files of the manifest back",
    ):
        run_job(job, CACHE, RUN, SilentReporter())
    (images / "6.png").write_bytes(original)
    assert len(run_job(job, CACHE, RUN, SilentReporter())) == 10


@pytest.mark.parametrize("change", ["broken", "there again"])
def test_a_file_that_has_changed_is_not_recorded_as_a_bad_image(job, images, change):
    """Neither if it can no longer be decoded, nor if there was none when the manifest was made."""
    if change == "broken":
        (images / "6.png").write_bytes(b"hello")
        changed = job
    else:
        rows = [replace(row, bytes=0, digest=None) if row.path == "6.png" else row for row in job.manifest.rows]
        changed = replace(job, manifest=replace(job.manifest, rows=tuple(rows)))
    with pytest.raises(DataError, match=r"'6\.png' \(row 6\) is not what its manifest lists: there it"):
        run_job(changed, CACHE, RUN, SilentReporter())


def test_a_changed_frame_ends_the_run_of_clips(images, model, tmp_path):
    rows = (ListedRow("a", -1, ("0.png", "1.png", "1.png")), ListedRow("b", -1, ("2.png", "3.png", "4.png")))
    clips = hash_listing("clips", images, Listing(rows, ()))
    (images / "3.png").write_bytes((images / "0.png").read_bytes())
    with pytest.raises(DataError, match=r"clips: 'b' \(row 1\) is not .* its 3 files in "):
        run_job(clip_job(clips, lambda: images, model, tmp_path / "clips"), CACHE, RUN, SilentReporter())


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("file", ["open_clip_config.json", "tokenizer.json"])
def test_other_files_of_the_encoder_are_compared_as_its_weights_are(job, images, model, tmp_path, complete, file):
    """Of a complete cache too, for which no encoder is loaded."""
    run_job(job, CACHE, RUN, SilentReporter())
    if not complete:
        (job.out / INDEX).unlink()
        (job.out / shard_name(2)).unlink()
    copy = tmp_path / "copy"
    shutil.copytree(model.model, copy)
    with (copy / file).open("a") as changed:
        changed.write("\n")
    other = make_job(images, model.model_copy(update={"model": str(copy)}), job.out)
    other = with_encoder(other, settings=job.encoder.settings)
    key = "config_sha256" if "config" in file else "tokenizer_sha256"
    with pytest.raises(CacheError, match=f"{key} differs"):
        run_job(untouchable(other), CACHE, RUN, SilentReporter())
    cache = run_job(other, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, SilentReporter())
    assert cache.identity.encoder[key] != job.encoder.load((), "cpu").describe()[key]


def test_replace_encodes_everything_again(job, images, model):
    run_job(job, CACHE, RUN, SilentReporter())
    other = make_job(images, model.model_copy(update={"preprocess": "clip"}), job.out)
    cache = run_job(other, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, reporter := RecordingReporter())
    assert cache.identity.settings["preprocess"] == "clip"
    assert any("preprocess differs" in line for line in reporter.lines)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_recorded_and_shifts_no_row(images, model, tmp_path, workers):
    (images / "4.png").write_text("not an image")
    job = make_job(images, model, tmp_path / "out")
    cache = run_job(job, CACHE, RUN.model_copy(update={"workers": workers}), reporter := RecordingReporter())
    assert list(cache.skipped) == [4]
    assert "cannot identify" in cache.skipped[4]
    assert cache.good_rows.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert cache.paths([5]) == ["5.png"]
    assert json.loads((job.out / INDEX).read_bytes())["skipped"][0]["path"] == "4.png"
    assert any("1 of 10 rows could not be read" in line for line in reporter.lines)


def test_on_bad_image_fail_ends_the_run_and_keeps_finished_shards(images, model, tmp_path):
    (images / "9.png").write_bytes(b"")
    job = make_job(images, model, tmp_path / "out")
    with pytest.raises(DataError, match=r"'9.png' \(row 9\) cannot be read"):
        run_job(job, CACHE.model_copy(update={"on_bad_image": "fail"}), RUN, SilentReporter())
    assert sorted(files_in(job.out)) == [MANIFEST, shard_name(0), shard_name(1)]


def test_a_dataset_without_a_single_readable_image_is_an_error(images, model, tmp_path):
    for path in images.iterdir():
        path.write_text("not an image")
    with pytest.raises(DataError, match="not one of its 10 rows could be read"):
        run_job(make_job(images, model, tmp_path / "out"), CACHE, RUN, SilentReporter())


def test_a_clip_is_the_mean_of_its_frames(images, model, tmp_path):
    rows = (ListedRow("a", 0, ("0.png", "1.png", "1.png")), ListedRow("b", 1, ("2.png", "3.png", "4.png")))
    manifest = hash_listing("clips", images, Listing(rows, ("x", "y")))
    cache = run_job(clip_job(manifest, lambda: images, model, tmp_path / "out"), CACHE, RUN, SilentReporter())
    frames = run_job(make_job(images, model, tmp_path / "frames"), CACHE, RUN, SilentReporter())
    expected = [frames[ids].mean(axis=0) for ids in ([0, 1, 1], [2, 3, 4])]
    np.testing.assert_allclose(cache[np.arange(2)], expected, atol=1e-6)


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_reported(model):
    encoder = load_clip(model, torch.device("cpu"))

    class SmallMemory:
        """The real encoder on a device with memory for two images."""

        device, width, vectors = encoder.device, encoder.width, encoder.vectors

        def encode_images(self, pixels):
            if len(pixels) > 2:
                raise torch.OutOfMemoryError("room for two")
            return encoder.encode_images(pixels)

    pixels = torch.randint(0, 256, (7, 1, 3, 28, 28), dtype=torch.uint8)
    found = encode_rows(SmallMemory(), pixels, np.ones(7, dtype=bool), reporter := RecordingReporter())
    np.testing.assert_allclose(found, encoder.encode_images(pixels[:, 0]).numpy(), atol=1e-5)
    assert "out of memory with a batch of 7" in reporter.lines[0]


def test_a_single_image_that_does_not_fit_into_memory_is_an_error(model):
    class NoMemory:
        device, width, vectors = torch.device("cpu"), 24, 1

        def encode_images(self, pixels):
            raise torch.OutOfMemoryError

    with pytest.raises(EncoderError, match="out of memory with a single image"):
        encode_rows(
            NoMemory(), torch.zeros(3, 1, 3, 28, 28, dtype=torch.uint8), np.ones(3, dtype=bool), SilentReporter()
        )


def test_an_unfinished_cache_with_other_shard_rows_is_refused_by_name(job):
    run_job(job, CACHE, RUN, SilentReporter())
    (job.out / INDEX).unlink()
    before = files_in(job.out)
    with pytest.raises(CacheError, match="shard_rows differs: cached 4, requested 3"):
        run_job(job, CACHE.model_copy(update={"shard_rows": 3}), RUN, SilentReporter())
    assert files_in(job.out) == before


def test_parts_made_with_different_settings_never_become_one_cache(job, images, model):
    other = make_job(images, model.model_copy(update={"preprocess": "clip"}), job.out)
    run_job(job, CACHE, RUN, SilentReporter(), part=range(2))
    for number in range(2):
        (job.out / shard_name(number)).rename(job.out / f"hidden-{number}")
    run_job(other, CACHE, RUN, SilentReporter(), part=range(2, 3))
    for number in range(2):
        (job.out / f"hidden-{number}").rename(job.out / shard_name(number))
    with pytest.raises(CacheError, match=r"shard-00002\.h5: preprocess differs: cached 'clip', requested 'reference'"):
        run_job(job, CACHE, RUN, SilentReporter(), part=range(2))
    assert not (job.out / INDEX).exists()


def test_parts_made_with_different_weights_never_become_one_cache(job):
    run_job(job, CACHE, RUN, SilentReporter())
    (job.out / INDEX).unlink()
    shard = open_shard(job.out / shard_name(2))
    identity = Identity(shard.identity.settings, {**shard.identity.encoder, "weights_sha256": "other"})
    block = Block(
        number=2,
        first_row=8,
        features=shard.features,
        labels=shard.labels,
        paths=tuple(shard.paths),
        errors=tuple(shard.errors),
    )
    write_shard(job.out, block, identity, "test")
    without_weights = with_encoder(job, files=lambda _: None)
    with pytest.raises(
        CacheError,
        match=r"shard-00002\.h5 was made with another encoder(.|\n)*weights_sha256 differs",
    ):
        run_job(without_weights, CACHE, RUN, SilentReporter())
    assert not (job.out / INDEX).exists()


def test_a_part_cannot_replace_the_other_parts(job, images, model):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    other = make_job(images, model.model_copy(update={"preprocess": "clip"}), job.out)
    with pytest.raises(CacheError, match="would delete shards of the other parts"):
        run_job(other, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, SilentReporter(), part=range(1))
    assert files_in(job.out) == before


def test_a_shard_under_the_name_of_another_is_encoded_again(job):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    (job.out / INDEX).unlink()
    shutil.copy(job.out / shard_name(1), job.out / shard_name(0))
    run_job(job, CACHE, RUN, reporter := RecordingReporter())
    assert any("contains shard 1, not 0. Encoding it again" in line for line in reporter.lines)
    assert files_in(job.out) == before


def test_a_damaged_manifest_beside_the_shards_is_written_again(job):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    (job.out / MANIFEST).write_bytes(b"{}")
    run_job(untouchable(job), CACHE, RUN, SilentReporter())
    assert files_in(job.out) == before


def test_reasons_are_stored_short_and_without_nul_bytes(job, images, monkeypatch):
    fourth = (images / "4.png").read_bytes()

    def decode(content, how, appearance):
        if content == fourth:
            raise DataError("a\0b\udcff" + "x" * 10_000)
        return decode_pixels(content, how, appearance)

    monkeypatch.setattr("expclip_cache.extraction.decoding.decode_pixels", decode)
    reason = run_job(job, CACHE, RUN, SilentReporter()).skipped[4]
    assert reason.startswith("a\\0b\\udcffxxx")
    assert len(reason) < 600


def test_raising_the_version_of_an_encoder_refuses_its_old_features_by_name(job, images, model, monkeypatch):
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    monkeypatch.setattr("expclip_cache.encoders.versions.CLIP", 2)
    newer = make_job(images, model, job.out)
    with pytest.raises(CacheError, match="encoder_version differs: cached 1, requested 2"):
        run_job(newer, CACHE, RUN, SilentReporter())
    assert files_in(job.out) == before
    cache = run_job(newer, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, reporter := RecordingReporter())
    assert cache.identity.settings["encoder_version"] == 2
    assert any("encoder_version differs: cached 1, requested 2" in line for line in reporter.lines)


@pytest.mark.parametrize("version", ["PIXELS", "POOLING", "CLIP"])
def test_every_version_of_image_features_is_part_of_their_identity(job, images, model, monkeypatch, version):
    monkeypatch.setattr(f"expclip_cache.encoders.versions.{version}", 7)
    newer = make_job(images, model, job.out)
    differing = {key for key, value in newer.encoder.settings.items() if job.encoder.settings[key] != value}
    assert len(differing) == 1
    assert newer.encoder.settings[differing.pop()] == 7


def without_versions(job):
    """The job as described before code versions were recorded."""
    settings = {key: value for key, value in job.encoder.settings.items() if not key.endswith("_version")}
    return with_encoder(job, settings=settings)


def test_a_cache_from_before_versions_were_recorded_counts_as_version_1(job, images, model, monkeypatch):
    run_job(without_versions(job), CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    cache = run_job(untouchable(job), CACHE, RUN, reporter := RecordingReporter())
    assert "nothing to do" in reporter.lines[-1]
    assert "encoder_version" not in cache.identity.settings
    assert files_in(job.out) == before
    monkeypatch.setattr("expclip_cache.encoders.versions.PIXELS", 2)
    with pytest.raises(CacheError, match="pixels_version differs: cached 1, requested 2"):
        run_job(make_job(images, model, job.out), CACHE, RUN, SilentReporter())


def test_an_unfinished_cache_from_before_versions_were_recorded_is_resumed(job, tmp_path):
    old = without_versions(job)
    run_job(old, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    (job.out / INDEX).unlink()
    (job.out / shard_name(0)).unlink()
    run_job(job, CACHE, RUN, reporter := RecordingReporter())
    assert any("2 of 3 shards are there already" in line for line in reporter.lines)
    assert files_in(job.out) == before


def under_another_torch(job):
    """The job on a machine with another version of torch."""
    return with_encoder(job, libraries=lambda: {"open_clip": "3.3.0", "torch": "99.0"})


def test_features_made_under_other_libraries_are_kept_and_named(job):
    run_job(job, CACHE, RUN, SilentReporter())
    run_job(under_another_torch(job), CACHE, RUN, reporter := RecordingReporter())
    (line,) = [line for line in reporter.lines if "other library versions" in line]
    assert f"torch {torch.__version__.partition('+')[0]} cached, 99.0 installed" in line
    assert "nothing to do" in reporter.lines[-1]


@pytest.mark.parametrize("finished", [True, False])
def test_features_made_under_other_libraries_are_refused_if_the_setting_says_so(job, finished):
    run_job(job, CACHE, RUN, SilentReporter())
    if not finished:
        (job.out / INDEX).unlink()
        (job.out / shard_name(2)).unlink()
    before = files_in(job.out)
    with pytest.raises(CacheError, match="made under other library versions; nothing was changed"):
        run_job(
            under_another_torch(job), CACHE.model_copy(update={"on_other_library": "refuse"}), RUN, SilentReporter()
        )
    assert files_in(job.out) == before


def test_extract_lists_hashes_and_encodes_a_folder_in_one_call(images, model, tmp_path, job):
    in_steps = run_job(job, CACHE, RUN, SilentReporter())
    cache = extract(images, tmp_path / "one-call", model, cache=CACHE, run=RUN)
    assert cache.paths() == in_steps.paths()
    assert (cache[:] == in_steps[:]).all()
    assert (cache.labels == -1).all()


@pytest.mark.slow
def test_where_shared_memory_is_scarce_batches_come_through_pipes(job, tmp_path, monkeypatch):
    """Docker's default is 64 MB, less than a few batches of 256 images."""
    run_job(replace(job, out=tmp_path / "shared"), CACHE, RUN, SilentReporter())
    run = RUN.model_copy(update={"workers": 2})
    each = 3 * 3 * 28 * 28
    for free, lines in (4 * each, 0), (4 * each - 1, 1), (0, 1):
        monkeypatch.setattr("expclip_cache.extraction.batch.free_shared_memory", lambda free=free: free)
        monkeypatch.setattr("expclip_cache.extraction.decoding.free_shared_memory", lambda free=free: free)
        out = tmp_path / str(free)
        run_job(replace(job, out=out), CACHE, run, reporter := RecordingReporter())
        assert files_in(out) == files_in(tmp_path / "shared")
        assert sum("/dev/shm has" in line and "--shm-size" in line for line in reporter.lines) == lines


def test_free_shared_memory_is_that_of_the_system(monkeypatch, tmp_path):
    if Path("/dev/shm").is_dir():
        assert 0 <= free_shared_memory() <= shutil.disk_usage("/dev/shm").total
    monkeypatch.setattr("expclip_cache.extraction.batch.SHARED_MEMORY", tmp_path / "nowhere")
    assert free_shared_memory() == float("inf")


TROUBLE = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.EIO, "Input/output error"), MemoryError()]


@pytest.mark.parametrize("error", [*TROUBLE, None], ids=["EMFILE", "EIO", "MemoryError", "removed"])
@pytest.mark.parametrize("workers", [0, 2])
def test_trouble_of_the_machine_ends_the_run_and_is_not_recorded_as_a_bad_image(
    job, images, tmp_path, monkeypatch, error, workers
):
    run_job(replace(job, out=tmp_path / "whole"), CACHE, RUN, SilentReporter())
    opened = Path.open

    def open_or_fail(path, *args, **kwargs):
        if error and path.name == "6.png":
            raise error
        return opened(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", open_or_fail)
        if error is None:
            (images / "6.png").rename(tmp_path / "6.png")
        message = r"^images: '6\.png' \(row 6\) could be read when its manifest was made, but not now: .* is kept\.$"
        with pytest.raises(DataError, match=message):
            run_job(job, CACHE, RUN.model_copy(update={"workers": workers}), SilentReporter())
    assert not (job.out / INDEX).exists()
    if error is None:
        (tmp_path / "6.png").rename(images / "6.png")
    run_job(job, CACHE, RUN, SilentReporter())
    assert files_in(job.out) == files_in(tmp_path / "whole")


def test_an_image_that_was_missing_when_its_manifest_was_made_is_a_skipped_row(images, model, tmp_path):
    listing = Listing(tuple(ListedRow(name, -1, (name,)) for name in ("0.png", "nowhere.png")), ())
    job = clip_job(hash_listing("images", images, listing), lambda: images, model, tmp_path / "out")
    assert dict(run_job(job, CACHE, RUN, SilentReporter()).skipped) == {1: "does not exist"}


def test_skipped_rows_are_tried_again_on_request_and_nothing_else_is(job, images, tmp_path, monkeypatch):
    """A row that an older decoder could not read, say."""
    run_job(replace(job, out=tmp_path / "whole"), CACHE, RUN, SilentReporter())
    fifth = (images / "5.png").read_bytes()

    def decode(content, how, appearance):
        if content == fifth:
            raise DataError("unknown kind of compression")
        return decode_pixels(content, how, appearance)

    with monkeypatch.context() as patch:
        patch.setattr("expclip_cache.extraction.decoding.decode_pixels", decode)
        run_job(job, CACHE, RUN, SilentReporter())
    assert list(run_job(untouchable(job), CACHE, RUN, SilentReporter()).skipped) == [5]
    others = {path: path.stat().st_ino for path in job.out.glob("shard-*.h5") if path.name != shard_name(1)}
    retry = CACHE.model_copy(update={"retry_skipped": True})
    cache = run_job(job, retry, RUN, reporter := RecordingReporter())
    assert not cache.skipped
    assert f"{job.out}: trying the skipped rows again (1, in 1 of 3 shards)" in reporter.lines
    assert {path: path.stat().st_ino for path in others} == others
    assert files_in(job.out) == files_in(tmp_path / "whole")
    run_job(untouchable(job), retry, RUN, reporter := RecordingReporter())
    assert "nothing to do" in reporter.lines[-1]


@pytest.fixture
def job_with_a_bad_image(images, model, tmp_path):
    (images / "5.png").write_bytes(b"not an image")
    return make_job(images, model, tmp_path / "out")


def test_rows_that_still_cannot_be_read_stay_skipped(job_with_a_bad_image):
    job = job_with_a_bad_image
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    run_job(job, CACHE.model_copy(update={"retry_skipped": True}), RUN, SilentReporter())
    assert files_in(job.out) == before


def test_images_that_are_gone_lose_no_shard_when_skipped_rows_are_tried_again(job_with_a_bad_image, images, tmp_path):
    job = job_with_a_bad_image
    run_job(job, CACHE, RUN, SilentReporter())
    before = files_in(job.out)
    images.rename(tmp_path / "away")
    with pytest.raises(DataError):
        run_job(job, CACHE.model_copy(update={"retry_skipped": True}), RUN, SilentReporter())
    assert {name: raw for name, raw in before.items() if name != INDEX} == files_in(job.out)
    run_job(job, CACHE, RUN, SilentReporter())
    assert files_in(job.out) == before
