"""A table as the text of a csv file."""

import csv
import io
from collections.abc import Iterable, Sequence


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
