"""What tells the images of two manifests apart: everything but their labels."""

from dataclasses import replace

import pytest

from expclip_cache.datasets import Manifest, ManifestRow, image_difference, same_images

NAMES = ("first", "second")


def row(name: str, label: int = -1) -> ManifestRow:
    return ManifestRow(name, label, (name,), 10, name.encode().ljust(16).hex())


def manifest(*rows: ManifestRow, classes: tuple[str, ...] = ()) -> Manifest:
    return Manifest("m", classes, rows)


AB = manifest(row("a.png"), row("b.png"))


def test_labels_names_and_notes_do_not_count():
    labelled = manifest(row("a.png", 0), row("b.png", 1), classes=("happiness", "anger"))
    other = replace(labelled, name="other", notes=("a note",))
    assert labelled.sha256 != AB.sha256
    assert image_difference(AB, other, NAMES) == ""


def test_a_file_that_cannot_be_read_is_the_same_in_both():
    unreadable = manifest(row("a.png"), replace(row("b.png"), bytes=0, digest=None))
    assert image_difference(unreadable, replace(unreadable, name="other"), NAMES) == ""


def test_of_long_lists_the_images_are_not_named(monkeypatch):
    monkeypatch.setattr(same_images, "NAMED", 1)
    assert image_difference(AB, replace(AB, name="other"), NAMES) == ""
    other = manifest(row("b.png"))
    assert image_difference(AB, other, NAMES) == "first has 2 images, second 1, and they are not the same"


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (manifest(*AB.rows, row("c.png")), "only second has 'c.png'"),
        (manifest(row("b.png")), "only first has 'a.png'"),
        (manifest(*AB.rows[::-1]), "they have the same images in another order"),
        (manifest(AB.rows[0], replace(row("b.png"), digest="0" * 32)), "changed between the two: 'b.png'"),
        (manifest(AB.rows[0], replace(row("b.png"), bytes=0, digest=None)), "changed between the two: 'b.png'"),
        (
            manifest(*(replace(each, files=each.files * 2) for each in AB.rows)),
            "sampled into other frames: 'a.png', 'b",
        ),
        (manifest(replace(AB.rows[0], boxes=((0, 0, 5, 5),)), AB.rows[1]), "cropped to another box, or in one of the"),
        (replace(AB, short_clip="edge"), "short_clip is None in first, edge in second"),
        (replace(AB, appearance="viewed"), "images that look different in a viewer are taken as it shows them in one"),
    ],
)
def test_any_other_difference_is_named(other, difference):
    assert image_difference(AB, other, NAMES).startswith(difference)
