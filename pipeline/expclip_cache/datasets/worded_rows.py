"""Images and the words that a dataset has for their classes, collected in columns: there may be millions."""

from collections.abc import Iterable

import numpy as np

from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.labels import Labels, ignored_note
from expclip_cache.datasets.listing import UNLABELLED, ListedRow, listed_rows
from expclip_cache.datasets.row_columns import LABEL, RowColumns, numbers
from expclip_cache.datasets.row_parts import columns_of, sorted_by_path, with_labels

IGNORED = -2
"""In place of a label: of a class that is not used."""


class WordedRows:
    """The rows of a dataset, as long as their labels are not known.

    Attributes:
        words: every word that occurred -> its number.
    """

    def __init__(self, images: Iterable[tuple[str, str]]):
        """Collect rows.

        Args:
            images: path and word of each.

        Raises:
            DataError: a path is not one that a file can have.
        """
        self.words: dict[str, int] = {}
        number = self.words.setdefault
        rows = (ListedRow(path, number(word, len(self.words)), (path,)) for path, word in images)
        self._rows = columns_of(rows, listed_rows)

    def __len__(self) -> int:
        return len(self._rows)

    def labelled(
        self, definition: Definition, labelled: bool, where: str, items: str
    ) -> tuple[RowColumns[ListedRow], tuple[str, ...], list[str]]:
        """The rows with their labels, in the order of their paths; those of an unused class are left out.

        Args:
            labelled: False gives every row `UNLABELLED`, whatever its word.
            where: see `Labels`.
            items: what the note calls them, such as `images`.

        Returns:
            The rows; the classes; and a note on rows that were left out.

        Raises:
            DataError: a word has no known class.
        """
        import pyarrow as pa

        labels, classes = np.full(len(self.words), UNLABELLED, dtype=np.int32), tuple[str, ...]()
        if labelled:
            label_of = Labels(definition, self.words, where)
            classes = label_of.classes
            found = [label_of.label(word) for word in self.words]
            labels[:] = [IGNORED if label is None else label for label in found]
        kept, ignored = list[pa.RecordBatch](), 0
        for part in self._rows.parts:
            label = labels[numbers(part.column(LABEL))]
            used = label != IGNORED
            ignored += int(np.count_nonzero(~used))
            kept.append(with_labels(part, label).filter(pa.array(used)))
        rows = RowColumns(sorted_by_path(kept), len(self) - ignored, listed_rows)
        return rows, classes, ignored_note(ignored, items, classes)
