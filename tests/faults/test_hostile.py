"""Maliciously crafted files are refused at once, whatever their checksum, and no other file is opened."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from caches import header_of, make_cache, resealed, with_header
from expclip_cache.base.errors import CacheError
from expclip_cache.cache.format import INDEX, Identity, shard_name
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.shard import open_shard


@pytest.fixture
def path(tmp_path):
    return make_cache(tmp_path / "c") / shard_name(0)


@pytest.fixture
def trap(tmp_path):
    """A FIFO: whoever opens it blocks for ever."""
    os.mkfifo(tmp_path / "trap.h5")
    return tmp_path / "trap.h5"


def replace_dataset(name, **options):
    def change(file, trap):
        del file[name]
        file.create_dataset(name, **options)

    return change


def external_link(file, trap):
    del file["features"]
    file["features"] = h5py.ExternalLink(str(trap), "/features")


def link_loop(file, trap):
    del file["features"]
    file["features"] = h5py.SoftLink("/features")


def external_storage(file, trap):
    del file["features"]
    file.create_dataset("features", shape=(4, 4), dtype="f2", external=[(str(trap), 0, 32)])


HOSTILE_HDF5 = {
    "external link": external_link,
    "soft link loop": link_loop,
    "external storage": external_storage,
    "group": lambda file, trap: (file.pop("features"), file.create_group("features")),
    "huge declared shape": replace_dataset("features", shape=(1 << 40, 4), dtype="f2"),
    "compressed": replace_dataset("features", shape=(4, 4), dtype="f2", chunks=(4, 4), compression="gzip"),
    "wrong type": replace_dataset("features", shape=(4, 4), dtype="f8"),
    "compound type": replace_dataset("label", shape=(4,), dtype=[("a", "i4"), ("b", "i4")]),
    "object references": replace_dataset("path", shape=(4,), dtype=h5py.ref_dtype),
    "variable-length strings": replace_dataset("path", shape=(4,), dtype=h5py.string_dtype()),
    "differing lengths": replace_dataset("label", data=np.zeros(3, dtype=np.int32)),
    "missing dataset": lambda file, trap: file.pop("error"),
    "missing attribute": lambda file, trap: file.attrs.pop("settings"),
}


@pytest.mark.parametrize("kind", HOSTILE_HDF5)
def test_a_shard_rewritten_with_hdf5_is_refused(path, trap, kind):
    with h5py.File(path, "r+") as file:
        HOSTILE_HDF5[kind](file, trap)
    with pytest.raises(CacheError, match="does not match its checksum"):
        open_shard(path)


@pytest.mark.parametrize("kind", HOSTILE_HDF5)
def test_hdf5_structures_are_never_followed_even_with_a_valid_checksum(path, trap, kind):
    with h5py.File(path, "r+") as file:
        HOSTILE_HDF5[kind](file, trap)
    raw = resealed(path.read_bytes())
    path.write_bytes(with_header(raw, header_of(raw) | {"bytes": len(raw)}))
    try:
        shard = open_shard(path)
    except CacheError:
        return
    # The columns are where the header says; the HDF5 structures are not looked at.
    assert shard.features.shape == (4, 4)
    with pytest.raises(CacheError, match="not the shard that"):
        FeatureCache(path.parent)[np.array([0])]


def test_the_reader_does_not_import_the_hdf5_library():
    code = "import expclip_cache.cache.reader, sys; print('h5py' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"not hdf5 at all" * 100, b"expclip-cache shard 1"])
def test_files_that_are_not_shards_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CacheError, match="is not a shard of a feature cache"):
        open_shard(path)


def test_another_hdf5_file_is_refused(path):
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((4, 4), dtype=np.float16)
    with pytest.raises(CacheError, match="is not a shard of a feature cache"):
        open_shard(path)


def columns(**changes):
    return lambda header: header | {"columns": header["columns"] | changes}


HOSTILE_HEADERS = {
    "huge shape": columns(features=["<f2", [1 << 40, 4], 8192]),
    "shape beyond 64-bit integers": columns(features=["<f2", [1 << 61, 1 << 61], 8192]),
    "negative shape": columns(features=["<f2", [-4, -4], 8192]),
    "empty shape": columns(features=["<f2", [0, 4], 8192]),
    "shape of booleans": columns(features=["<f2", [True, True], 8192]),
    "fractional shape": columns(features=["<f2", [4.0, 4.0], 8192]),
    "wrong rank": columns(features=["<f2", [16], 8192]),
    "offset inside the header": columns(features=["<f2", [4, 4], 0]),
    "negative offset": columns(features=["<f2", [4, 4], -32]),
    "offset beyond the end": columns(features=["<f2", [4, 4], 1 << 40]),
    "overlapping columns": columns(row=["<i8", [4], 8192], features=["<f2", [4, 4], 8200]),
    "objects": columns(path=["|O", [4], 8192]),
    "records": columns(label=[[["a", "<i4"]], [4], 8192]),
    "very long strings": columns(path=["|S999999999", [4], 8192]),
    "big endian": columns(features=[">f2", [4, 4], 8192]),
    "double precision": columns(features=["<f8", [4, 4], 8192]),
    "different lengths": columns(label=["<i4", [3], 8192]),
    "extra column": columns(more=["<i4", [4], 8192]),
    "no columns": lambda header: header | {"columns": {}},
    "columns as a list": lambda header: header | {"columns": ["features"]},
    "another version": lambda header: header | {"version": 2},
    "another format": lambda header: header | {"format": "zip"},
    "wrong fingerprint": lambda header: header | {"fingerprint": "0" * 64},
    "wrong file length": lambda header: header | {"bytes": header["bytes"] + 1},
    "wrong header size": lambda header: header | {"head": 8192},
    "header size of zero": lambda header: header | {"head": 0},
    "negative shard number": lambda header: header | {"shard": -1},
    "wrong first row": lambda header: header | {"first_row": 4},
    "extra entry": lambda header: header | {"more": 1},
    "L2-normalised": lambda header: header | {"l2_normalized": True},
    "settings as a list": lambda header: header | {"settings": []},
    "a list": lambda header: [],
    "a number": lambda header: 7,
    "deeply nested lists": lambda header: json.loads("[" * 90 + "]" * 90),
}


@pytest.mark.parametrize("kind", HOSTILE_HEADERS)
def test_hostile_headers_with_a_valid_checksum_are_refused(path, kind):
    raw = path.read_bytes()
    path.write_bytes(with_header(raw, HOSTILE_HEADERS[kind](header_of(raw))))
    with pytest.raises(CacheError):
        open_shard(path)


def test_an_unchanged_header_is_accepted(path):
    raw = path.read_bytes()
    assert with_header(raw, header_of(raw)) == raw
    assert open_shard(path).features.shape == (4, 4)


def test_the_index_exposes_settings_that_were_changed_together_with_every_checksum(path):
    raw = path.read_bytes()
    header = header_of(raw)
    header["settings"]["model"] = "other"
    header["fingerprint"] = Identity(header["settings"], header["encoder"]).fingerprint
    path.write_bytes(with_header(raw, header))
    assert open_shard(path).identity.settings["model"] == "other"
    with pytest.raises(CacheError, match="not the shard that"):
        FeatureCache(path.parent)[np.array([0])]


@pytest.mark.parametrize("kind", ["FIFO", "folder", "device", "dangling link", "link to a device"])
def test_anything_but_a_regular_file_is_refused_at_once(path, kind):
    path.unlink()
    make = {
        "FIFO": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "dangling link": lambda: path.symlink_to("/nowhere/at/all"),
        "link to a device": lambda: path.symlink_to("/dev/tty"),
    }
    make[kind]()
    with pytest.raises(CacheError, match=r"not a regular file|cannot be read"):
        open_shard(path)
    with pytest.raises(CacheError, match="verify --repair"):
        FeatureCache(path.parent)[np.array([0])]


def test_a_symbolic_link_to_a_shard_is_followed_because_dvc_may_link_its_files(path, tmp_path):
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert FeatureCache(path.parent)[np.array([3])][0, 0] == 3


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"7", b"null", b"{" * 100_000, b"[" * 100_000, b"\xff\xfe", b'{"rows": 1e999}']
)
def test_hostile_indexes_are_refused(path, content):
    (path.parent / INDEX).write_bytes(content)
    with pytest.raises(CacheError, match=r"is damaged|own checksum"):
        FeatureCache(path.parent)


def test_an_index_that_is_a_fifo_is_refused_at_once(path):
    index = path.parent / INDEX
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(CacheError, match="is not a regular file"):
        FeatureCache(path.parent)
