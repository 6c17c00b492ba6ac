"""Tar shards and Parquet files that are damaged, rewritten or removed while an extraction reads them, and kills.

A row's identity is as strict as for files: the run ends with one line that names the row, nothing is recorded about it,
and the same command resumes once the file is back. The result is compared byte for byte.
"""

import io
import os
import random
import re
import shutil
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from harness import MANY_SHARDS, files_in, finished_shards, write_parquet, write_tar

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("EXPCLIP_KILLS", "8"))

GONE = "could be read when its manifest was made, but not now"
CHANGED = "is not what its manifest lists"


@pytest.fixture(scope="session")
def undisturbed(zygote, tmp_path_factory):
    """Layout and options -> the files of a cache from an extraction without a fault."""
    known: dict[tuple[str, ...], dict[str, bytes]] = {}

    def files(layout: str, *options: str) -> dict[str, bytes]:
        if (layout, *options) not in known:
            out = tmp_path_factory.mktemp("undisturbed") / "out"
            run = zygote.extract(out, *options, layout=layout)
            assert run.status == 0, run.output
            known[layout, *options] = files_in(out)
        return known[layout, *options]

    return files


Change = Callable[[Path, list[Path]], None]
"""Changes a copy of the file that holds the last five images; gets these too."""


def images_in(folder: Path) -> list[Path]:
    return sorted((folder / "images").iterdir())[5:]


def flipped(place: Callable[[bytes, list[Path]], int]) -> Change:
    """Flip a bit at a place in the file that follows from its bytes and the images."""

    def change(file: Path, images: list[Path]) -> None:
        raw = bytearray(file.read_bytes())
        raw[place(raw, images)] ^= 16
        file.write_bytes(raw)

    return change


def cut(share: float) -> Change:
    """Keep a share of the file."""

    def change(file: Path, _: list[Path]) -> None:
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    return change


def without_member(file: Path, images: list[Path]) -> None:
    write_tar(file, [image for image in images if image.name != "07.png"])


def with_other_bytes(file: Path, _: list[Path]) -> None:
    """The same names with as many bytes, and the time of the old tar."""
    with tarfile.open(file) as tar:
        members = [(member, tar.extractfile(member).read()[::-1]) for member in tar]
    status = file.stat()
    with tarfile.open(file, "w") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def without_row_group(file: Path, _: list[Path]) -> None:
    table = pq.read_table(file)
    pq.write_table(table.slice(0, 2), file, row_group_size=2)


def in_a_header(raw: bytes, _: list[Path]) -> int:
    return raw.index(b"07.png")


def in_pixels(raw: bytes, images: list[Path]) -> int:
    return raw.index(images[2].read_bytes()[700:900])


FAULTS = {
    "image flipped": ("images", "07.png", flipped(in_pixels), CHANGED),
    "image removed": ("images", "07.png", None, GONE),
    "tar flipped in an image": ("webdataset", "1.tar", flipped(in_pixels), CHANGED),
    "tar flipped in a header": ("webdataset", "1.tar", flipped(in_a_header), GONE),
    "tar cut off": ("webdataset", "1.tar", cut(0.45), GONE),
    "tar empty": ("webdataset", "1.tar", cut(0), GONE),
    "tar without a member": ("webdataset", "1.tar", without_member, GONE),
    "tar of other bytes": ("webdataset", "1.tar", with_other_bytes, CHANGED),
    "tar removed": ("webdataset", "1.tar", None, GONE),
    "parquet flipped in an image": ("parquet", "1.parquet", flipped(in_pixels), CHANGED),
    "parquet cut off": ("parquet", "1.parquet", cut(0.9), GONE),
    "parquet without a row group": ("parquet", "1.parquet", without_row_group, GONE),
    "parquet of other bytes": ("parquet", "1.parquet", lambda file, images: write_parquet(file, images[::-1]), CHANGED),
    "parquet removed": ("parquet", "1.parquet", None, GONE),
}
FIRST_READ = {"images": "05.png", "webdataset": "1.tar/05.png", "parquet": "1.parquet/image/0"}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_changes_during_an_extraction_is_named_and_the_same_command_resumes(zygote, undisturbed, tmp_path, fault):
    layout, name, change, message = FAULTS[fault]
    file, out = zygote.folder / layout / name, tmp_path / "out"
    kept, by = shutil.copy2(file, tmp_path / "kept"), None
    if change:
        by = shutil.copy2(file, tmp_path / "changed")
        change(by, images_in(zygote.folder))
    where = {"image": FIRST_READ[layout], "file": str(file), "by": by and str(by)}
    options = ["--workers=1"] if fault.endswith("removed") else []
    try:
        run = zygote.extract(out, *options, layout=layout, fault={"change file": where})
    finally:
        Path(kept).replace(file)
    assert run.status == 1, run.output
    assert run.last_line.startswith(f"error: {layout}: '{name}"), run.output
    assert re.search(rf"\(row \d\) {message}", run.last_line), run.last_line
    assert "finished work is kept" in run.last_line
    assert "Traceback" not in run.output
    before = finished_shards(out)
    assert list(before) == ["shard-00000.h5"]
    again = zygote.extract(out, layout=layout)
    assert again.status == 0, again.output
    assert files_in(out) == undisturbed(layout)
    assert before.items() <= finished_shards(out).items()


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_kills_at_random_moments(zygote, undisturbed, tmp_path, layout):
    """Of the command, and with decoding workers."""
    expected, rng, killed = undisturbed(layout, *MANY_SHARDS), random.Random(KILLS), 0
    for number in range(KILLS // 2):
        out, options = tmp_path / str(number), [*MANY_SHARDS, f"--workers={number % 2}"]
        moment = {"shards": rng.randrange(11), "after": rng.uniform(0, 0.05)}
        run = zygote.extract(out, *options, layout=layout, signal=int(signal.SIGKILL), **moment)
        killed += run.status == -signal.SIGKILL
        assert run.left == []
        before = finished_shards(out)
        assert zygote.extract(out, *options, layout=layout).status == 0
        assert files_in(out) == expected
        assert before.items() <= finished_shards(out).items(), "a finished shard was encoded again"
    assert killed > KILLS // 6


def test_a_decoding_worker_that_is_killed_over_a_tar(zygote, undisturbed, tmp_path):
    rng = random.Random(KILLS)
    for number in range(KILLS // 4):
        out, options = tmp_path / str(number), [*MANY_SHARDS, "--workers=2"]
        moment = {"shards": rng.randrange(1, 8), "after": rng.uniform(0, 0.02), "worker": True}
        run = zygote.extract(out, *options, layout="webdataset", signal=int(signal.SIGKILL), **moment)
        assert run.left == []
        assert run.status == 0 or "error: webdataset: a decoding worker died" in run.last_line, run.output
        assert zygote.extract(out, *options, layout="webdataset").status == 0
        assert files_in(out) == undisturbed("webdataset", *MANY_SHARDS)
