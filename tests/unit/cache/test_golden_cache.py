"""A cache of format version 1, committed as bytes: every later version of the library must be able to read it.

The test of the writer compares today's output with those bytes. If it fails, the format has changed: raise its version
and keep version 1 readable. A new HDF5 library that lays files out differently would fail the test too; the bytes are
then no longer comparable, and the test must say for which HDF5 versions it holds.
"""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
from typer.testing import CliRunner

from expclip_cache.cache.format import INDEX, MANIFEST, OLD_MANIFEST
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.shard import open_shard
from expclip_cache.cache.stored_manifest import manifest_with
from expclip_cache.cache.writer import CacheWriter
from expclip_cache.commands.app import app
from expclip_cache.datasets.manifest import Manifest, ManifestRow
from expclip_cache.datasets.manifest_file import check_manifest, read_manifest

GOLDEN = Path(__file__).parents[2] / "data/golden-cache-v1"
GOLDEN_MANIFEST = Path(__file__).parents[2] / "data/golden-manifest-v2.arrow"
FINGERPRINT = "3a85b72a715bc84204b8b5602381e01a24e621b1ccf5b7a2e88c82d3b79030e2"
MANIFEST_SHA256 = "326ff077f05af9ca50a6dc38c892f03788d578933170fefb39d5e588d19a91e5"
LATIN = os.fsdecode(b"caf\xe9.jpg")
PATHS = ["anger/1.jpg", "anger/été.jpg", "joy/new\nline.jpg", LATIN, "joy/broken.jpg"]
LABELS = [0, 0, 1, -1, 1]
FEATURES = np.array(
    [
        [0.0, -0.0, 1.0, -1.0],
        [0.5, 0.333251953125, 65504.0, -65504.0],
        [5.960464477539063e-08, 6.103515625e-05, 2.0, 3.0],
        [4.0, 5.0, 6.0, 7.0],
        [np.nan, np.nan, np.nan, np.nan],
    ],
    dtype=np.float16,
)
REASON = "OSError: image file is truncated (3 bytes not processed)"
SETTINGS = {
    "encoder": "clip-image",
    "model": "ViT-B-32-quickgelu",
    "weights": "openai",
    "preprocess": "reference",
    "precision": "fp32",
    "dtype": "float16",
    "manifest": MANIFEST_SHA256,
}
ENCODER = {"width": 4, "image_size": 224, "logit_scale": 100.0, "weights_sha256": "0123456789abcdef" * 4}
LIBRARY = "open_clip 3.3.0, torch 2.13.0"


def write_golden(folder: Path) -> None:
    """Write the golden cache with today's writer."""
    rows = tuple(
        ManifestRow(path, label, (path,), 10 + k, f"{k}" * 32)
        for k, (path, label) in enumerate(zip(PATHS, LABELS, strict=True))
    )
    manifest = Manifest("golden", ("anger", "joy"), rows, ("a note",))
    settings = {key: value for key, value in SETTINGS.items() if key not in ("dtype", "manifest")}
    with CacheWriter(
        folder, manifest=manifest, settings=settings, encoder=ENCODER, library=LIBRARY, shard_rows=3, dtype="float16"
    ) as writer:
        writer.add(FEATURES, errors=["", "", "", "", REASON])


def test_every_field_is_read_back_as_it_was_written():
    cache = FeatureCache(GOLDEN)
    assert (len(cache), cache.width, cache.dtype, cache.classes) == (5, 4, np.float16, ("anger", "joy"))
    assert dict(cache.identity.settings) == SETTINGS
    assert dict(cache.identity.encoder) == ENCODER
    assert cache.identity.fingerprint == FINGERPRINT
    assert cache.skipped == {4: REASON}
    rows = np.arange(4)
    assert cache[rows].tobytes() == FEATURES[:4].tobytes()
    assert cache.labels[rows].tolist() == LABELS[:4]
    assert cache.paths(rows) == PATHS[:4]
    last = open_shard(GOLDEN / "shard-00001.h5")
    assert np.isnan(last.features[1]).all()
    assert (last.rows, last.header.library, last.errors.tolist()) == (range(3, 5), LIBRARY, [b"", REASON.encode()])
    assert cache._records[0] == {
        "bytes": 12112,
        "first_row": 0,
        "name": "shard-00000.h5",
        "rows": 3,
        "xxh3_128": "3c41acb0c8a62d2158d6c6425bbec20f",
    }
    assert cache.libraries == (LIBRARY,)
    manifest = read_manifest(GOLDEN / OLD_MANIFEST)
    assert manifest.sha256 == MANIFEST_SHA256
    assert [row.path for row in manifest.rows] == PATHS


def test_plain_h5py_reads_the_same_content():
    with h5py.File(GOLDEN / "shard-00000.h5") as file:
        assert sorted(file) == ["error", "features", "label", "path", "row"]
        assert file["features"][:].tobytes() == FEATURES[:3].tobytes()
        assert file["row"][:].tolist() == [0, 1, 2]
        assert file["label"][:].tolist() == LABELS[:3]
        assert file["path"][:].tolist() == [path.encode() for path in PATHS[:3]]
        assert file["error"][:].tolist() == [b"", b"", b""]
        assert file.attrs["format"] == "expclip-cache shard"
        assert file.attrs["version"] == 1
        assert file.attrs["fingerprint"] == FINGERPRINT
        assert file.attrs["library"] == LIBRARY
        assert '"model":"ViT-B-32-quickgelu"' in file.attrs["settings"]
        assert '"logit_scale":100.0' in file.attrs["encoder"]
        assert (file.attrs["shard"], file.attrs["first_row"], bool(file.attrs["l2_normalized"])) == (0, 0, False)


def test_verify_finds_it_intact():
    result = CliRunner().invoke(app, ["verify", str(GOLDEN)])
    assert result.exit_code == 0, result.output
    assert "intact" in result.output


def test_the_current_writer_gives_the_same_bytes(tmp_path):
    write_golden(tmp_path / "new")
    for name in (INDEX, "shard-00000.h5", "shard-00001.h5"):
        assert (tmp_path / "new" / name).read_bytes() == (GOLDEN / name).read_bytes(), name
    assert (tmp_path / "new" / MANIFEST).read_bytes() == GOLDEN_MANIFEST.read_bytes()


def test_both_formats_of_the_manifest_have_the_same_rows_and_hash():
    old, new = read_manifest(GOLDEN / OLD_MANIFEST), read_manifest(GOLDEN_MANIFEST)
    assert old == new
    assert new.sha256 == MANIFEST_SHA256
    check_manifest(new, GOLDEN_MANIFEST)


def test_an_extraction_goes_on_in_a_cache_with_the_old_manifest(tmp_path):
    """It is kept: the shards say by its hash which images they are of."""
    shutil.copytree(GOLDEN, tmp_path / "copy")
    with CacheWriter(tmp_path / "copy", manifest=read_manifest(GOLDEN_MANIFEST)) as writer:
        writer.put_manifest()
    assert not (tmp_path / "copy" / MANIFEST).exists()
    assert manifest_with(writer.store, MANIFEST_SHA256) == read_manifest(GOLDEN / OLD_MANIFEST)


def test_one_changed_byte_is_noticed(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "copy")
    path = tmp_path / "copy" / "shard-00001.h5"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "copy")]).exit_code == 1
