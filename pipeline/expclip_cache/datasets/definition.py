"""Dataset definitions: what is known about a dataset before any file is read.

A definition is a small YAML file. It gives the layout, the classes, the meaning of the dataset's own folder names,
numbers or abbreviations (always by name, never by position), and the published number of test items. The definitions
of the usual benchmarks are in the folder `definitions` beside this module; copy one to describe another dataset.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from expclip_cache.base import CANONICAL, Section, SettingsError, canonical_order, parse_yaml, read_yaml, validated
from expclip_cache.datasets.forms import Form, ListForm, Native, Words
from expclip_cache.datasets.settings import DatasetSettings, Layout

DEFINITIONS = Path(__file__).parent / "definitions"


class ClipLists(Section):
    """Text files with one clip per line.

    Attributes:
        files: names of the list, relative to the root, with {fold} for the fold; the first that exists is read.
        columns: 3 for `folder frame_count class`, 2 for `folder class`.
        folder_parts: how many of the last path components of a listed folder to keep. Published lists hold absolute
            paths of their authors' machines; the components kept are the clip's path below the root.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    columns: Literal[2, 3] = 3
    folder_parts: Annotated[int, Field(ge=1)]


class FerPlusVotes(Section):
    """The vote table of FER+ and the images it refers to.

    Attributes:
        votes: file name of the table, relative to the root.
        usage: which rows of the table to read.
        images: folder with the images of those rows, relative to the root.
    """

    votes: str
    usage: Literal["Training", "PublicTest", "PrivateTest"]
    images: str


class Definition(Section):
    """One dataset.

    Attributes:
        name: lower case; the key for published scores.
        title: for messages and reports.
        short_title: as papers write the dataset's name, for tables; empty: its key in params.yaml.
        layout: selects the reader, where the dataset is in none of the `forms`; with `table` it must be in one.
        forms: how the dataset is shipped; the first that is there is read.
        classes: in canonical order; empty: the classes found.
        native: the dataset's own folder names, numbers or abbreviations -> class. The eleven class names and
            their adjectives need no entry.
        ignored: words for items that have no class, such as a number for "no face".
        counts: (c,) published test items per class, in the order of `classes`; one list per fold for a dataset with
            folds.
        total: smallest and largest number of items that the published scores can be based on, if no more is known.
        clip_list: the clip lists, for layout clip-list.
        ferplus_csv: the vote table and the images, for layout ferplus-csv.
        published_as: the key for published scores, where this is another form of a dataset with another name.
        about: conventions of the dataset.
    """

    name: str
    title: str
    short_title: str = ""
    layout: Layout
    classes: tuple[str, ...] = ()
    native: Native = Field(default_factory=dict)
    ignored: Words = ()
    forms: tuple[Form, ...] = ()
    counts: tuple[int, ...] | dict[int, tuple[int, ...]] | None = None
    total: tuple[int, int] | None = None
    clip_list: ClipLists | None = None
    ferplus_csv: FerPlusVotes | None = None
    published_as: str = ""
    about: str = ""

    @property
    def folds(self) -> tuple[int, ...]:
        """The numbers of the folds; empty for most datasets."""
        return tuple(self.counts) if isinstance(self.counts, dict) else ()

    def with_native(self, native: Native) -> Self:
        """The same with other words or numbers for its classes, if some are given."""
        return self.model_copy(update={"native": native}) if native else self

    def published_counts(self, fold: int | None) -> tuple[int, ...] | None:
        """(c,) published test items per class, or None if none are known."""
        if isinstance(self.counts, dict):
            return None if fold is None else self.counts.get(fold)
        return self.counts

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.classes != canonical_order(self.classes):
            raise ValueError(f"classes must be distinct and in canonical order: {list(canonical_order(self.classes))}")
        natives = [self.native, *(form.native for form in self.forms if isinstance(form, ListForm))]
        unknown = [name for native in natives for name in native.values() if name not in (*self.classes, *CANONICAL)]
        if unknown:
            raise ValueError(
                f"native must map to class names, found {', '.join(unknown)}; known: {', '.join(CANONICAL)}"
            )
        for part, layout in ((self.clip_list, "clip-list"), (self.ferplus_csv, "ferplus-csv")):
            if (part is not None) != (self.layout == layout):
                raise ValueError(
                    f"{layout.replace('-', '_')} goes with layout {layout} and is required there; "
                    f"the layout is {self.layout}"
                )
        lists = self.counts.values() if isinstance(self.counts, dict) else [self.counts or ()]
        if self.layout == "table" and not any(isinstance(form, ListForm) for form in self.forms):
            raise ValueError("layout: table needs a form of kind list, which names the table and its columns")
        if any(counts and len(counts) != len(self.classes) for counts in lists):
            raise ValueError(f"counts must have one number for each of the {len(self.classes)} classes")
        return self


def builtin_definitions() -> dict[str, Path]:
    """Name -> file of the definitions that come with the package."""
    return {path.stem: path for path in sorted(DEFINITIONS.glob("*.yaml"))}


def load_definition(path: str | Path) -> Definition:
    """Read a definition file.

    Raises:
        SettingsError: the file is missing or not YAML, or a key is unknown, missing or invalid.
    """
    builtin = f"Definitions that come with the package, in {DEFINITIONS}: {', '.join(builtin_definitions())}."
    return _parsed(read_yaml(Path(path), builtin), Path(path))


@lru_cache(maxsize=256)
def _parsed(raw: bytes, path: Path) -> Definition:
    """The definition in the bytes of a file; `init` asks for each of them dozens of times, and parsing takes 15 ms."""
    return validated(Definition, parse_yaml(raw, path), str(path))


def definition_of(dataset: DatasetSettings) -> Definition:
    """The definition that a dataset's settings name, or the one they imply for a plain folder.

    Raises:
        SettingsError: the definition cannot be read, or the settings contradict it.
    """
    if not dataset.is_definition:
        assert dataset.folder_layout is not None  # DatasetSettings checks it
        table = dataset.table and ListForm(files=(Path(dataset.source).name,), **dict(dataset.table))
        return Definition(
            name=dataset.source,
            title=dataset.source,
            layout=dataset.folder_layout,
            classes=canonical_order(dataset.classes),
            forms=(table,) if table else (),
        )
    definition = load_definition(dataset.source)
    if dataset.layout not in (None, definition.layout):
        raise SettingsError(
            f"{dataset.source}: has layout {definition.layout}, but the settings say {dataset.layout}. "
            "Remove `layout` from the settings."
        )
    if dataset.classes and canonical_order(dataset.classes) != definition.classes:
        raise SettingsError(
            f"{dataset.source}: has the classes {', '.join(definition.classes)}, but the settings say "
            f"{', '.join(dataset.classes)}. Remove `classes` from the settings, or change a copy of the definition."
        )
    folds = definition.folds
    if (dataset.fold is None) != (not folds) or (dataset.fold and dataset.fold not in folds):
        expected = f"fold: one of {list(folds)}" if folds else "no fold"
        raise SettingsError(f"{dataset.source}: expected {expected}, found {dataset.fold}.")
    return definition
