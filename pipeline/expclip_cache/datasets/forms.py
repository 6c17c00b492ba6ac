"""The forms in which datasets are shipped, as a definition describes them: a list of items, class folders, and others.

Several copies of a dataset go about: the makers' archive, a sorted copy, the lists of a paper's repository. A
definition gives each a form, and the first whose files are there is read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from expclip_cache.base import Section

_SPECS = re.compile(r"(stem|0\d+)?")


def _with_string_keys(value: object) -> object:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else value


def _template(text: str) -> str:
    for _, column, spec, conversion in Formatter().parse(text):
        if column is not None and (not column.isidentifier() or conversion or not _SPECS.fullmatch(spec or "")):
            raise ValueError("expected columns such as {name}, {name:stem} (without its suffix) or {name:05} (padded)")
    return text


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


class ListForm(Section):
    """A table with one image or clip per line.

    Attributes:
        separator: of the columns; with `space` only the first column may contain spaces.
        columns: their names, if the file has no header line.
        path: of an item, relative to the root, from the columns; of a clip its folder.
        label: the column with the class.
        only: column -> pattern as of a shell, such as `test_*`; other lines are another split's.
        clips: whether the items are folders of frames.
        native: the words of this list -> class, if they are not those of the definition.
    """

    kind: Literal["list"] = "list"
    files: Files
    separator: Literal["comma", "tab", "space"] = "comma"
    columns: tuple[str, ...] = ()
    path: Annotated[str, AfterValidator(_template)]
    label: str
    only: dict[str, str] = Field(default_factory=dict)
    clips: bool = False
    native: Native = Field(default_factory=dict)


class FolderForm(Section):
    """Class folders below one folder of the archive.

    Attributes:
        below: that folder, relative to the root.
        clips: whether each clip has a folder of frames in it.
    """

    kind: Literal["folders"] = "folders"
    below: str
    clips: bool = False


class VotesForm(Section):
    """FER+'s `label.csv`: an image, its box and ten votes per line, without a header, beside the images.

    Attributes:
        votes: the names of the last ten columns.
    """

    kind: Literal["votes"] = "votes"
    files: Files
    votes: tuple[str, ...]


class AnnotationForm(Section):
    """One file with the class beside each image.

    Attributes:
        images: folder of the images, relative to the root.
        annotations: folder of the annotations, NumPy files with one number or text each.
        suffix: what follows an image's name, without its suffix, in the name of its annotation.
    """

    kind: Literal["annotations"] = "annotations"
    images: str
    annotations: str
    suffix: str


class NamesForm(Section):
    """Images whose names hold their class.

    Attributes:
        below: their folder, relative to the root; `.` for the root itself.
        pattern: a regular expression, searched for in the path below that folder, with a group `label`. Images that do
            not match are no items.
        example: such a name, for errors.
    """

    kind: Literal["names"] = "names"
    below: str
    pattern: Annotated[str, AfterValidator(_pattern)]
    example: str


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
    if isinstance(form, FolderForm | NamesForm | AnnotationForm):
        names = [form.annotations if isinstance(form, AnnotationForm) else form.below]
    else:
        names = [name.replace("{fold}", str(fold)) for name in form.files]
    return next((name for name in names if (root / name).exists()), None)


def described(form: Form) -> str:
    """The form in a few words, for an error that lists those that are known."""
    if isinstance(form, FolderForm):
        return f"{form.below}/<class>/"
    if isinstance(form, NamesForm):
        return form.example
    if isinstance(form, AnnotationForm):
        return f"{form.annotations}/<image>{form.suffix}"
    return form.files[0]
