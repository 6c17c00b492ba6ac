"""Map a dataset's own words to labels, by name."""

from collections.abc import Iterable, Sequence

from expclip_cache.base import CANONICAL, DataError, canonical_name, canonical_order
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.listing import UNLABELLED, examples


class Labels:
    """Maps the folder names, numbers and abbreviations of one dataset to labels.

    Attributes:
        classes: (c,) names in canonical order; a label is an index into them.
    """

    def __init__(self, definition: Definition, words: Iterable[str], where: str) -> None:
        """Look up every word of a dataset.

        Args:
            definition: of the dataset.
            words: every folder name or label that occurs in it.
            where: what they were read from, for the error.

        Raises:
            DataError: a word has no known class; the error lists it and the known ones.
        """
        native = {key.strip().lower(): name for key, name in definition.native.items()}
        own = {name.lower(): name for name in definition.classes}
        ignored = {word.lower() for word in definition.ignored}
        self._name_of: dict[str, str | None] = {}
        for word in words:
            key = word.strip().lower()
            self._name_of[word] = "" if key in ignored else native.get(key) or own.get(key) or canonical_name(key)
        unknown = [word for word, name in self._name_of.items() if name is None]
        if unknown:
            known = ", ".join(definition.classes or CANONICAL)
            codes = ", ".join(f"{key} ({name})" for key, name in definition.native.items())
            raise DataError(
                f"{where}: no class is known for {examples(unknown, 10)}. Known classes: {known}."
                f"{f' Also: {codes}.' if codes else ''} Rename or remove it, or give its class under `native:` of a "
                "definition, or of a table or samples in params.yaml (see docs/datasets.md); no option of the command "
                "line does. Numbers and abbreviations are never guessed: they mean different "
                "classes in different datasets."
            )
        self.classes = definition.classes or canonical_order(filter(None, self._name_of.values()))

    def label(self, word: str) -> int | None:
        """The label of a word; None if it has no class, or one that is not among the dataset's classes."""
        name = self._name_of[word]
        return self.classes.index(name) if name and name in self.classes else None


def labels_of(
    words: Sequence[str], definition: Definition, labelled: bool, where: str, items: str
) -> tuple[Sequence[int | None], tuple[str, ...], list[str]]:
    """The labels of a list of items.

    Args:
        words: the class of each item, in the dataset's own words.
        labelled: False gives every item `UNLABELLED`, whatever its word.
        where: see `Labels`.
        items: what the note calls them, such as `images`.

    Returns:
        The label of each item, None if it has no class that is used; the classes; and a note on items without.

    Raises:
        DataError: a word has no known class.
    """
    if not labelled:
        return [UNLABELLED] * len(words), (), []
    label_of = Labels(definition, dict.fromkeys(words), where)
    labels = [label_of.label(word) for word in words]
    return labels, label_of.classes, ignored_note(labels.count(None), items, label_of.classes)


def ignored_note(count: int, items: str, classes: Sequence[str]) -> list[str]:
    """A note on items of a class that is not used, if there are some."""
    return [f"{count} {items} are ignored: their class is not among {', '.join(classes)}"] if count else []
