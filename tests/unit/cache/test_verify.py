"""`verify`, `--repair` and `inspect`, through the library and through the command line."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from caches import IDENTITY, edit_index, header_of, make_block, make_cache, resealed
from expclip_cache.base.errors import CacheError, SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import INDEX, MANIFEST, Identity, shard_name
from expclip_cache.cache.index import read_index
from expclip_cache.cache.inspection import inspect_cache
from expclip_cache.cache.lock import writing
from expclip_cache.cache.shard import open_shard
from expclip_cache.cache.shard_writer import write_shard
from expclip_cache.cache.stores.store import store_at
from expclip_cache.cache.verify import _not_once, repair, verify_cache
from expclip_cache.commands.app import app
from expclip_cache.datasets.hashing import hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.datasets.manifest_file import write_manifest

HOLD = """
import sys, time
from dataclasses import replace
from pathlib import Path
from expclip_cache.cache.lock import writing
with writing(Path(sys.argv[1]), range(1)):
    print("held", flush=True)
    time.sleep(60)
"""


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def images(tmp_path):
    """The images é/0.jpg ... é/9.jpg."""
    root = tmp_path / "images"
    (root / "é").mkdir(parents=True)
    for row in range(10):
        Image.new("L", (8, 8), row).save(root / "é" / f"{row}.jpg")
    return root


@pytest.fixture
def manifest(images):
    rows = tuple(ListedRow(f"é/{row}.jpg", row % 3, (f"é/{row}.jpg",)) for row in range(10))
    return hash_listing("images", images, Listing(rows, ("a", "b", "c")))


@pytest.fixture
def cache(tmp_path, manifest):
    """Ten rows in shards of four, row 5 skipped, with the manifest beside them."""
    identity = Identity({**IDENTITY.settings, "manifest": manifest.sha256}, IDENTITY.encoder)
    folder = make_cache(tmp_path / "cache", bad=(5,), identity=identity)
    write_manifest(manifest, folder / MANIFEST)
    return folder


def broken(cache, **options):
    return {f.part: f.problem for f in verify_cache(cache, SilentReporter(), **options).broken}


def flip(path, place=-40):
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def test_an_intact_cache(cache, images):
    found = verify_cache(cache, SilentReporter(), images=images)
    assert not found.broken
    parts = [finding.part for finding in found.findings]
    assert parts == [MANIFEST, INDEX, *map(shard_name, range(3)), "all rows", str(images)]
    again, deleted = repair(cache, SilentReporter(), images=images)
    assert (again.findings, deleted) == (found.findings, [])
    result = invoke("verify", cache, "--images", images)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, f"{cache}: intact")


def test_a_damaged_shard_is_named_and_repair_removes_it_and_the_index(cache):
    flip(cache / shard_name(1))
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    found = broken(cache)
    assert found[shard_name(1)] == "the content does not match its checksum: the file is damaged."
    assert found["all rows"] == "4 of 10 rows are not in exactly one intact shard, from row 4 on"
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    result = invoke("verify", cache, "--repair")
    assert result.exit_code == 1
    assert f"deleted: {INDEX}, {shard_name(1)}. Run the extraction again" in result.stdout
    assert sorted(p.name for p in cache.iterdir() if p.name != ".lock") == [MANIFEST, shard_name(0), shard_name(2)]


@pytest.mark.parametrize("name", [INDEX, shard_name(0), MANIFEST])
def test_repair_keeps_the_intact_files(cache, name):
    flip(cache / name)
    repair(cache, SilentReporter())
    left = {path.name for path in cache.iterdir()} - {".lock"}
    assert left == {MANIFEST, INDEX, *map(shard_name, range(3))} - {name, INDEX}


def test_repair_is_refused_while_an_extraction_is_writing(cache):
    flip(cache / shard_name(0))
    with subprocess.Popen([sys.executable, "-c", HOLD, cache], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(CacheError, match="another extraction is writing here"):
            repair(cache, SilentReporter())
        process.kill()
    assert (cache / shard_name(0)).exists()


class WhileJudging(SilentReporter):
    """Tries to write to the cache when its shards are being judged."""

    def __init__(self, cache):
        self.cache, self.said = cache, ""

    def bar(self, *arguments):
        tried = subprocess.run(
            [sys.executable, "-c", HOLD.replace("60", "0"), self.cache], capture_output=True, text=True, check=False
        )
        self.said = tried.stdout + tried.stderr
        return super().bar(*arguments)


def test_nothing_is_written_between_judging_and_deleting(cache):
    """An extraction that replaced the cache in between would lose its new shards."""
    flip(cache / shard_name(0))
    verify_cache(cache, reporter := WhileJudging(cache))
    assert reporter.said == "held\n"
    _, deleted = repair(cache, reporter := WhileJudging(cache))
    assert "another extraction is writing here" in reporter.said
    assert deleted == [INDEX, shard_name(0)]


def test_repair_makes_no_folder(tmp_path):
    with pytest.raises(CacheError, match="expected a feature cache"):
        repair(tmp_path / "nowhere", SilentReporter())
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_shard(cache):
    (cache / shard_name(2)).unlink()
    assert broken(cache)[shard_name(2)] == "missing"
    assert repair(cache, SilentReporter())[1] == [INDEX]


def test_an_incomplete_cache_is_reported_as_incomplete(cache):
    (cache / INDEX).unlink()
    (cache / shard_name(1)).unlink()
    assert broken(cache) == {
        INDEX: "missing: the cache is incomplete",
        "all rows": "4 of 10 rows are not in exactly one intact shard, from row 4 on",
    }
    (cache / MANIFEST).unlink()
    assert broken(cache) == {INDEX: "missing: the cache is incomplete"}
    assert invoke("verify", cache).exit_code == 1


def test_intact_shards_of_another_cache_or_number(cache, tmp_path):
    other = Identity({**IDENTITY.settings, "model": "huge"}, IDENTITY.encoder)
    theirs = make_cache(tmp_path / "theirs", identity=other)
    shutil.copy(theirs / shard_name(0), cache / shard_name(0))
    assert "differs: cache '" in broken(cache)[shard_name(0)]
    assert ", this shard '" in broken(cache)[shard_name(0)]
    shutil.copy(cache / shard_name(1), cache / shard_name(0))
    assert broken(cache)[shard_name(0)] == "contains shard 1"
    shutil.copy(cache / shard_name(1), cache / "shard-00009.h5")
    assert broken(cache)["shard-00009.h5"] == "contains shard 1"


def test_without_an_index_contradicting_shards_are_not_removed(cache, tmp_path):
    other = Identity({**IDENTITY.settings, "model": "huge"}, IDENTITY.encoder)
    theirs = make_cache(tmp_path / "theirs", identity=other)
    shutil.copy(theirs / shard_name(0), cache / shard_name(0))
    (cache / INDEX).unlink()
    found, deleted = repair(cache, SilentReporter())
    assert {shard_name(1), shard_name(2)} <= {finding.part for finding in found.broken}
    assert deleted == []


def test_other_weights_under_the_same_settings(cache, manifest):
    identity = Identity({**IDENTITY.settings, "manifest": manifest.sha256}, {**IDENTITY.encoder, "weights_sha256": "v"})
    write_shard(cache, make_block(2, range(8, 10)), identity, "test")
    assert "weights_sha256 differs" in broken(cache)[shard_name(2)]
    (cache / INDEX).unlink()
    assert "weights_sha256 differs" in broken(cache)[shard_name(2)]


def test_other_features_under_the_same_settings(cache, manifest):
    identity = Identity({**IDENTITY.settings, "manifest": manifest.sha256}, IDENTITY.encoder)
    block = make_block(2, range(8, 10))
    block.features[0, 0] = 99
    write_shard(cache, block, identity, "test 1.0")
    assert broken(cache)[shard_name(2)] == "is intact, but not the file that the index recorded"


def test_features_whose_width_contradicts_the_settings(cache, manifest):
    identity = Identity({**IDENTITY.settings, "manifest": manifest.sha256}, {**IDENTITY.encoder, "width": 5})
    (cache / INDEX).unlink()
    for number, rows in enumerate([range(4), range(4, 8), range(8, 10)]):
        write_shard(cache, make_block(number, rows), identity, "test")
    assert "features are 4 wide" in broken(cache)[shard_name(0)]


def test_skipped_rows_that_the_index_does_not_list(cache):
    edit_index(cache, {"skipped": []})
    assert broken(cache)[shard_name(1)] == "its skipped rows are not those of the index"


def test_rows_that_differ_from_the_manifest(cache, manifest):
    identity = Identity({**IDENTITY.settings, "manifest": manifest.sha256}, IDENTITY.encoder)
    block = make_block(0, range(4))
    swapped = (block.paths[1], block.paths[0], *block.paths[2:])
    (cache / INDEX).unlink()
    write_shard(cache, replace(block, paths=swapped), identity, "test 1.0")
    assert (
        "row 0 is 'é/1.jpg' with label 0, in the manifest it is 'é/0.jpg' with label 0" in broken(cache)[shard_name(0)]
    )


def test_a_forged_row_without_finite_features(cache):
    """Our writer refuses such a row, so the shard is forged: its checksum is valid, its content is not."""
    path = cache / shard_name(0)
    raw = bytearray(path.read_bytes())
    place = header_of(bytes(raw))["columns"]["features"][2]
    raw[place : place + 2] = np.array([np.inf], dtype="<f2").tobytes()
    path.write_bytes(resealed(bytes(raw)))
    (cache / INDEX).unlink()
    assert "row 0 must have either finite features or an error" in broken(cache)[shard_name(0)]


def test_another_manifest(cache, manifest, tmp_path):
    other = type(manifest)(manifest.name, manifest.classes, manifest.rows[:9])
    found = broken(cache, manifest=other)
    assert found == {"manifest": f"cached {manifest.sha256[:12]}..., given {other.sha256[:12]}..."}
    write_manifest(other, tmp_path / "other.arrow")
    assert invoke("verify", cache, "--manifest", tmp_path / "other.arrow").exit_code == 1


def test_changed_images(cache, images):
    (images / "é/3.jpg").unlink()
    Image.new("L", (8, 8), 200).save(images / "é/9.jpg")
    assert broken(cache, images=images) == {
        str(images): "2 rows are not what the manifest recorded: 'é/3.jpg', 'é/9.jpg'"
    }
    assert broken(cache, images=images, sample=2) == {
        str(images): "1 rows are not what the manifest recorded: 'é/9.jpg'"
    }
    assert broken(cache, images=images, sample=1) == {}
    assert repair(cache, SilentReporter(), images=images)[1] == []


@pytest.mark.parametrize(
    ("root", "found"),
    [("nosuch", "nothing"), ("file", "a file"), ("memory://nosuch", "nothing"), ("memory://bucket/file", "a file")],
)
def test_raw_images_are_in_a_folder(cache, tmp_path, root, found):
    fsspec.filesystem("memory").pipe("/bucket/file", b"text")
    (tmp_path / "file").write_text("text")
    place = root if "://" in root else tmp_path / root
    refused = invoke("verify", cache, "--images", place)
    assert refused.exit_code == 1
    assert f"raw images: expected a folder at {place}, found {found}." in " ".join(refused.output.split())


def test_images_cannot_be_compared_without_a_manifest(cache, images):
    (cache / MANIFEST).unlink()
    with pytest.raises(SettingsError, match="Give --manifest"):
        verify_cache(cache, SilentReporter(), images=images)


def test_a_folder_without_a_cache(tmp_path):
    with pytest.raises(CacheError, match="found neither"):
        verify_cache(tmp_path, SilentReporter())
    assert invoke("verify", tmp_path).exit_code == 1
    assert invoke("inspect", tmp_path / "none").exit_code == 1


def test_inspecting_a_complete_cache(cache):
    found = json.loads(invoke("inspect", cache, "--json").stdout)
    assert found == inspect_cache(cache)
    assert found["complete"]
    assert found["labels"] == {"a": 4, "b": 3, "c": 3}
    assert (found["rows"], found["width"], found["dtype"], found["shards"], found["shard_rows"]) == (
        10,
        4,
        "float16",
        3,
        4,
    )
    assert found["skipped"] == [{"row": 5, "path": "é/5.jpg", "reason": "truncated"}]
    assert found["bytes"] == sum(path.stat().st_size for path in cache.glob("*.h5"))
    assert found["fingerprint"] == read_index(store_at(cache))["fingerprint"]
    assert found["problems"] == []
    output = invoke("inspect", cache).stdout
    for words in ("(complete)", "10 rows x 4", "a 4, b 3, c 3", "row 5: 'é/5.jpg': truncated", "weights_sha256"):
        assert words in output


def test_inspecting_an_incomplete_cache(cache):
    (cache / INDEX).unlink()
    (cache / shard_name(0)).unlink()
    flip(cache / shard_name(2), 200)
    found = inspect_cache(cache)
    assert not found["complete"]
    assert (found["rows"], found["shards"], found["shards_planned"]) == (4, 1, None)
    assert found["labels"] == {"a": 1, "b": 2, "c": 1}
    assert any("is not a shard of this version" in problem for problem in found["problems"])
    assert "INCOMPLETE" in invoke("inspect", cache).stdout


def test_labels_without_class_names(cache):
    (cache / INDEX).unlink()
    (cache / MANIFEST).unlink()
    assert inspect_cache(cache)["labels"] == {"class 0": 4, "class 1": 3, "class 2": 3}


def test_consecutive_intact_shards_share_one_line(tmp_path):
    folder = make_cache(tmp_path / "c", rows=40, shard_rows=2)
    flip(folder / shard_name(7))
    lines = invoke("verify", folder).stdout
    assert "19 shards" in lines
    assert shard_name(7) in lines
    assert shard_name(8) not in lines
    assert open_shard(folder / shard_name(8))


def test_verify_works_while_an_extraction_holds_the_lock(cache):
    with writing(cache):
        assert broken(cache) == {}


def test_a_sample_reads_only_so_many_shards_and_checks_the_presence_and_length_of_the_others(tmp_path, manifest):
    folder = make_cache(tmp_path / "c", rows=40, shard_rows=2)
    for number in (0, 10, 19):
        flip(folder / shard_name(number))
    found = verify_cache(folder, SilentReporter(), sample=3)
    assert {finding.part for finding in found.broken} == {
        shard_name(0),
        shard_name(10),
        shard_name(19),
        "all rows",
    }
    assert "a sample: 3 of 20 shards read" in [finding.part for finding in found.findings]
    flip(folder / shard_name(0))
    flip(folder / shard_name(10))
    assert broken(folder, sample=2).keys() == {shard_name(19), "all rows"}
    flip(folder / shard_name(19))
    flip(folder / shard_name(5))
    assert broken(folder, sample=3) == {}, "shard 5 is not read"
    (folder / shard_name(5)).write_bytes(b"short")
    (folder / shard_name(6)).unlink()
    found = broken(folder, sample=3)
    assert "5 bytes long, the index recorded" in found[shard_name(5)]
    assert found[shard_name(6)] == "missing"
    assert found["all rows"] == "4 of 40 rows are not in exactly one intact shard, from row 10 on"
    assert invoke("verify", folder, "--sample", "3").exit_code == 1


def test_a_sample_reads_only_the_header_of_the_manifest(cache, manifest, monkeypatch):
    monkeypatch.setattr("expclip_cache.cache.verify.read_stored_manifest", pytest.fail)
    assert broken(cache, sample=1) == {}
    other = type(manifest)(manifest.name, manifest.classes, manifest.rows[:9])
    write_manifest(other, cache / MANIFEST)
    assert broken(cache, sample=1) == {MANIFEST: "its header is not that of this cache's manifest"}
    (cache / INDEX).unlink()
    assert broken(cache, sample=1).keys() == {INDEX}


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)).map(lambda part: range(part[0], sum(part)))),
)
def test_rows_that_are_not_in_exactly_one_part(total, parts):
    times = [sum(row in part for part in parts) for row in range(total)]
    wrong = [row for row in range(total) if times[row] != 1]
    assert _not_once(parts, total) == (len(wrong), wrong[0] if wrong else total)


def test_inspect_reads_no_features(cache, monkeypatch):
    monkeypatch.setattr("expclip_cache.cache.stores.folder.open_shard", pytest.fail)
    assert inspect_cache(cache)["complete"]
    (cache / shard_name(0)).unlink()
    (cache / shard_name(1)).write_bytes(b"short")
    found = inspect_cache(cache)
    assert not found["complete"]
    assert len(found["problems"]) == 2
