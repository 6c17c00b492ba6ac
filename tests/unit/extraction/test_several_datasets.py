"""Several datasets in one run: the encoder is loaded once, every cache is that of a run of its own, none waits for all.

With a real, tiny CLIP.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from changed_jobs import refuse, untouchable, with_encoder
from expclip_cache.base import CacheError, DataError, EncoderError, ExpclipError, SettingsError, SilentReporter
from expclip_cache.cache import INDEX, CacheSettings, FeatureCache, shard_name
from expclip_cache.datasets import ListedRow, Listing, hash_listing, write_manifest
from expclip_cache.extraction import Job, clip_encoder, run_job, run_jobs
from expclip_cache.workers import RunSettings
from face_images import RecordingReporter, files_in, write_images
from tiny_encoders import write_clip

CACHE = CacheSettings(shard_rows=4, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=3, workers=0)
NAMES = ("photos", "clips", "more")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """24 images, the sixth of which is unreadable."""
    return write_images(tmp_path_factory.mktemp("images") / "images", 24)


@pytest.fixture(scope="module")
def good_images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "images", 24, bad=())


def make_jobs(images: Path, model, out: Path) -> list[Job]:
    """Ten images, five clips of two frames, and the images again in another order."""
    names = sorted(path.name for path in images.iterdir())
    rows = {
        "photos": [ListedRow(name, -1, (name,)) for name in names[:10]],
        "clips": [ListedRow(f"clip-{k}", -1, (names[2 * k], names[2 * k + 3])) for k in range(5)],
        "more": [ListedRow(name, -1, (name,)) for name in names[:3:-1]],
    }
    encoder = clip_encoder(model)
    return [
        Job(hash_listing(name, images, Listing(tuple(rows[name]), ())), partial(Path, images), encoder, out / name)
        for name in NAMES
    ]


@pytest.fixture
def jobs(images, model, tmp_path):
    return make_jobs(images, model, tmp_path / "together")


@pytest.fixture(scope="module")
def alone(images, model, tmp_path_factory):
    """The files of each cache, made by a run of its own."""
    return made_alone(make_jobs(images, model, tmp_path_factory.mktemp("alone")))


@pytest.fixture(scope="module")
def good_alone(good_images, model, tmp_path_factory):
    return made_alone(make_jobs(good_images, model, tmp_path_factory.mktemp("alone")))


def made_alone(jobs: list[Job]) -> dict[str, dict[str, bytes]]:
    for job in jobs:
        run_job(job, CACHE, RUN, SilentReporter())
    return files_of(jobs)


def files_of(jobs: list[Job]) -> dict[str, dict[str, bytes]]:
    return {Path(job.out).name: files_in(Path(job.out)) for job in jobs}


def counting(jobs: list[Job], loads: list[str]) -> list[Job]:
    def load(commits: Sequence[str], device: str):
        loads.append(device)
        return jobs[0].encoder.load(commits, device)

    return [with_encoder(job, load=load) for job in jobs]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_caches_are_those_of_single_runs_and_the_encoder_is_loaded_once(jobs, alone, workers):
    loads: list[str] = []
    run = RUN.model_copy(update={"workers": workers})
    caches = run_jobs(counting(jobs, loads), CACHE, run, reporter := RecordingReporter())
    assert files_of(jobs) == alone
    assert loads == ["cpu"]
    assert [len(cache) for cache in caches] == [10, 5, 20]
    titles, totals, units = zip(*reporter.bars, strict=True)
    assert [title.partition(" on cpu (")[0] for title in titles] == [str(job.out) for job in jobs]
    assert (totals, units) == ((10, 5, 20), ("image", "clip", "image"))
    assert sum("could not be read" in line for line in reporter.lines) == 3


def test_only_what_is_missing_is_encoded(jobs, alone):
    """The first is complete, the second lost a shard, the third is not there."""
    run_jobs(jobs[:2], CACHE, RUN, SilentReporter())
    for name in INDEX, shard_name(1):
        (Path(jobs[1].out) / name).unlink()
    started = [replace(jobs[0], root=refuse), *jobs[1:]]
    run_jobs(started, CACHE, RUN, reporter := RecordingReporter())
    assert files_of(jobs) == alone
    assert [total for _, total, _ in reporter.bars] == [1, 20]
    assert f"{jobs[0].out}: complete, 10 rows; nothing to do" in reporter.lines
    assert f"{jobs[1].out}: 1 of 2 shards are there already" in reporter.lines
    run_jobs([untouchable(job) for job in jobs], CACHE, RUN, SilentReporter())


def test_an_interrupted_run_keeps_the_datasets_that_were_done(jobs, alone):
    encoder = jobs[0].encoder.load((), "cpu")
    encode, images = encoder.encode_images, []

    def stop_in_the_third(pixels):
        images.append(len(pixels))
        if sum(images) > 9 + 9 + 8:
            raise KeyboardInterrupt
        return encode(pixels)

    encoder.encode_images = stop_in_the_third
    with pytest.raises(KeyboardInterrupt):
        run_jobs([with_encoder(job, load=lambda *_: encoder) for job in jobs], CACHE, RUN, SilentReporter())
    found = files_of(jobs)
    assert {name: found[name] for name in NAMES[:2]} == {name: alone[name] for name in NAMES[:2]}
    assert INDEX not in found["more"]
    assert shard_name(0) in found["more"]
    run_jobs([replace(jobs[0], root=refuse), replace(jobs[1], root=refuse), jobs[2]], CACHE, RUN, SilentReporter())
    assert files_of(jobs) == alone


def missing_root() -> Path:
    raise DataError("datasets.clips.source: no such folder. Copy the images there.")


def test_a_dataset_without_its_images_is_named_after_the_others_are_done(jobs, alone):
    jobs[1] = replace(jobs[1], root=missing_root)
    with pytest.raises(DataError, match=r"^datasets\.clips\.source: no such folder"):
        run_jobs(jobs, CACHE, RUN, reporter := RecordingReporter())
    assert {name: files for name, files in files_of(jobs).items() if name != "clips"} == {
        name: alone[name] for name in ("photos", "more")
    }
    first = f"{jobs[1].out}: cannot be made, the others go on: datasets.clips.source: no such folder"
    assert reporter.lines[0].startswith(first)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_bad_image_ends_its_own_dataset_only(jobs, alone, good_images, good_alone, model, tmp_path, failing, workers):
    """Only one of the datasets has the unreadable image; others are decoded ahead when it comes."""
    mixed = make_jobs(good_images, model, tmp_path / "together")
    mixed[failing] = jobs[failing]
    cache = CACHE.model_copy(update={"on_bad_image": "fail"})
    run = RUN.model_copy(update={"workers": workers})
    with pytest.raises(DataError, match=rf"^{NAMES[failing]}: .*cannot be read: (.|\n)*finished shards are kept\.$"):
        run_jobs(mixed, cache, run, SilentReporter())
    found = files_of(mixed)
    failed = found.pop(NAMES[failing])
    assert found == {name: files for name, files in good_alone.items() if name != NAMES[failing]}
    assert INDEX not in failed
    assert failed.items() <= alone[NAMES[failing]].items()
    assert (shard_name(0) in failed) == (failing != 1)


def test_a_dataset_without_a_readable_image_gets_no_index_and_the_others_do(jobs, alone, tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    rows = tuple(ListedRow(row.path, row.label, row.files) for row in jobs[0].manifest.rows)
    for row in rows:
        (texts / row.path).write_text("not an image")
    manifest = hash_listing(jobs[0].manifest.name, texts, Listing(rows, jobs[0].manifest.classes))
    jobs[0] = replace(jobs[0], manifest=manifest, root=lambda: texts)
    with pytest.raises(DataError, match=r"photos: not one of its 10 rows .*; the first, '000\.png'"):
        run_jobs(jobs, CACHE, RUN, SilentReporter())
    found = files_of(jobs)
    assert INDEX not in found.pop("photos")
    assert found == {name: alone[name] for name in ("clips", "more")}


def test_several_errors_are_raised_together(jobs, model):
    run_job(jobs[0], CACHE, RUN, SilentReporter())
    other = clip_encoder(model.model_copy(update={"preprocess": "clip"}))
    changed = [replace(job, encoder=other) for job in jobs]
    changed[1] = replace(changed[1], root=missing_root)
    with pytest.raises(ExpclipError) as caught:
        run_jobs(changed, CACHE, RUN, SilentReporter())
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 3 caches cannot be made."
    assert lines[1].startswith(f"{jobs[0].out}: holds features made with other settings; nothing was changed.")
    assert lines[2] == "  preprocess differs: cached 'reference', requested 'clip'"
    assert lines[-1].startswith("datasets.clips.source: no such folder")
    assert FeatureCache(jobs[2].out).identity.settings["preprocess"] == "clip"
    with pytest.raises(CacheError, match="2 of 2 caches cannot be made"):
        run_jobs([jobs[2], changed[0]], CACHE, RUN, SilentReporter())


def test_shards_of_other_weights_end_their_own_dataset_only(jobs, alone):
    for job in jobs[:2]:
        run_job(job, CACHE, RUN, SilentReporter())
        (Path(job.out) / INDEX).unlink()
        (Path(job.out) / shard_name(1)).unlink()
    encoder = jobs[0].encoder.load((), "cpu")
    described = encoder.describe() | {"logit_scale": 3.0}
    encoder.describe = lambda: dict(described)
    others = [with_encoder(job, load=lambda *_: encoder) for job in jobs]
    with pytest.raises(CacheError, match=r"^2 of 3 caches(.|\n)*photos: shard-0000.\.h5 was made with another"):
        run_jobs(others, CACHE, RUN, SilentReporter())
    assert FeatureCache(jobs[2].out).identity.encoder["logit_scale"] == 3.0
    assert sorted(files_in(Path(jobs[0].out))) == ["manifest.arrow", shard_name(0), shard_name(2)]
    assert sorted(files_in(Path(jobs[1].out))) == ["manifest.arrow", shard_name(0)]


def test_files_are_hashed_once_for_all_datasets(jobs):
    hashed: list[str] = []

    def files(_commits: object) -> None:
        hashed.append("once")

    run_jobs(jobs, CACHE, RUN, SilentReporter())
    run_jobs([with_encoder(untouchable(job), files=files) for job in jobs], CACHE, RUN, SilentReporter())
    assert hashed == ["once"]


def test_encoders_that_differ_are_loaded_one_after_another(jobs, images, model, tmp_path):
    other = make_jobs(images, model.model_copy(update={"preprocess": "clip"}), tmp_path / "clip")
    loads: list[str] = []
    mixed = [*counting(jobs[:1], loads), *counting(other[:1], loads), *counting(jobs[1:], loads)]
    caches = run_jobs(mixed, CACHE, RUN, SilentReporter())
    assert len(loads) == 2
    assert [cache.identity.settings["preprocess"] for cache in caches] == [
        "reference",
        "clip",
        "reference",
        "reference",
    ]


def test_an_encoder_that_cannot_be_loaded_does_not_stop_the_others(jobs, alone, model, tmp_path):
    lost = clip_encoder(model.model_copy(update={"model": str(tmp_path / "nowhere")}))
    others = [replace(job, encoder=lost, out=tmp_path / f"lost-{place}") for place, job in enumerate(jobs)]
    with pytest.raises(EncoderError, match="nowhere") as caught:
        run_jobs([*others, *jobs], CACHE, RUN, reporter := RecordingReporter())
    assert str(caught.value).count("nowhere") == 1
    assert files_of(jobs) == alone
    assert reporter.lines[0] == f"an encoder cannot be used, the others go on: {caught.value}"


def test_two_jobs_cannot_have_the_same_cache(jobs):
    with pytest.raises(SettingsError, match=r"together/photos: is the cache of 2 jobs\. Give each"):
        run_jobs([*jobs, replace(jobs[1], out=str(jobs[0].out))], CACHE, RUN, SilentReporter())
    assert run_jobs([], CACHE, RUN, SilentReporter()) == []


PASS_OVER = """
import sys
from pathlib import Path

from expclip_cache.base import SilentReporter
from expclip_cache.cache import CacheSettings
from expclip_cache.datasets import read_manifest
from expclip_cache.encoders import ClipSettings
from expclip_cache.extraction import Job, clip_encoder, run_jobs
from expclip_cache.workers import RunSettings

folder, model, *names = sys.argv[1:]
encoder = clip_encoder(ClipSettings(model=model))
jobs = [Job(read_manifest(Path(folder) / f"{name}.arrow"), exit, encoder, Path(folder) / name) for name in names]
caches = run_jobs(jobs, CacheSettings(shard_rows=4, dtype="float32"), RunSettings(device="cpu"), SilentReporter())
assert [len(cache) for cache in caches] == [10, 5, 20]
print(sorted({"torch", "open_clip", "transformers", "PIL"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_complete_caches_are_passed_over_without_the_encoders_libraries(jobs, model, tmp_path):
    run_jobs(jobs, CACHE, RUN, SilentReporter())
    for job in jobs:
        write_manifest(job.manifest, tmp_path / f"together/{job.manifest.name}.arrow")
    command = [sys.executable, "-c", PASS_OVER, str(tmp_path / "together"), model.model, *NAMES]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
