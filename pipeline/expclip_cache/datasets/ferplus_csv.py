"""FER+ as its authors publish it: tables of ten annotators' votes beside folders of images.

There are two tables of the same images: `label.csv` beside the images of each split, whose majorities are the published
numbers of items, and `fer2013new.csv` for all of them, whose majorities differ for a few.

The images are FER2013's; `expclip_cache.datasets.ferplus_images` writes them from FER2013's own table.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.forms import VotesForm
from expclip_cache.datasets.labels import Labels
from expclip_cache.datasets.listing import UNLABELLED, ListedRow, Listing, in_path_order, missing_images
from expclip_cache.datasets.settings import DatasetSettings

NO_CLASS = ("unknown", "NF")
"""Columns for an expression that could not be named and for an image that shows no face."""


def read_ferplus_csv(root: Path, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per image with a majority for one class.

    Raises:
        DataError: the table is missing or invalid, or none of its images exist.
    """
    part = definition.ferplus_csv
    assert part is not None  # Definition checks it for this layout
    votes, unnamed = read_votes(root / part.votes, part.usage)
    listing = _by_majority(root, root / part.votes, part.images, votes, definition, dataset)
    unnamed_note = [f"{unnamed} entries are ignored: the table names no image for them"] if unnamed else []
    return Listing(listing.rows, listing.classes, (*listing.notes, *unnamed_note))


def read_label_csv(root: Path, file: str, form: VotesForm, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per image of a split with a majority for one class.

    Args:
        file: the table, relative to the root; the images are beside it.

    Raises:
        DataError: a line has no ten votes, or most of the images are not there.
    """
    votes = {}
    for number, line in enumerate((root / file).read_text(encoding="utf-8-sig").splitlines(), start=1):
        name, *fields = next(csv.reader([line]), [""])
        # Older copies have no column for the box of the face, the whole image.
        counts = fields[-len(form.votes) :]
        if len(fields) - len(form.votes) not in (0, 1) or not all(count.strip().isdecimal() for count in counts):
            raise DataError(
                f"{root / file}, line {number}: expected a name, a box and {len(form.votes)} votes, found {line!r}."
            )
        votes[name] = dict(zip(form.votes, map(int, counts), strict=True))
    if not votes:
        raise DataError(f"{root / file}: expected one image per line, found none.")
    return _by_majority(root, root / file, file.rpartition("/")[0], votes, definition, dataset)


def _by_majority(
    root: Path,
    file: Path,
    images: str,
    votes: Mapping[str, Mapping[str, int]],
    definition: Definition,
    dataset: DatasetSettings,
) -> Listing:
    columns = next(iter(votes.values()))
    labels = Labels(definition, [column for column in columns if column not in NO_CLASS], str(file))
    rows, undecided = [], 0
    for name, counts in votes.items():
        winner = majority(counts)
        label = None if winner is None or winner in NO_CLASS else labels.label(winner)
        if label is None:
            undecided += 1
        else:
            path = f"{images}/{name}" if images else name
            rows.append(ListedRow(path, label if dataset.labelled else UNLABELLED, (path,)))
    advice = "Write them from FER2013's table with expclip_cache.datasets.ferplus_images.write_images."
    missing = missing_images(root, [row.path for row in rows], str(root / images), advice)
    undecided_note = f"{undecided} of {len(votes)} images are ignored: no class has a majority of their votes"
    return Listing(in_path_order(rows), labels.classes if dataset.labelled else (), (undecided_note, *missing))


def majority(votes: Mapping[str, int]) -> str | None:
    """The column with a majority of the votes, by the rule of the FER+ authors.

    Columns with a single vote are dropped; of the remaining votes, one column must have more than half.

    >>> majority({"neutral": 4, "anger": 3, "fear": 1}), majority({"neutral": 4, "anger": 4, "fear": 1})
    ('neutral', None)
    """
    counted = {column: number for column, number in votes.items() if number > 1}
    column = max(counted, key=counted.__getitem__, default=None)
    return column if column is not None and 2 * counted[column] > sum(counted.values()) else None


def read_votes(file: Path, usage: str) -> tuple[dict[str, dict[str, int]], int]:
    """(image name -> votes per column, number of entries without an image name) for one part of the table.

    Raises:
        DataError: the file is missing, lacks columns, or has a vote that is not a number.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines)
            entries = [entry for entry in table if entry.get("Usage") == usage]
        columns = [name for name in table.fieldnames or () if name not in ("Usage", "Image name")]
        named = {e["Image name"]: {c: int(e[c]) for c in columns} for e in entries if e["Image name"]}
    except OSError as error:
        raise DataError(
            f"{file}: cannot read the vote table of FER+ ({error.strerror}). It is fer2013new.csv of the FER+ "
            "repository; put it in this folder."
        ) from None
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{file}: expected the columns Usage, Image name and numbers of votes, found {error!r}. Use the file "
            "fer2013new.csv as published."
        ) from None
    if not named or not set(NO_CLASS) <= set(columns):
        raise DataError(
            f"{file}: expected rows of Usage {usage} with the columns Usage, Image name, classes, unknown and NF, "
            f"found {len(named)} such rows and the columns {', '.join(columns) or 'none'}."
        )
    return named, len(entries) - len(named)
