"""Features of images in tar shards and Parquet files are those of the same images in a folder, bit for bit."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from expclip_cache.base import CacheError, DataError
from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.datasets import DatasetSettings, Samples, build_manifest
from expclip_cache.encoders import ClipSettings
from expclip_cache.extraction import extract
from expclip_cache.workers import RunSettings
from tiny_encoders import write_clip

DATA = Path(__file__).parents[2] / "data" / "containers"
RUN = RunSettings(device="cpu", batch_size=4, workers=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> ClipSettings:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def tars(tmp_path) -> Path:
    return shutil.copytree(DATA / "webdataset", tmp_path / "tars")


@pytest.fixture
def folder(tars, tmp_path) -> Path:
    for shard in sorted(tars.glob("*.tar")):
        with tarfile.open(shard) as tar:
            tar.extractall(tmp_path / "folder", filter="data")
    return tmp_path / "folder"


def test_the_three_give_the_same_features(tmp_path, clip, tars, folder):
    found = {
        layout: extract(root, tmp_path / layout, clip, layout=layout, run=RUN)
        for root, layout in ((folder, "images"), (tars, "webdataset"), (DATA / "parquet", "parquet"))
    }
    expected = found.pop("images")
    for cache in found.values():
        assert len(cache) == 14
        assert not cache.skipped
        assert (cache[:] == expected[:]).all()


def test_labels_and_crops_of_a_command(tmp_path, clip, tars):
    words = ["extract", str(tars), str(tmp_path / "out"), "--model", clip.model, "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, "--layout", "webdataset", "--label", "json.emotion"])
    assert result.exit_code == 0, result.output
    cache = FeatureCache(tmp_path / "out")
    assert np.bincount(cache.labels).tolist() == [2] * 7
    assert cache.paths([0, 13]) == ["faces-000000.tar/0000.jpg", "faces-000001.tar/0013.jpg"]
    result = CliRunner().invoke(app, [*words, "--label", "txt"])
    assert "--label: is for --layout webdataset or parquet, found --layout images; remove it." in result.output


def test_options_that_choose_files_and_columns(tmp_path, clip):
    """Over what img2dataset wrote: the first of its two files holds four rows, one of them without an image."""
    words = ["extract", str(DATA / "img2dataset" / "parquet"), str(tmp_path / "out"), "--model", clip.model]
    options = ["--layout", "parquet", "--label", "emotion", "--image", "jpg", "--files", "00000*", "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, *options])
    assert result.exit_code == 0, result.output
    assert "1 rows have no image and are ignored" in result.output
    assert FeatureCache(tmp_path / "out").paths([0, 2]) == ["00000.parquet/jpg/0", "00000.parquet/jpg/3"]
    result = CliRunner().invoke(app, [*words, "--image", "jpg", "--files", "00000*"])
    assert "--image, --files: is for --layout webdataset or parquet, found --layout images" in result.output


def test_a_member_that_is_gone_or_changed_stops_and_says_where(tmp_path, clip, tars):
    manifest = build_manifest(tars, "webdataset")
    shard = tars / "faces-000001.tar"
    with tarfile.open(shard) as tar:
        place = tar.getmember("0009.jpg").offset_data + 500
    whole = shard.read_bytes()
    flipped = bytearray(whole)
    flipped[place] ^= 1
    shard.write_bytes(flipped)
    with pytest.raises(DataError, match=r"'faces-000001\.tar/0009\.jpg' \(row 9\) is not what its manifest lists"):
        extract(tars, tmp_path / "out", clip, manifest=manifest, run=RUN)
    shard.write_bytes(whole[:place])
    with pytest.raises(DataError, match=r"0009\.jpg' \(row 9\) could be read when its manifest was made, but not now"):
        extract(tars, tmp_path / "out", clip, manifest=manifest, run=RUN)
    shard.unlink()
    with pytest.raises(DataError, match="could be read when its manifest was made, but not now"):
        extract(tars, tmp_path / "out", clip, manifest=manifest, run=RUN)
    shard.write_bytes(whole)
    assert not extract(tars, tmp_path / "out", clip, manifest=manifest, run=RUN).skipped


def test_the_same_command_over_other_images_names_them(tmp_path, clip, tars):
    """Without a list of its own, a command lists and hashes the shards again, and finds that they have changed."""
    out, shard = tmp_path / "out", tars / "faces-000001.tar"
    whole = shard.read_bytes()
    extract(tars, out, clip, layout="webdataset", run=RUN)
    (out / "index.json").unlink()
    flipped = bytearray(whole)
    flipped[whole.index(b"0012.jpg") + 1400] ^= 1
    for content, difference in (
        (flipped, r"changed between the two: 'faces-000001\.tar/0012\.jpg'"),
        (whole[:30000], r"only the cache has 'faces-000001\.tar/0011\.jpg', .*/0012\.jpg', .*/0013\.jpg'"),
    ):
        shard.write_bytes(content)
        with pytest.raises(CacheError, match=rf"images differ: {difference}\nPut the images back as they were, choose"):
            extract(tars, out, clip, layout="webdataset", run=RUN)
    shard.write_bytes(whole)
    assert len(extract(tars, out, clip, layout="webdataset", run=RUN)) == 14


def test_a_shard_that_was_cut_off_before_is_a_recorded_skip(tmp_path, clip, tars):
    shard = tars / "faces-000001.tar"
    with tarfile.open(shard) as tar:
        place = tar.getmember("0010.jpg").offset_data + 100
    shard.write_bytes(shard.read_bytes()[:place])
    cache = extract(tars, tmp_path / "out", clip, layout="webdataset", run=RUN)
    assert list(cache.skipped) == [10]
    assert "ends within it: of its" in cache.skipped[10]
    assert len(cache.good_rows) == 10


def test_verify_reads_the_images_in_shards(tmp_path, clip, tars):
    settings = DatasetSettings(source=str(tars), layout="webdataset", samples=Samples(label="txt"))
    extract(tars, tmp_path / "out", clip, layout=settings, run=RUN)
    words = ["verify", str(tmp_path / "out"), "--images", str(tars)]
    assert CliRunner().invoke(app, words).exit_code == 0
    shard = tars / "faces-000000.tar"
    raw = bytearray(shard.read_bytes())
    raw[4000] ^= 255
    shard.write_bytes(raw)
    assert CliRunner().invoke(app, words).exit_code == 1
