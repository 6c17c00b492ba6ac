"""Tables of every kind -> their rows as text: comma, tab or space separated, JSON lines, Parquet."""

import codecs
import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
        columns: of a text without a header line; one with the same names is passed over.

    Returns:
        Place of each row, such as `line 3`, and its columns. A value that is itself a list or an object becomes several
        columns: `box.0`, `box.1`; whole numbers have no decimal point.

    Raises:
        DataError: the file cannot be read, is not such a table, or a line has too few or too many columns.
    """
    suffix = file.suffix.lower()
    if suffix in PARQUET:
        return list(_parquet(file))
    lines = read_lines(file)
    if suffix in JSON_LINES:
        return list(_json_lines(lines, file))
    separator = separator or ("tab" if suffix == ".tsv" else "comma")
    return list(_text(lines, file, separator, columns))


def read_lines(file: Path) -> list[str]:
    """The lines of a text as editors and spreadsheets save it: UTF-8 or UTF-16 with a mark, and every kind of line end.

    Bytes that are not UTF-8 are kept as lone surrogates (`os.fsdecode`), as in the names of files.

    Raises:
        DataError: the file cannot be read, or is not the UTF-16 that its mark says.
    """
    with _reading(file):
        raw = file.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = raw.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: begins as UTF-16 and is not ({error.reason}). Save it as UTF-8.") from None
    else:
        text = os.fsdecode(raw.removeprefix(codecs.BOM_UTF8))
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}).") from None


def _text(lines: list[str], file: Path, separator: Separator, columns: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
    if separator == "space":
        split = ((number, _by_spaces(line, columns)) for number, line in enumerate(lines, start=1))
    else:
        split = _by_delimiter(lines, file, _DELIMITERS[separator])
    is_first = True
    for number, fields in split:
        if not any(fields):
            continue
        if is_first:
            is_first, columns = False, columns or _header(fields, f"{file}, line {number}")
            if tuple(fields) == columns:
                continue
        if len(fields) != len(columns):
            found = " ".join(fields)
            raise DataError(
                f"{file}, line {number}: expected {separator}s between {', '.join(columns)}, found {found!r}."
            )
        yield f"line {number}", dict(zip(columns, fields, strict=True))


def _header(fields: Sequence[str], where: str) -> tuple[str, ...]:
    if repeated := [column for column, count in Counter(filter(None, fields)).items() if count > 1]:
        raise DataError(f"{where}: expected columns with different names, found several called {', '.join(repeated)}.")
    return tuple(fields)


def _by_spaces(line: str, columns: tuple[str, ...]) -> list[str]:
    return line.strip().rsplit(maxsplit=len(columns) - 1) if columns else line.split()


def _by_delimiter(lines: list[str], file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line, and fields, of each row; a quoted field may have several lines."""
    table = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        for fields in table:
            yield table.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise DataError(f"{file}, line {table.line_num}: is not a row of a table ({error}).") from None


def _json_lines(lines: list[str], file: Path) -> Iterator[tuple[str, Entry]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}, line {number}: is not JSON ({error}).") from None
        if not isinstance(row, dict):
            raise DataError(f"{file}, line {number}: expected an object with the columns, found {line[:60]!r}.")
        yield f"line {number}", _columns(row, f"{file}, line {number}")


def _parquet(file: Path) -> Iterator[tuple[str, Entry]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with _reading(file), pyarrow.parquet.ParquetFile(file) as table:
            _header(table.schema_arrow.names, str(file))
            for batch in table.iter_batches(batch_size=4096):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", _columns(row, f"{file}, row {number}")
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        place = f", after row {number}" if number else ""
        raise DataError(f"{file}{place}: is not a Parquet file that can be read ({error}).") from None


def _columns(row: Mapping[str, Any], where: str) -> Entry:
    try:
        return dict(_flat("", row))
    except RecursionError:
        raise DataError(f"{where}: is nested too deeply for a row of a table.") from None


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
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return value if isinstance(value, str) else str(value)
