"""One decode pass for several encoders: pictures kept decoded, by the extraction engine with real, tiny encoders."""

import errno
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from expclip_cache.base.errors import DataError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import shard_name
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.datasets.hashing import hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.encoders.images import preprocess, read_pixels
from expclip_cache.extraction import kept_pixels
from expclip_cache.extraction.jobs import clip_job, llm_job
from expclip_cache.extraction.kept_pixels import KeptPixels
from expclip_cache.extraction.run import run_job
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_blip2, write_clip

CACHE = CacheSettings(shard_rows=4, dtype="float32")
COUNT = 10
BAD = 6
EACH = 3 * 28 * 28


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    return write_blip2(tmp_path_factory.mktemp("llm"))[0]


@pytest.fixture
def faces(tmp_path):
    """COUNT pictures, one of which is none."""
    folder = tmp_path / "faces"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / f"{BAD}.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def manifest(faces):
    names = [f"{number}.png" for number in range(COUNT)]
    return hash_listing("faces", faces, Listing(tuple(ListedRow(name, -1, (name,)) for name in names), ()))


def running(pixels: Path | None, workers: int = 0) -> RunSettings:
    return RunSettings(device="cpu", batch_size=3, workers=workers, pixels=pixels)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_second_encoder_opens_no_picture_and_gives_the_same_bytes(faces, manifest, clip, llm, tmp_path, workers):
    kept = running(tmp_path / "pixels", workers)
    first = clip_job(manifest, lambda: faces, clip, tmp_path / "clip")
    run_job(first, CACHE, kept, SilentReporter())
    second = llm_job(manifest, lambda: faces, llm, tmp_path / "llm")
    for out, job in ("plain-clip", first), ("plain-llm", second):
        run_job(replace(job, out=tmp_path / out), CACHE, running(None), SilentReporter())
    for number in set(range(COUNT)) - {BAD}:
        (faces / f"{number}.png").unlink()
    run_job(second, CACHE, kept, SilentReporter())
    assert contents(first.out) == contents(tmp_path / "plain-clip")
    assert contents(second.out) == contents(tmp_path / "plain-llm")


def test_nothing_is_kept_unless_asked_for(faces, manifest, clip, tmp_path):
    before = set(tmp_path.rglob("*.pixels"))
    run_job(clip_job(manifest, lambda: faces, clip, tmp_path / "clip"), CACHE, running(None), SilentReporter())
    assert set(tmp_path.rglob("*.pixels")) == before == set()


def test_a_damaged_picture_is_decoded_again(faces, manifest, clip, tmp_path):
    """A bit is changed in many a checksum and many a picture, also where none is kept."""
    kept = running(tmp_path / "pixels")
    run_job(clip_job(manifest, lambda: faces, clip, tmp_path / "whole"), CACHE, kept, SilentReporter())
    (file,) = (tmp_path / "pixels").iterdir()
    sound = file.read_bytes()
    random = np.random.default_rng(1)
    damaged = bytearray(sound)
    for place in [*range(0, COUNT * 8, 16), *random.integers(4096, len(sound), 9)]:
        damaged[place] ^= 1 << int(random.integers(8))
    file.write_bytes(damaged)
    run_job(clip_job(manifest, lambda: faces, clip, tmp_path / "again"), CACHE, kept, SilentReporter())
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    for row in set(range(COUNT)) - {BAD}:
        for part in slice(8 * row, 8 * (row + 1)), slice(4096 + EACH * row, 4096 + EACH * (row + 1)):
            assert file.read_bytes()[part] == sound[part]


def test_a_file_cut_short_by_a_kill_is_filled_again(faces, manifest, clip, tmp_path):
    kept = running(tmp_path / "pixels")
    run_job(clip_job(manifest, lambda: faces, clip, tmp_path / "whole"), CACHE, kept, SilentReporter())
    (file,) = (tmp_path / "pixels").iterdir()
    sound = file.read_bytes()
    os.truncate(file, len(sound) // 2)
    run_job(clip_job(manifest, lambda: faces, clip, tmp_path / "again"), CACHE, kept, SilentReporter())
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert file.read_bytes() == sound


def test_frames_of_clips_have_a_place_each(faces, tmp_path):
    rows = (ListedRow("a", -1, ("0.png", "1.png", "1.png")), ListedRow("b", -1, ("2.png", "3.png", "4.png")))
    clips = hash_listing("clips", faces, Listing(rows, ()))
    how = preprocess("reference", 28)
    kept = KeptPixels(tmp_path / "pixels", clips, how)
    kept.prepare()
    decoded = [[read_pixels(faces / name, how) for name in row.files] for row in rows]
    found = np.zeros((3, 28, 28), dtype=np.uint8)
    places = [(row, frame) for row in range(2) for frame in range(3)]
    assert not any(kept.take(row, frame, found) for row, frame in places)
    for row, frame in places:
        kept.keep(row, frame, decoded[row][frame])
    for row, frame in reversed(places):
        assert kept.take(row, frame, found)
        np.testing.assert_array_equal(found, decoded[row][frame])
    kept.close()


def test_what_decides_about_a_pixel_has_a_file_of_its_own(faces, manifest, tmp_path, monkeypatch):
    def path(manifest, *how):
        return KeptPixels(tmp_path, manifest, preprocess(*how)).path

    same = path(manifest, "reference", 28)
    (faces / "0.png").write_bytes((faces / "1.png").read_bytes())
    other = hash_listing(
        "faces", faces, Listing(tuple(ListedRow(row.path, -1, row.files) for row in manifest.rows), ())
    )
    others = [
        path(other, "reference", 28),
        path(manifest, "clip", 28),
        path(manifest, "reference", 32),
        path(manifest, "reference", 28, "draft"),
    ]
    assert path(manifest, "reference", 28) == same
    monkeypatch.setattr(kept_pixels, "VERSION", 2)
    assert len({same, *others, path(manifest, "reference", 28)}) == 6


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a b\n", "", "." * 300])
def test_a_manifests_name_stays_inside_the_folder(manifest, tmp_path, name):
    path = KeptPixels(tmp_path / "pixels", replace(manifest, name=name), preprocess("reference", 28)).path
    assert path.parent == tmp_path / "pixels"
    assert len(path.name) < 100


def test_only_pictures_that_the_manifest_knows_are_kept(faces, manifest, clip, tmp_path):
    """One is another for a while: it is encoded as it is, but not kept under the name of what it was."""
    kept, job = running(tmp_path / "pixels"), clip_job(manifest, lambda: faces, clip, tmp_path / "clip")
    run_job(replace(job, out=tmp_path / "right"), CACHE, running(None), SilentReporter())
    original = (faces / "1.png").read_bytes()
    (faces / "1.png").write_bytes((faces / "2.png").read_bytes())
    run_job(replace(job, out=tmp_path / "wrong"), CACHE, kept, SilentReporter())
    (faces / "1.png").write_bytes(original)
    run_job(job, CACHE, kept, SilentReporter())
    assert contents(job.out) == contents(tmp_path / "right") != contents(tmp_path / "wrong")


def test_a_file_that_shrinks_or_fails_under_a_reader_holds_nothing(manifest, tmp_path, monkeypatch):
    kept = KeptPixels(tmp_path / "pixels", manifest, preprocess("reference", 28))
    kept.prepare()
    picture, found = np.arange(EACH, dtype=np.uint8).reshape(3, 28, 28), np.empty((3, 28, 28), np.uint8)
    kept.keep(9, 0, picture)
    assert kept.take(9, 0, found)
    os.truncate(kept.path, kept.path.stat().st_size - 1)
    assert not kept.take(9, 0, np.zeros_like(found))

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.preadv", fail)
    assert not kept.take(9, 0, found)
    kept.close()


def test_several_encoders_at_once_share_a_file(faces, manifest, clip, tmp_path):
    run = RunSettings(device="cpu", batch_size=3, workers=1, processes=2, pixels=tmp_path / "pixels")
    job = clip_job(manifest, partial(Path, faces), clip, tmp_path / "clip")
    for out in "two", "again":
        run_job(replace(job, out=tmp_path / out), CACHE, run, SilentReporter())
    run_job(job, CACHE, running(None), SilentReporter())
    assert contents(tmp_path / "two") == contents(tmp_path / "again") == contents(job.out)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_disk_that_fills_up_ends_the_run_in_words_and_keeps_what_is_finished(
    faces, manifest, clip, tmp_path, monkeypatch, workers
):
    job = clip_job(manifest, lambda: faces, clip, tmp_path / "clip")
    fine = os.pwrite

    def pwrite(*args):
        if args[2] > 4096 + 8 * EACH:
            raise OSError(errno.ENOSPC, "No space left on device")
        return fine(*args)

    monkeypatch.setattr("os.pwrite", pwrite)
    with pytest.raises(DataError, match=r"faces-\w+\.pixels.*No space left on device.*run\.pixels: null") as caught:
        run_job(job, CACHE, running(tmp_path / "pixels", workers), SilentReporter())
    assert "\n" not in str(caught.value)
    assert shard_name(0) in contents(job.out)


def test_a_folder_that_cannot_be_one_is_named(faces, manifest, clip, tmp_path):
    (tmp_path / "pixels").write_text("a file")
    job = clip_job(manifest, lambda: faces, clip, tmp_path / "clip")
    with pytest.raises(DataError, match=r"pixels.*cannot be kept here \((File exists|Not a directory)\)"):
        run_job(job, CACHE, running(tmp_path / "pixels"), SilentReporter())
