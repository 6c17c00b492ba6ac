"""Decoded images kept on disk, so that several encoders share one decode pass; with real, tiny encoders."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from expclip_cache.base.errors import DataError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import shard_name
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.datasets.hashing import hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.encoders.images import read_pixels
from expclip_cache.encoders.preprocess import preprocess
from expclip_cache.extraction import kept_pixels
from expclip_cache.extraction.jobs import clip_job, llm_job
from expclip_cache.extraction.kept_pixels import KeptPixels, keep_pixels
from expclip_cache.extraction.run import run_job, run_jobs
from expclip_cache.workers.settings import RunSettings
from face_images import RecordingReporter
from tiny_encoders import write_blip2, write_clip

CACHE = CacheSettings(shard_rows=4, dtype="float32")
COUNT = 10
UNREADABLE = 6
IMAGE_BYTES = 3 * 28 * 28


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    return write_blip2(tmp_path_factory.mktemp("llm"))[0]


@pytest.fixture
def images(tmp_path):
    """COUNT images, one of them unreadable."""
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / f"{UNREADABLE}.png").write_bytes(b"not an image")
    return folder


@pytest.fixture
def manifest(images):
    names = [f"{number}.png" for number in range(COUNT)]
    return hash_listing("images", images, Listing(tuple(ListedRow(name, -1, (name,)) for name in names), ()))


def running(pixels: Path | None, workers: int = 0) -> RunSettings:
    return RunSettings(device="cpu", batch_size=3, workers=workers, pixels=pixels)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize(
    ("pixels", "device", "others", "expected"),
    [
        ("auto", "cuda", 1, Path("pixels")),
        ("auto", "cuda", 0, None),
        ("auto", "cpu", 3, None),
        (None, "cuda", 3, None),
        (Path("/scratch/x"), "cpu", 0, Path("/scratch/x")),
    ],
)
def test_where_decoded_images_are_kept(pixels, device, others, expected):
    assert keep_pixels(RunSettings(pixels=pixels), device, others) == expected


def test_by_default_a_cpu_keeps_none_and_a_folder_is_announced_once(images, manifest, clip, llm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = replace(clip_job(manifest, lambda: images, clip, tmp_path / "clip"), shared_with=1)
    auto = RunSettings(device="cpu", batch_size=3, workers=0)
    assert auto.pixels == "auto"
    run_job(job, CACHE, auto, reporter := RecordingReporter())
    assert not list(tmp_path.rglob("*.pixels"))
    jobs = [replace(job, out=tmp_path / out) for out in ("one", "two")]
    run_jobs(jobs, CACHE, running(tmp_path / "kept"), reporter)
    assert [line for line in reporter.lines if "kept here" in line] == [
        f"{tmp_path / 'kept'}: decoded images are kept here for the other encoders; delete the folder after the run"
    ]
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two") == files_in(job.out)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("others", [0, 1])
def test_by_default_a_gpu_keeps_what_another_encoder_reads(images, manifest, clip, tmp_path, monkeypatch, others):
    monkeypatch.chdir(tmp_path)
    job = replace(clip_job(manifest, lambda: images, clip, tmp_path / "clip"), shared_with=others)
    run_job(job, CACHE, RunSettings(device="cuda", workers=0), SilentReporter())
    assert len(list((tmp_path / "pixels").glob("*.pixels"))) == others


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_the_second_encoder_opens_no_image_file_and_gives_the_same_bytes(
    images, manifest, clip, llm, tmp_path, workers
):
    kept = running(tmp_path / "pixels", workers)
    first = clip_job(manifest, lambda: images, clip, tmp_path / "clip")
    run_job(first, CACHE, kept, SilentReporter())
    second = llm_job(manifest, lambda: images, llm, tmp_path / "llm")
    for out, job in ("plain-clip", first), ("plain-llm", second):
        run_job(replace(job, out=tmp_path / out), CACHE, running(None), SilentReporter())
    for number in set(range(COUNT)) - {UNREADABLE}:
        (images / f"{number}.png").unlink()
    run_job(second, CACHE, kept, SilentReporter())
    assert files_in(first.out) == files_in(tmp_path / "plain-clip")
    assert files_in(second.out) == files_in(tmp_path / "plain-llm")


def test_nothing_is_kept_unless_requested(images, manifest, clip, tmp_path):
    before = set(tmp_path.rglob("*.pixels"))
    run_job(clip_job(manifest, lambda: images, clip, tmp_path / "clip"), CACHE, running(None), SilentReporter())
    assert set(tmp_path.rglob("*.pixels")) == before == set()


def test_a_damaged_image_is_decoded_again(images, manifest, clip, tmp_path):
    """Bits are flipped in many checksums and images, also in places where no image is kept."""
    kept = running(tmp_path / "pixels")
    run_job(clip_job(manifest, lambda: images, clip, tmp_path / "intact"), CACHE, kept, SilentReporter())
    (file,) = (tmp_path / "pixels").iterdir()
    intact = file.read_bytes()
    random = np.random.default_rng(1)
    damaged = bytearray(intact)
    for place in [*range(0, COUNT * 8, 16), *random.integers(4096, len(intact), 9)]:
        damaged[place] ^= 1 << int(random.integers(8))
    file.write_bytes(damaged)
    run_job(clip_job(manifest, lambda: images, clip, tmp_path / "again"), CACHE, kept, SilentReporter())
    assert files_in(tmp_path / "again") == files_in(tmp_path / "intact")
    for row in set(range(COUNT)) - {UNREADABLE}:
        for part in slice(8 * row, 8 * (row + 1)), slice(4096 + IMAGE_BYTES * row, 4096 + IMAGE_BYTES * (row + 1)):
            assert file.read_bytes()[part] == intact[part]


def test_a_truncated_file_is_filled_again(images, manifest, clip, tmp_path):
    kept = running(tmp_path / "pixels")
    run_job(clip_job(manifest, lambda: images, clip, tmp_path / "intact"), CACHE, kept, SilentReporter())
    (file,) = (tmp_path / "pixels").iterdir()
    intact = file.read_bytes()
    os.truncate(file, len(intact) // 2)
    run_job(clip_job(manifest, lambda: images, clip, tmp_path / "again"), CACHE, kept, SilentReporter())
    assert files_in(tmp_path / "again") == files_in(tmp_path / "intact")
    assert file.read_bytes() == intact


def test_every_frame_of_a_clip_has_its_own_place(images, tmp_path):
    rows = (ListedRow("a", -1, ("0.png", "1.png", "1.png")), ListedRow("b", -1, ("2.png", "3.png", "4.png")))
    clips = hash_listing("clips", images, Listing(rows, ()))
    how = preprocess("reference", 28)
    kept = KeptPixels(tmp_path / "pixels", clips, how)
    kept.prepare()
    decoded = [[read_pixels(images / name, how) for name in row.files] for row in rows]
    found = np.zeros((3, 28, 28), dtype=np.uint8)
    places = [(row, frame) for row in range(2) for frame in range(3)]
    assert not any(kept.take(row, frame, found) for row, frame in places)
    for row, frame in places:
        kept.keep(row, frame, decoded[row][frame])
    for row, frame in reversed(places):
        assert kept.take(row, frame, found)
        np.testing.assert_array_equal(found, decoded[row][frame])
    kept.close()


def test_everything_that_changes_a_pixel_changes_the_file_name(images, manifest, tmp_path, monkeypatch):
    def path(manifest, *how):
        return KeptPixels(tmp_path, manifest, preprocess(*how)).path

    same = path(manifest, "reference", 28)
    (images / "0.png").write_bytes((images / "1.png").read_bytes())
    other = hash_listing(
        "images", images, Listing(tuple(ListedRow(row.path, -1, row.files) for row in manifest.rows), ())
    )
    others = [
        path(other, "reference", 28),
        path(manifest, "clip", 28),
        path(manifest, "reference", 32),
        path(manifest, "reference", 28, "draft"),
    ]
    assert path(manifest, "reference", 28) == same
    monkeypatch.setattr(kept_pixels, "LAYOUT", kept_pixels.LAYOUT + 1)
    assert len({same, *others, path(manifest, "reference", 28)}) == 6


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a b\n", "", "." * 300])
def test_no_manifest_name_leads_outside_the_folder(manifest, tmp_path, name):
    path = KeptPixels(tmp_path / "pixels", replace(manifest, name=name), preprocess("reference", 28)).path
    assert path.parent == tmp_path / "pixels"
    assert len(path.name) < 100


def test_only_images_with_the_hash_in_the_manifest_are_kept(images, manifest, clip, tmp_path):
    """An image that has changed is neither encoded nor kept in place of the original."""
    kept, job = running(tmp_path / "pixels"), clip_job(manifest, lambda: images, clip, tmp_path / "clip")
    run_job(replace(job, out=tmp_path / "right"), CACHE, running(None), SilentReporter())
    original = (images / "1.png").read_bytes()
    (images / "1.png").write_bytes((images / "2.png").read_bytes())
    with pytest.raises(DataError, match=r"'1\.png' \(row 1\) is not what its manifest lists"):
        run_job(replace(job, out=tmp_path / "wrong"), CACHE, kept, SilentReporter())
    (images / "1.png").write_bytes(original)
    run_job(job, CACHE, kept, SilentReporter())
    assert files_in(job.out) == files_in(tmp_path / "right")


def test_an_image_that_cannot_be_read_back_counts_as_missing(manifest, tmp_path, monkeypatch):
    kept = KeptPixels(tmp_path / "pixels", manifest, preprocess("reference", 28))
    kept.prepare()
    image, found = np.arange(IMAGE_BYTES, dtype=np.uint8).reshape(3, 28, 28), np.empty((3, 28, 28), np.uint8)
    kept.keep(9, 0, image)
    assert kept.take(9, 0, found)
    os.truncate(kept.path, kept.path.stat().st_size - 1)
    assert not kept.take(9, 0, np.zeros_like(found))

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.preadv", fail)
    assert not kept.take(9, 0, found)
    kept.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_ends_the_run_with_a_message_and_keeps_finished_shards(
    images, manifest, clip, tmp_path, monkeypatch, workers
):
    job = clip_job(manifest, lambda: images, clip, tmp_path / "clip")
    original = os.pwrite

    def pwrite(*args):
        if args[2] > 4096 + 8 * IMAGE_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args)

    monkeypatch.setattr("os.pwrite", pwrite)
    with pytest.raises(DataError, match=r"images-\w+\.pixels.*No space left on device.*run\.pixels: null") as caught:
        run_job(job, CACHE, running(tmp_path / "pixels", workers), SilentReporter())
    assert "\n" not in str(caught.value)
    assert shard_name(0) in files_in(job.out)


def test_a_file_in_place_of_the_folder_is_an_error(images, manifest, clip, tmp_path):
    (tmp_path / "pixels").write_text("a file")
    job = clip_job(manifest, lambda: images, clip, tmp_path / "clip")
    with pytest.raises(DataError, match=r"pixels.*cannot be kept here \((File exists|Not a directory)\)"):
        run_job(job, CACHE, running(tmp_path / "pixels"), SilentReporter())


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_file_that_leads_elsewhere_is_refused_and_nothing_elsewhere_is_touched(
    images, manifest, clip, tmp_path, link
):
    job = clip_job(manifest, lambda: images, clip, tmp_path / "clip")
    run_job(job, CACHE, running(tmp_path / "pixels"), SilentReporter())
    (file,) = (tmp_path / "pixels").iterdir()
    file.unlink()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    getattr(file, link)(victim)
    with pytest.raises(DataError, match=r"cannot be kept here \(images-\w+\.pixels is a link or not a plain file\)"):
        run_job(replace(job, out=tmp_path / "again"), CACHE, running(tmp_path / "pixels"), SilentReporter())
    assert victim.read_text() == "precious"


def test_pixels_copied_from_another_place_or_file_are_not_taken(images, manifest, tmp_path):
    """Their checksums are right, but not there: `KeptPixels` of another manifest, and two rows that swapped places."""
    how, rng = preprocess("reference", 28), np.random.default_rng(0)
    found, image = np.empty((3, 28, 28), np.uint8), rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    names = [row.path for row in manifest.rows]
    (images / names[0]).write_bytes((images / names[1]).read_bytes())
    other = hash_listing("images", images, Listing(tuple(ListedRow(name, -1, (name,)) for name in names), ()))
    kept, elsewhere = (KeptPixels(tmp_path / "pixels", each, how) for each in (manifest, other))
    kept.prepare()
    for row in range(COUNT):
        kept.keep(row, 0, np.roll(image, row))
    content = kept.path.read_bytes()
    elsewhere.path.write_bytes(content)
    assert not any(elsewhere.take(row, 0, found) for row in range(COUNT))
    head, start = 8, len(content) - COUNT * IMAGE_BYTES
    swapped = bytearray(content)
    for first, second, size in (head, 2 * head, head), (start + IMAGE_BYTES, start + 2 * IMAGE_BYTES, IMAGE_BYTES):
        swapped[first : first + size], swapped[second : second + size] = (
            content[second : second + size],
            content[first : first + size],
        )
    kept.path.write_bytes(swapped)
    assert [kept.take(row, 0, found) for row in range(4)] == [True, False, False, True]
    kept.close()
    elsewhere.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(images, manifest, clip, tmp_path):
    job = clip_job(manifest, lambda: images, clip, tmp_path / "clip")
    run_job(job, CACHE, running(tmp_path / "pixels"), SilentReporter())
    (file,) = (tmp_path / "pixels").iterdir()
    assert file.stat().st_mode & 0o022 == 0
    os.chown(file, 12345, -1)
    with pytest.raises(DataError, match=r"images-\w+\.pixels: belongs to another user"):
        run_job(replace(job, out=tmp_path / "again"), CACHE, running(tmp_path / "pixels"), SilentReporter())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_file_of_the_owner_of_its_folder_is_taken(images, manifest, clip, tmp_path):
    """As on a network file system that shows everything as somebody else's."""
    job = clip_job(manifest, lambda: images, clip, tmp_path / "clip")
    run_job(job, CACHE, running(tmp_path / "pixels"), SilentReporter())
    (file,) = (tmp_path / "pixels").iterdir()
    for path in (file, file.parent):
        os.chown(path, 12345, -1)
    run_job(replace(job, out=tmp_path / "again"), CACHE, running(tmp_path / "pixels"), SilentReporter())
    assert files_in(tmp_path / "again") == files_in(job.out)
