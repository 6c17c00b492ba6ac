"""Whether two manifests list the same images, whatever their labels."""

import os
from collections.abc import Callable

from expclip_cache.datasets.listing import examples
from expclip_cache.datasets.manifest import Manifest, ManifestRow
from expclip_cache.datasets.row_columns import LABEL

NAMED = 1_000_000
"""Rows up to which differing images are named, which takes seconds and hundreds of megabytes."""


def image_difference(first: Manifest, second: Manifest, names: tuple[str, str]) -> str:
    """How the images of two manifests differ, as text; empty if each row is the same image in both.

    Labels do not count: a folder listed with its classes has the same images as one listed without.

    Args:
        names: of the two, for the text.
    """
    if not _rows_differ(first, second):
        return _other_reading(first, second, names)
    if max(len(first.rows), len(second.rows)) > NAMED:
        return f"{names[0]} has {len(first.rows)} images, {names[1]} {len(second.rows)}, and they are not the same"
    for rows, others, name in ((first.rows, second.rows, names[0]), (second.rows, first.rows, names[1])):
        if only := {row.path for row in rows} - {row.path for row in others}:
            return f"only {name} has {examples(sorted(only, key=os.fsencode))}"
    if [row.path for row in first.rows] != [row.path for row in second.rows]:
        return "they have the same images in another order"
    aspects: dict[str, Callable[[ManifestRow], object]] = {
        "changed between the two": lambda row: (row.bytes, row.digest),
        "sampled into other frames": lambda row: row.files,
        "cropped to another box, or in one of the two alone": lambda row: row.boxes,
    }
    for what, aspect in aspects.items():
        pairs = zip(first.rows, second.rows, strict=True)
        if differing := [row.path for row, other in pairs if aspect(row) != aspect(other)]:
            return f"{what}: {examples(differing)}"
    return _other_reading(first, second, names)


def _rows_differ(first: Manifest, second: Manifest) -> bool:
    """Whether the rows differ in more than their labels; compared in columns, a part at a time."""
    ours, theirs = first.columns, second.columns
    if len(ours) != len(theirs):
        return True
    return any(
        part.schema.names != other.schema.names
        or any(part.column(name) != other.column(name) for name in part.schema.names if name != LABEL)
        for part, other in zip(ours.parts, theirs.parts, strict=True)
    )


def _other_reading(first: Manifest, second: Manifest, names: tuple[str, str]) -> str:
    """How the images of the same rows differ by how they are read."""
    if first.short_clip != second.short_clip:
        return f"short_clip is {first.short_clip} in {names[0]}, {second.short_clip} in {names[1]}"
    if first.appearance != second.appearance:
        return (
            "images that look different in a viewer are taken as it shows them in one, as they are stored in the other"
        )
    return ""
