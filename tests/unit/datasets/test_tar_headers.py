"""Headers of tars of every kind, compared with what Python's `tarfile` finds; damage is never taken for the end."""

import io
import os
import random
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from expclip_cache.base import DataError
from expclip_cache.datasets.tar_headers import BLOCK, DamagedTarError, read_headers
from expclip_cache.datasets.tar_index import TarIndex

LONG = "folder/" * 40 + "a" * 120 + ".jpg"
NAMES = ("000000.jpg", "./000001.jpg", "sub/000002.JPG", "ä ö 字.png", "line\nbreak.jpg", LONG, "x" * 100, "y" * 101)


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


def write_tar(path: Path, kind: int, names: tuple[str, ...] = NAMES) -> None:
    with tarfile.open(path, "w", format=kind) as tar:
        add(tar, "sub", type=tarfile.DIRTYPE)
        for number, name in enumerate(names):
            add(tar, name, name.encode() * (1 + 37 * number % 300), mtime=1.5 if kind == tarfile.PAX_FORMAT else 0)


def contents(index: TarIndex) -> dict[str, bytes]:
    return dict(index.contents(index.names))


def contents_by_tarfile(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name.removeprefix("./"): tar.extractfile(m).read() for m in tar if not m.isdir() and not m.issym()}


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_that_python_writes(tmp_path, kind):
    names = NAMES if kind != tarfile.USTAR_FORMAT else (*NAMES[:5], "p" * 90 + "/" + "n" * 90 + ".jpg")
    write_tar(tmp_path / "a.tar", kind, names)
    index = TarIndex(tmp_path / "a.tar")
    assert contents(index) == contents_by_tarfile(tmp_path / "a.tar")
    assert len(index.names) == len(names)
    assert not index.damage


@pytest.mark.skipif(not shutil.which("tar"), reason="needs tar")
@pytest.mark.parametrize("kind", ["v7", "ustar", "oldgnu", "gnu", "pax"])
def test_every_format_that_tar_writes(tmp_path, kind):
    """With folders, a hard and two symbolic links, a sparse file, and a name that is not UTF-8."""
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(b"%d" % number * 700)
    Path(os.fsdecode(bytes(folder) + b"/\xff.jpg")).write_bytes(b"latin")
    os.link(folder / "1.jpg", folder / "hard.jpg")
    (folder / "sub/soft.jpg").symlink_to("../2.jpg")
    (folder / "outside.jpg").symlink_to("/nowhere/3.jpg")
    with (folder / "sparse.jpg").open("wb") as file:
        for place in range(0, 40 * 65536, 65536):  # more parts than fit into one header
            file.seek(place)
            file.write(b"part")
    sparse = [] if kind in ("v7", "ustar") else ["--sparse"]
    command = ["tar", "-C", folder, f"--format={kind}", *sparse, "-cf", tmp_path / "a.tar", "."]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"this tar does not write the format {kind}")
    index = TarIndex(tmp_path / "a.tar")
    found, expected = contents(index), contents_by_tarfile(tmp_path / "a.tar")
    assert found.pop("sub/soft.jpg") == b"2" * 700
    whole = expected.pop("sparse.jpg")
    if sparse:
        assert sorted(index.not_read) == ["outside.jpg", "sparse.jpg"]
    else:
        assert found.pop("sparse.jpg") == whole
        assert index.not_read == ["outside.jpg"]
    assert found == expected
    assert found["hard.jpg"] == found["1.jpg"] == b"1" * 700
    assert found["\udcff.jpg"] == b"latin"
    assert not index.damage


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_beyond_8_gib(tmp_path, kind):
    """Sizes that need base 256, or a record of their own; the tar has holes on the disk."""
    size, path = 9 * 1024**3 + 7, tmp_path / "a.tar"
    with tarfile.open(path, "w", format=kind) as tar:
        add(tar, "before.jpg", b"before")
        info = tarfile.TarInfo("huge.bin")
        info.size = size
        tar.fileobj.write(info.tobuf(kind))
        tar.fileobj.seek(-(-size // BLOCK) * BLOCK, os.SEEK_CUR)
        tar.offset = tar.fileobj.tell()
        add(tar, "after.jpg", b"after")
    index = TarIndex(path)
    assert (index.read("before.jpg"), index.read("after.jpg")) == (b"before", b"after")
    assert len(index.read("huge.bin", most=10)) == 11
    assert not index.damage


def test_joined_tars_are_read_to_their_end(tmp_path):
    write_tar(tmp_path / "a.tar", tarfile.PAX_FORMAT, ("0.jpg", "1.jpg"))
    write_tar(tmp_path / "b.tar", tarfile.GNU_FORMAT, ("2.jpg",))
    joined = tmp_path / "joined.tar"
    joined.write_bytes((tmp_path / "a.tar").read_bytes() + (tmp_path / "b.tar").read_bytes())
    parts = [contents_by_tarfile(tmp_path / name) for name in ("a.tar", "b.tar")]
    assert contents(TarIndex(joined)) == parts[0] | parts[1]


def test_a_tar_without_files(tmp_path):
    write_tar(tmp_path / "a.tar", tarfile.GNU_FORMAT, ())
    index = TarIndex(tmp_path / "a.tar")
    assert (list(index.names), index.damage) == ([], "")


def test_a_tar_that_is_cut_off_anywhere_says_so_and_keeps_what_is_whole(tmp_path):
    write_tar(tmp_path / "a.tar", tarfile.PAX_FORMAT)
    raw, whole = (tmp_path / "a.tar").read_bytes(), contents_by_tarfile(tmp_path / "a.tar")
    end = len(raw.rstrip(b"\0"))
    for length in range(0, len(raw), 101):
        (tmp_path / "cut.tar").write_bytes(raw[:length])
        index = TarIndex(tmp_path / "cut.tar")
        found = contents(index)
        assert found.items() <= whole.items()
        assert len(found) >= len(index.names) - 1
        if length < end:
            assert index.damage == f"is cut off after {len(index.names)} files"
        assert (found == whole) == (length >= end)


def test_a_tar_that_becomes_shorter_while_it_is_read_is_cut_off(tmp_path):
    write_tar(tmp_path / "a.tar", tarfile.PAX_FORMAT)
    raw = (tmp_path / "a.tar").read_bytes()
    for length in range(0, len(raw), 101):
        with pytest.raises(DamagedTarError) as raised:
            list(read_headers(io.BytesIO(raw[:length]), len(raw)))
        assert raised.value.offset is None or raised.value.offset < length


def test_a_flipped_bit_in_a_header_is_never_taken_for_the_end(tmp_path):
    """Whatever bit of a header is flipped: the tar is refused, said to be damaged, or every file is there."""
    write_tar(tmp_path / "a.tar", tarfile.PAX_FORMAT)
    raw, whole = (tmp_path / "a.tar").read_bytes(), contents_by_tarfile(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        headers = [member.offset_data - BLOCK for member in tar] + [0]
    rng = random.Random(0)
    for _ in range(300):
        damaged = bytearray(raw)
        damaged[rng.choice(headers) + rng.randrange(BLOCK)] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged.tar").write_bytes(damaged)
        try:
            index = TarIndex(tmp_path / "damaged.tar")
        except DataError:
            continue
        assert index.damage.startswith("is damaged at byte ") or contents(index) == whole
        assert contents(index).items() <= whole.items()


def test_a_size_that_no_file_has_is_damage(tmp_path):
    write_tar(tmp_path / "a.tar", tarfile.GNU_FORMAT, ("0.jpg", "1.jpg"))
    raw = bytearray((tmp_path / "a.tar").read_bytes())
    start = raw.index(b"1.jpg")
    raw[start + 124 : start + 136] = b"\x80" + b"\xff" * 11
    raw[start + 148 : start + 156] = b" " * 8
    raw[start + 148 : start + 156] = b"%06o\0 " % sum(raw[start : start + BLOCK])
    (tmp_path / "a.tar").write_bytes(raw)
    assert TarIndex(tmp_path / "a.tar").damage == f"is damaged at byte {start}, after 1 files"


@pytest.mark.parametrize("content", [b"x" * 600, b"\x1f\x8b" + b"x" * 5000, b"PK\3\4" + bytes(2000)])
def test_what_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tar: is not an uncompressed tar"):
        TarIndex(tmp_path / "a.tar")


def test_an_index_of_many_members_is_small(tmp_path):
    import tracemalloc

    write_tar(tmp_path / "a.tar", tarfile.GNU_FORMAT, tuple(f"{number:09}.jpg" for number in range(5000)))
    tracemalloc.start()
    index = TarIndex(tmp_path / "a.tar")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index.names) == 5000
    assert kept < 200 * 5000
    assert peak < 250 * 5000
