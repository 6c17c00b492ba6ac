"""A table as the text of a csv file, and dataclasses from such a text."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from expclip_cache.base.errors import DataError

Line = TypeVar("Line")


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    r"""The table with lines that end in "\n". Floats have three decimals, None is an empty cell.

    >>> csv_text(["test_set", "uar", "seed"], [["raf-db", 40.0, None]])
    'test_set,uar,seed\nraf-db,40.000,\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.3f}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


def rows_to_csv(kind: type[Line], rows: Iterable[Line]) -> str:
    """Instances of a dataclass as a table, see `csv_text`; its columns are named as the fields are."""
    names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType]
    return csv_text(names, ([getattr(row, name) for name in names] for row in rows))


def read_csv_rows(kind: type[Line], path: Path, made_by: str, if_damaged: str = "") -> list[Line]:
    """The lines of a csv file, see `rows_to_csv`.

    Args:
        made_by: the command that writes the file, for errors.
        if_damaged: what to do about a damaged one; by default delete it and run the command.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return _csv_rows(kind, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Run `{made_by}`.") from None
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        remedy = if_damaged or f"Delete it and run `{made_by}`."
        raise DataError(f"{path}: is damaged ({error!r}). {remedy}") from None


def _csv_rows(kind: type[Line], text: str) -> list[Line]:
    """The lines of a csv file as instances of a dataclass whose fields are named as the columns are.

    Fields are strings, numbers, or numbers or None; an empty cell of these is None.

    Raises:
        ValueError, KeyError, TypeError, csv.Error: the text is not such a file.
    """
    types = {field.name: field.type for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [kind(**{name: _value(cell, types[name]) for name, cell in line.items()}) for line in lines]


def _value(cell: str, kind: object) -> Any:
    """A cell as a field of that type."""
    if cell == "" and kind in (int | None, float | None):
        return None
    if kind in (int, int | None):
        return int(cell)
    return float(cell) if kind in (float, float | None) else cell
