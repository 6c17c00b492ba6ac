"""Tables of every kind -> their rows as text: comma, tab or space separated, JSON lines, Parquet."""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from expclip_cache.base import DataError
from expclip_cache.datasets.forms import Separator

_DELIMITERS = {"comma": ",", "tab": "\t"}

PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson")

Entry = Mapping[str, str]
"""One row: column -> text; empty where there is no value."""


def read_table(file: Path, separator: Separator | None, columns: tuple[str, ...]) -> list[tuple[str, Entry]]:
    """Read a table.

    Args:
        file: read by its suffix: Parquet, JSON lines, otherwise text.
        separator: of a text; by default a tab for .tsv and a comma for all others. With `space` only the first column
            may contain spaces.
        columns: of a text without a header line.

    Returns:
        Place of each row, such as `line 3`, and its columns. A value that is itself a list or an object becomes several
        columns: `box.0`, `box.1`; whole numbers have no decimal point.

    Raises:
        DataError: the file cannot be read, is not such a table, or a line has too few or too many columns.
    """
    suffix = file.suffix.lower()
    if suffix in PARQUET:
        return list(_parquet(file))
    with _reading(file):
        raw = file.read_bytes()
    if suffix in JSON_LINES:
        return list(_json_lines(raw, file))
    separator = separator or ("tab" if suffix == ".tsv" else "comma")
    return list(_text(os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf")), file, separator, columns))


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}).") from None


def _text(text: str, file: Path, separator: Separator, columns: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
    lines = text.replace("\r\n", "\n").split("\n")
    if separator == "space":
        split = ((number, _by_spaces(line, columns)) for number, line in enumerate(lines, start=1))
    else:
        split = _by_delimiter(lines, file, _DELIMITERS[separator])
    for number, fields in split:
        if not any(fields):
            continue
        if not columns:
            columns = tuple(fields)
            continue
        if len(fields) != len(columns):
            found = " ".join(fields)
            raise DataError(
                f"{file}, line {number}: expected {separator}s between {', '.join(columns)}, found {found!r}."
            )
        yield f"line {number}", dict(zip(columns, fields, strict=True))


def _by_spaces(line: str, columns: tuple[str, ...]) -> list[str]:
    return line.strip().rsplit(maxsplit=len(columns) - 1) if columns else line.split()


def _by_delimiter(lines: list[str], file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line, and fields, of each row; a quoted field may have several lines."""
    table = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    try:
        for fields in table:
            yield table.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise DataError(f"{file}, line {table.line_num}: is not a row of a table ({error}).") from None


def _json_lines(raw: bytes, file: Path) -> Iterator[tuple[str, Entry]]:
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}, line {number}: is not JSON ({error}).") from None
        if not isinstance(row, dict):
            raise DataError(f"{file}, line {number}: expected an object with the columns, found {line[:60]!r}.")
        yield f"line {number}", dict(_flat("", row))


def _parquet(file: Path) -> Iterator[tuple[str, Entry]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"{file}: reading Parquet needs pyarrow. Install it (pip install 'expclip-cache[parquet]'), or save the "
            "table as .csv."
        ) from None
    try:
        with _reading(file):
            table = pyarrow.parquet.read_table(file)
    except pyarrow.ArrowException as error:
        raise DataError(f"{file}: is not a Parquet file ({error}).") from None
    number = 0
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", dict(_flat("", row))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """The values in nested lists and objects, each under its place."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, _as_text(value)


def _as_text(value: Any) -> str:
    """A value as a csv file would have it."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)
