"""The datasets of a preset on this machine: which have a root, and what is in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.datasets import (
    DatasetSettings,
    Root,
    definition_of,
    read_rows,
    resolve_root,
    root_names,
    root_variable,
)
from expclip_cache.faces import scene_note


@dataclass(frozen=True)
class FoundDataset:
    """A dataset that is present on this machine, as its reader lists it.

    Attributes:
        items: number of rows.
        counts: class in canonical order -> number of items; empty for an unlabelled dataset.
        published: published number of items of the same classes; None if none are published.
        notes: from the reader: what was ignored, what differs from the published counts.
        scenes: why its images look like whole scenes; None if they do not, or if the settings say what is cropped.
    """

    name: str
    root: Root
    items: int
    counts: Mapping[str, int]
    published: tuple[int, ...] | None
    notes: tuple[str, ...]
    scenes: str | None = None


def names_of_root(name: str, dataset: DatasetSettings) -> tuple[str, ...]:
    """The names that a dataset's root may be given under; none if its source is a folder."""
    return root_names(name, definition_of(dataset)) if dataset.is_definition else ()


def has_root(name: str, dataset: DatasetSettings, roots: Mapping[str, str]) -> bool:
    """Whether the root is set somewhere; a source that is a folder needs no root."""
    names = names_of_root(name, dataset)
    return not dataset.is_definition or any(key in roots or os.environ.get(root_variable(key)) for key in names)


def list_dataset(name: str, dataset: DatasetSettings, given: Mapping[str, str], roots_file: Path) -> FoundDataset:
    """Read the rows of a dataset that has a definition.

    Raises:
        DataError: its folder is missing or does not match its layout, or is given twice.
    """
    names = names_of_root(name, dataset)
    variables = [root_variable(key) for key in names if os.environ.get(root_variable(key))]
    if variables and any(key in given for key in names):
        raise DataError(
            f"{name}: a folder is given, but the environment variable {variables[0]} would override it. Unset it."
        )
    root = resolve_root(name, dataset, roots_file=roots_file, given=given)
    listing = read_rows(root, dataset)
    items = np.bincount(listing.columns.labels + 1, minlength=len(listing.classes) + 1).tolist()
    return FoundDataset(
        name=name,
        root=root,
        items=len(listing.rows),
        counts=dict(zip(listing.classes, items[1:], strict=True)),
        published=definition_of(dataset).published_counts(dataset.fold) if dataset.labelled else None,
        notes=listing.notes,
        scenes=scene_note(root, listing.rows) if dataset.crop is None else None,
    )
