"""Parquet files that are made to mislead or to fill the memory, and paths that lead into them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expclip_cache.base import DataError
from expclip_cache.datasets import DatasetSettings, build_manifest, contained_file

IMAGES = [b"first", b"second", b"third"]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def listed(root: Path, labelled: bool = False):
    return build_manifest(root, DatasetSettings(source=str(root), layout="parquet", labelled=labelled), "faces")


@pytest.mark.parametrize("column", ["image", "label"])
def test_two_columns_of_one_name_are_refused(tmp_path, column):
    columns = {"image": pa.array(IMAGES), "label": pa.array(["anger", "fear", "anger"])}
    names = [*columns, column]
    pq.write_table(pa.table([columns[name] for name in names], names=names), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=rf"expected one column {column}, found 2 of that name"):
        listed(tmp_path, labelled=True)


def test_a_path_into_columns_that_share_a_name_leads_nowhere(tmp_path):
    pq.write_table(pa.table([pa.array(IMAGES)] * 2, names=["image", "image"]), tmp_path / "x.parquet")
    with pytest.raises(FileNotFoundError):
        contained_file(tmp_path, "x.parquet/image/0")


def test_a_struct_with_two_fields_of_one_name_is_no_image(tmp_path):
    images = pa.StructArray.from_arrays(
        [pa.array(IMAGES), pa.array(["a"] * 3), pa.array(IMAGES)], ["bytes", "path", "bytes"]
    )
    pq.write_table(pa.table({"image": images}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="expected images in the column image"):
        listed(tmp_path)
    with pytest.raises(FileNotFoundError):
        contained_file(tmp_path, "x.parquet/image/0")


@pytest.mark.parametrize("number", ["9" * 5000, "٢", "²", "-1", "", "3", "0x1"])
def test_only_the_number_of_a_row_leads_to_one(tmp_path, number):
    pq.write_table(pa.table({"image": pa.array(IMAGES)}), tmp_path / "x.parquet")
    assert contained_file(tmp_path, "x.parquet/image/0002") == b"third"
    with pytest.raises(FileNotFoundError):
        contained_file(tmp_path, f"x.parquet/image/{number}")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), STRUCT], ids=str)
def test_values_are_the_same_however_they_are_stored(tmp_path, kind):
    """Once in a dictionary, in full, or first the one and then the other; with rows that have none."""
    rng = np.random.default_rng(0)
    different = [rng.bytes(5_000) for _ in range(300)]
    values: list[bytes | None] = [different[row % 7] if row % 3 else different[row] for row in range(300)]
    values[5] = values[77] = None
    stored = [v if v is None or kind != STRUCT else {"bytes": v, "path": "a.jpg"} for v in values]
    table = pa.table({"image": pa.array(stored, kind)})
    for name, options in {
        "once": {"dictionary_pagesize_limit": 1 << 30, "write_statistics": False},
        "full": {"use_dictionary": False},
        "both": {"dictionary_pagesize_limit": 100_000, "data_page_size": 50_000, "row_group_size": 120},
    }.items():
        pq.write_table(table, tmp_path / f"{name}.parquet", **options)
        for row, value in enumerate(values):
            if value is not None:
                assert contained_file(tmp_path, f"{name}.parquet/image/{row}") == value
    assert len(listed(tmp_path).rows) == 3 * 298


READ = """
import resource, sys
from pathlib import Path
from expclip_cache.datasets import build_manifest
root = Path(sys.argv[1])
build_manifest(root / "small", "parquet")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
manifest = build_manifest(root / "large", "parquet")
print(len(manifest.rows), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="ru_maxrss has another unit")
@pytest.mark.parametrize("struct", [False, True])
def test_a_value_that_many_rows_share_is_in_memory_once(tmp_path, struct):
    """In full, the rows of this file of 4 MB would take 800 MB."""
    for name, size in {"small": 10, "large": 4 << 20}.items():
        values = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), pa.array([bytes(size)]))
        images = (
            pa.StructArray.from_arrays([values, pa.nulls(200, pa.string())], ["bytes", "path"]) if struct else values
        )
        (tmp_path / name).mkdir()
        # As other writers do: without the schema of Arrow, which would say that it is a dictionary.
        pq.write_table(
            pa.table({"image": images}),
            tmp_path / name / "x.parquet",
            dictionary_pagesize_limit=1 << 30,
            store_schema=False,
            compression="none",
        )
    found = subprocess.run([sys.executable, "-c", READ, tmp_path], capture_output=True, text=True, check=True)
    rows, more = map(int, found.stdout.split())
    assert rows == 200
    assert more < 100e6
