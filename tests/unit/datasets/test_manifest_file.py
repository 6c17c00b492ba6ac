"""The Arrow file of a manifest: the same bytes for the same rows, read in parts, and no damage goes unnoticed."""

import json
import os
import pickle
from dataclasses import replace

import pyarrow as pa
import pytest
import xxhash

from expclip_cache.base import DataError
from expclip_cache.datasets import Manifest, ManifestRow, row_checks, row_columns, row_parts, stored_parts
from expclip_cache.datasets.manifest import in_columns, inconsistency
from expclip_cache.datasets.manifest_file import check_manifest, read_manifest, write_manifest
from expclip_cache.datasets.manifest_header import HEADER, HEADER_HASH, recorded_sha256
from expclip_cache.datasets.stored_parts import part_hash


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of four rows."""
    for module in (row_columns, row_parts, row_checks, stored_parts):
        monkeypatch.setattr(module, "PART_ROWS", 4)


def row(number: int, **changed: object) -> ManifestRow:
    path = f"{number:03d}.jpg"
    return replace(ManifestRow(path, number % 2, (path,), number, f"{number:032x}"), **changed)


def manifest(count: int = 10) -> Manifest:
    return Manifest("faces", ("x", "y"), tuple(map(row, range(count))), ("a note",))


@pytest.fixture
def file(tmp_path):
    write_manifest(manifest(), tmp_path / "m.arrow")
    return tmp_path / "m.arrow"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"files": ("a.jpg", "b.jpg")},
        {"boxes": ((1, 2, 3, 4),)},
        {"digest": None, "bytes": 0},
        {"path": "caf\udce9.jpg"},
        {"path": "\u00e9t\u00e9.jpg"},
    ],
)
def test_rows_are_read_back_by_number_in_slices_and_one_after_the_other(tmp_path, changed):
    rows = [*map(row, range(9)), row(9, **changed)]
    frames = len(rows[-1].files)
    rows = [replace(each, files=each.files * frames) for each in rows[:-1]] + rows[-1:]
    write_manifest(Manifest("faces", ("x", "y"), rows), tmp_path / "m.arrow")
    found = read_manifest(tmp_path / "m.arrow").rows
    assert list(found) == rows
    assert [found[place] for place in range(-10, 10)] == rows * 2
    for start in range(11):
        for stop in range(11):
            assert list(found[start:stop]) == rows[start:stop]
    assert list(found[::-3]) == rows[::-3]
    with pytest.raises(IndexError):
        found[10]
    assert found == rows
    assert found == in_columns(rows)
    assert found != in_columns(rows[:9])


def test_the_same_rows_give_the_same_bytes(file, tmp_path):
    """From a tuple, from columns of a longer table, and from a file."""
    longer = in_columns([*map(row, range(40))])
    cut = row_columns.RowColumns([longer.parts[0], longer.parts[1], longer.parts[2].slice(0, 2)], 10, longer._rows_of)
    for number, rows in enumerate((manifest().rows, cut, read_manifest(file).rows)):
        write_manifest(replace(manifest(), rows=rows), tmp_path / f"{number}.arrow")
        assert (tmp_path / f"{number}.arrow").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("changed", [{}, {"files": ("a.jpg", "b.jpg")}, {"boxes": ((1, 2, 3, 4),)}, {"digest": None}])
def test_the_hash_of_a_part_depends_on_its_values_alone(changed):
    """Not on where in a buffer they are."""
    part = in_columns([row(0), row(1, **changed), row(2)]).parts[0]
    others = {part_hash(in_columns([row(0), row(number), row(2)]).parts[0]) for number in (1, 3)}
    assert len(others - {part_hash(part)}) == (2 if changed else 1)
    twice = pa.Table.from_batches([part, part]).combine_chunks().to_batches()[0]
    for same in (twice.slice(0, 3), twice.slice(3)):
        assert part_hash(same) == part_hash(part)


def test_it_is_an_arrow_file_for_everybody(file):
    table = pa.ipc.open_file(file).read_all()
    assert table.column_names == ["path", "label", "bytes", "xxh3_128"]
    assert table.column("path").to_pylist() == [row.path for row in manifest().rows]
    assert json.loads(table.schema.metadata[HEADER])["sha256"] == manifest().sha256


def test_only_the_parts_that_are_used_are_read(file, monkeypatch):
    hashed = []
    original = stored_parts.part_hash
    monkeypatch.setattr(stored_parts, "part_hash", lambda part: hashed.append(part) or original(part))
    found = read_manifest(file)
    assert (len(found.rows), found.sha256, found.classes) == (10, manifest().sha256, ("x", "y"))
    assert not hashed
    assert found.rows[5] == found.rows[6] or found.rows[4:8]
    assert [part.column("path")[0].as_py() for part in hashed] == ["004.jpg"]


def test_it_travels_between_processes_as_a_path(file):
    found = read_manifest(file)
    assert len(pickle.dumps(found)) < 1000
    assert pickle.loads(pickle.dumps(found)) == found
    built = manifest()
    assert pickle.loads(pickle.dumps(built)) == built


def test_another_file_of_the_same_name_is_not_taken_for_it(file):
    pickled = pickle.dumps(read_manifest(file))
    write_manifest(manifest(9), file)
    with pytest.raises(DataError, match="was replaced while it was in use"):
        pickle.loads(pickled)


def test_its_folder_may_have_a_name_that_is_not_utf_8(file, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    write_manifest(read_manifest(file), folder / "m.arrow")
    assert read_manifest(folder / "m.arrow") == manifest()


def outcome(path) -> object:
    stated = recorded_sha256(path.read_bytes())
    try:
        found = read_manifest(path)
        rows = list(found.rows)
        check_manifest(found, path)
    except DataError:
        return "refused"
    assert stated == found.sha256
    return found.name, found.classes, found.notes, rows, found.sha256


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    """A bit of padding may flip: what is read is then the same."""
    file = tmp_path / "m.arrow"
    write_manifest(manifest(5), file)
    raw, whole, seen = file.read_bytes(), outcome(file), set[str]()
    for place in range(len(raw)):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "d.arrow").write_bytes(damaged)
        found = outcome(tmp_path / "d.arrow")
        assert found in ("refused", whole), place
        seen.add("refused" if found == "refused" else "same")
    assert seen == {"refused", "same"}


def test_no_cut_goes_unnoticed(file, tmp_path):
    raw = file.read_bytes()
    for length in (*range(0, len(raw) - 400, 13), *range(len(raw) - 400, len(raw))):
        (tmp_path / "d.arrow").write_bytes(raw[:length])
        assert outcome(tmp_path / "d.arrow") == "refused", length


def test_a_damaged_part_is_named_and_the_others_are_read(file):
    raw = file.read_bytes()
    assert raw.count(b"005.jpg") == 1
    file.write_bytes(raw.replace(b"005.jpg", b"050.jpg"))
    found = read_manifest(file)
    assert found.rows[3] == row(3)
    with pytest.raises(DataError, match="rows 4 to 7 do not match their hash in the header"):
        found.rows[4]
    assert found.rows[9] == row(9)


def test_a_manifest_that_is_replaced_while_it_is_in_use_is_not_copied(file, tmp_path):
    found = read_manifest(file)
    write_manifest(manifest(9), file)
    assert list(found.rows) == list(manifest().rows), "the mapped file is still the first one"
    with pytest.raises(DataError, match="was replaced while it was in use"):
        write_manifest(found, tmp_path / "copy.arrow")
    assert [path.name for path in tmp_path.iterdir()] == ["m.arrow"]
    write_manifest(replace(found, notes=()), tmp_path / "other.arrow")
    assert read_manifest(tmp_path / "other.arrow") == replace(manifest(), notes=())


def rewritten(path, batches, /, **changed):
    """A file whose hashes are right, as somebody could make it on purpose."""
    header = json.loads(pa.ipc.open_file(path).schema.metadata[HEADER])
    header |= {"parts": [part_hash(part) for part in batches], "rows": sum(map(len, batches))} | changed
    text = json.dumps(header).encode()
    metadata = {HEADER: text, HEADER_HASH: xxhash.xxh3_128_hexdigest(text).encode()}
    with pa.ipc.new_file(path, batches[0].schema.with_metadata(metadata)) as writer:
        for part in batches:
            writer.write_batch(part)
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"path": "../../etc/passwd"}, "row 5: the path '../../etc/passwd' points outside the dataset's folder"),
        ({"label": 2}, r"row 5 \('005.jpg'\) has the label 2, but there are 2 classes"),
        ({"files": ("a", "b")}, r"row 5 \('005.jpg'\) has 2 frames, but other rows have 1"),
        ({"bytes": -1}, "has -1 bytes"),
    ],
)
def test_impossible_rows_are_refused_when_they_are_used_although_their_hash_is_right(file, changed, message):
    parts = in_columns([*map(row, range(5)), row(5, **changed), *map(row, range(6, 10))]).parts
    rewritten(file, parts)
    with pytest.raises(DataError, match=message):
        read_manifest(file).rows[5]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sha256": "0" * 64}, "the rows do not match the hash in the header"),
        ({"rows": 11}, "is not a manifest|do not match their hash"),
        ({"rows": "ten"}, "is not a manifest"),
        ({"parts": []}, "is not a manifest"),
        ({"parts": None}, "is not a manifest"),
        ({"classes": ["x", "x"]}, "not distinct names"),
        ({"classes": 7}, "is not a manifest"),
        ({"notes": None}, "is not a manifest"),
        ({"format": "expclip-cache manifest 3"}, "expected the format 'expclip-cache manifest 2', found"),
        ({"short_clip": "loop"}, "short_clip is 'loop'"),
    ],
)
def test_a_header_that_cannot_be_is_refused(file, changed, message):
    rewritten(file, in_columns(manifest().rows).parts, **changed)
    with pytest.raises(DataError, match=message):
        check_manifest(read_manifest(file), file)


@pytest.mark.parametrize(
    "batch",
    [
        pa.record_batch({"path": ["a.jpg"], "label": pa.array([0], pa.int32())}),
        pa.record_batch({"path": ["a.jpg"], "label": [0], "bytes": [1], "xxh3_128": pa.array([None], pa.binary(16))}),
        pa.record_batch({"path": [1], "label": pa.array([0], pa.int32()), "bytes": [1]}),
        pa.record_batch({"other": [1]}),
    ],
)
def test_other_columns_are_refused(file, batch):
    with pytest.raises(DataError, match="is not a manifest"):
        list(read_manifest(rewritten(file, [batch])).rows)


def test_missing_values_are_refused(file):
    columns = {name: in_columns(manifest(1).rows).parts[0].column(name) for name in ("path", "label", "bytes")}
    columns |= {"xxh3_128": pa.array([None], pa.binary(16))}
    for name in ("path", "label", "bytes"):
        batch = pa.record_batch(columns | {name: pa.nulls(1, columns[name].type)})
        with pytest.raises(DataError, match=f"row 0 has no {name}"):
            list(read_manifest(rewritten(file, [batch])).rows)
    lists = {
        "files": pa.array([["a", None]]),
        "boxes": pa.array([[[1, 2, None, 4]]], pa.list_(pa.list_(pa.int32(), 4))),
    }
    for name, values in lists.items():
        batch = pa.record_batch(columns | {name: values})
        with pytest.raises(DataError, match=f"row 0 has no {name}"):
            list(read_manifest(rewritten(file, [batch])).rows)


def test_an_arrow_file_of_something_else_is_no_manifest(tmp_path):
    with pa.ipc.new_file(tmp_path / "m.arrow", pa.schema([("a", pa.int64())])):
        pass
    with pytest.raises(DataError, match="no header that matches its hash"):
        read_manifest(tmp_path / "m.arrow")
    assert recorded_sha256((tmp_path / "m.arrow").read_bytes()) is None


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.arrow")
    with pytest.raises(DataError, match="found a pipe"):
        read_manifest(tmp_path / "m.arrow")


def test_the_hash_is_found_in_the_beginning_of_the_file(file):
    raw = file.read_bytes()
    assert recorded_sha256(raw) == recorded_sha256(raw[:2000]) == manifest().sha256
    for length in range(0, 900, 7):
        assert recorded_sha256(raw[:length]) in (None, manifest().sha256)


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("apart", [1, 3, 6])
def test_a_path_with_two_contents_is_found_within_and_across_parts(ascending, apart):
    rows = [*map(row, range(10))]
    again = [row(3, path=rows[3].path), *rows[4:]]
    rows = rows[:4] + ([rows[3]] * (apart - 1)) + [replace(rows[3], label=0)] + rows[4:] if ascending else rows
    if not ascending:
        rows = [*rows[::-1], replace(rows[3], bytes=99)]
    assert again[0] == row(3)
    problem = inconsistency(Manifest("faces", ("x", "y"), rows))
    first, second = (3 + apart - 1, 3 + apart) if ascending else (6, 10)
    assert problem == f"rows {first} and {second} are both '003.jpg', but with different labels or contents"


def test_repeated_rows_are_possible_in_any_order():
    rows = [*map(row, range(10))]
    for listed in (sorted(rows * 3, key=lambda each: each.path), rows * 3):
        assert inconsistency(Manifest("faces", ("x", "y"), listed)) is None
