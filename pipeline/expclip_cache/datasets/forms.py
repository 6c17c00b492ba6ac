"""The forms in which datasets are shipped, as a definition describes them: a list of items, class folders, and others.

Several copies of a dataset go about: the makers' archive, a sorted copy, the lists of a paper's repository. A
definition gives each a form, and the first whose files are there is read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from expclip_cache.base import Section

_COLUMN = re.compile(r"[^\W\d][\w -]*")
_SPECS = re.compile(r"(stem|0\d+)?")


def _with_string_keys(value: object) -> object:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else value


def _template(text: str) -> str:
    for _, column, spec, conversion in Formatter().parse(text):
        if column is not None and (not _COLUMN.fullmatch(column) or conversion or not _SPECS.fullmatch(spec or "")):
            raise ValueError("expected columns such as {name}, {name:stem} (without its suffix) or {name:05} (padded)")
    return text


def _templates(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error})") from None
    if "label" not in groups:
        raise ValueError("expected a group (?P<label>...)")
    return text


Native = Annotated[dict[str, str], BeforeValidator(_with_string_keys)]
"""A dataset's own folder names, numbers or abbreviations -> class."""

Words = Annotated[tuple[str, ...], BeforeValidator(lambda words: tuple(map(str, words)))]
"""Words of a dataset; YAML reads some as numbers."""

Files = Annotated[tuple[str, ...], Field(min_length=1)]
"""Names of one file, relative to the root, with {fold} for the fold; the first that exists is read."""


Separator = Literal["comma", "tab", "space"]

Template = Annotated[str, AfterValidator(_template)]
"""Text with columns in braces: `{name}`, `{name:stem}` without its suffix, `{number:05}` padded with zeros."""


class BoxColumns(Section):
    """The columns with the box of a face, in pixels: its right and bottom edge, or its width and height."""

    left: str
    top: str
    right: str | None = None
    bottom: str | None = None
    width: str | None = None
    height: str | None = None

    @model_validator(mode="after")
    def _has_two_corners(self) -> Self:
        for edge, extent in ((self.right, self.width), (self.bottom, self.height)):
            if (edge is None) == (extent is None):
                raise ValueError("expected left and top, and either right and bottom or width and height")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """Edge or extent -> name of the column."""
        return self.model_dump(exclude_none=True)


class Table(Section):
    """The columns of a table with one image or clip per line.

    Attributes:
        separator: of the columns of a text, by default a comma, or a tab in a file .tsv; with `space` only the first
            column may contain spaces. A file .parquet or .jsonl needs none.
        columns: their names, if a text has no header line; one with the same names is passed over.
        path: of an item, relative to the root; of a clip its folder of frames or its video. With several, the first
            that leads to a listed item is used.
        key: names an item where one image has several lines, one for each face; by default its path.
        label: the column with the class.
        votes: columns with the votes for a class, or with other weights, if no column has the class itself; the
            class is the one that has more than half of them.
        box: the columns with the box of the face.
        only: column -> pattern as of a shell, such as `test_*`; other lines are another split's.
        clips: whether the items are clips.
        native: the words of this list -> class, if they are not those of the definition.
    """

    separator: Separator | None = None
    columns: tuple[str, ...] = ()
    path: Annotated[tuple[Template, ...], BeforeValidator(_templates), Field(min_length=1)]
    key: Template | None = None
    label: str | None = None
    votes: tuple[str, ...] = ()
    box: BoxColumns | None = None
    only: dict[str, str] = Field(default_factory=dict)
    clips: bool = False
    native: Native = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one_source_of_labels(self) -> Self:
        if self.label is not None and self.votes:
            raise ValueError("label and votes are both given; remove one of the two")
        if self.key is not None and self.clips:
            raise ValueError("key is for images with several faces; remove it, or clips")
        return self


class ListForm(Table):
    """A table with one image or clip per line, as one of the forms of a dataset."""

    kind: Literal["list"] = "list"
    files: Files


class FolderForm(Section):
    """Class folders below one folder of the archive.

    Attributes:
        below: that folder, relative to the root; `.` for the root itself.
        clips: whether it holds clips: videos, or folders of frames.
        shown_by: what must be there, relative to the root; by default the folder itself.
    """

    kind: Literal["folders"] = "folders"
    below: str
    clips: bool = False
    shown_by: str = ""


class VotesForm(Section):
    """FER+'s `label.csv`: an image, its box and ten votes per line, without a header, beside the images.

    Attributes:
        votes: the names of the last ten columns.
    """

    kind: Literal["votes"] = "votes"
    files: Files
    votes: tuple[str, ...]


class AnnotationForm(Section):
    """One file with the class for each image, or for each sequence of images.

    Attributes:
        images: folder of the images, relative to the root.
        annotations: folder of the annotations, whose tree is that of the images. Files .npy hold one number or text,
            .json an object, others one word.
        suffix: what follows an image's name, without its suffix, in the name of its annotation.
        field: of a .json file, the name of the class.
        last: an annotation is for the last so many images of its folder, by number, and not for every image there is
            one; by default it is for the image of its name.
    """

    kind: Literal["annotations"] = "annotations"
    images: str
    annotations: str
    suffix: str
    field: str = ""
    last: Annotated[int, Field(ge=1)] | None = None


class NamesForm(Section):
    """Images whose names hold their class.

    Attributes:
        below: their folder, relative to the root; `.` for the root itself.
        pattern: a regular expression, searched for in the path below that folder, with a group `label`. Images that do
            not match are no items.
        example: such a name, for errors.
        last: only the last so many images of each folder, by number; all by default.
    """

    kind: Literal["names"] = "names"
    below: str
    pattern: Annotated[str, AfterValidator(_pattern)]
    example: str
    last: Annotated[int, Field(ge=1)] | None = None


Form = Annotated[ListForm | FolderForm | NamesForm | VotesForm | AnnotationForm, Field(discriminator="kind")]


def filled(template: str, columns: Mapping[str, str]) -> str:
    """Fill in a template.

    >>> filled("Image/{name:stem}_aligned.jpg, {number:05}", {"name": "a.b.jpg", "number": "7"})
    'Image/a.b_aligned.jpg, 00007'
    """
    parts = []
    for text, column, spec, _ in Formatter().parse(template):
        parts.append(text)
        if column is not None:
            value = columns[column]
            if spec == "stem":
                value = value.rpartition(".")[0] or value
            elif spec:
                value = value.zfill(int(spec))
            parts.append(value)
    return "".join(parts)


def place_of(form: Form, root: Path, fold: int | None) -> str | None:
    """What shows that a dataset is there in this form, relative to the root; None if it is not."""
    if isinstance(form, FolderForm) and form.shown_by:
        return form.below if (root / form.shown_by).exists() else None
    if isinstance(form, FolderForm | NamesForm | AnnotationForm):
        names = [form.annotations if isinstance(form, AnnotationForm) else form.below]
    else:
        names = [name.replace("{fold}", str(fold)) for name in form.files]
    return next((name for name in names if (root / name).exists()), None)


def described(form: Form) -> str:
    """The form in a few words, for an error that lists those that are known."""
    if isinstance(form, FolderForm):
        return f"{form.shown_by or f'{form.below}/<class>'}/"
    if isinstance(form, NamesForm):
        return form.example
    if isinstance(form, AnnotationForm):
        return f"{form.annotations}/<image>{form.suffix}"
    return form.files[0]
