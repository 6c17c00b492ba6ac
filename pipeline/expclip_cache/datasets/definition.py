"""Dataset definitions: what is known of a dataset before a single file is read.

A definition is a small YAML file. It gives the layout, the classes, what the dataset's own folder names,
numbers or abbreviations mean (always by name, never by position), and the published number of test items. The
files for the usual benchmarks are in the folder `definitions` beside this module; copy one to describe another
dataset.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from expclip_cache.base import CANONICAL, SettingsError, canonical_order
from expclip_cache.datasets.settings import DatasetSettings

DEFINITIONS = Path(__file__).parent / "definitions"


def _text_keys(value: object) -> object:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipLists(_Part):
    """Text files with one clip a line.

    Attributes:
        files: their name, relative to the root, {fold} standing for the fold; the first that exists is read.
        columns: 3 for `folder frame_count class`, 2 for `folder class`.
        folder_parts: how many last parts of the listed folder lie under the root. Published lists carry the
            absolute paths of their makers' machine; this many parts are kept.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    columns: Literal[2, 3] = 3
    folder_parts: Annotated[int, Field(ge=1)]


class FerPlusVotes(_Part):
    """The vote table of FER+ and the images it speaks of.

    Attributes:
        votes: name of the table, relative to the root.
        usage: which of its rows: Training, PublicTest or PrivateTest.
        images: folder of those rows' images, relative to the root.
    """

    votes: str
    usage: Literal["Training", "PublicTest", "PrivateTest"]
    images: str


class Definition(_Part):
    """One dataset.

    Attributes:
        name: lower case; published numbers are looked up by it.
        published_as: the name to look them up by instead, for another form of the same set.
        title: for people.
        layout: which reader reads it.
        classes: in canonical order; empty: the classes found.
        native: the dataset's own folder names, numbers or abbreviations -> class. The eleven class names and
            their adjectives need no entry.
        counts: published test items of each class, in the order of `classes`; one list for each fold of a set
            with folds.
        total: fewest and most items the published scores can stand on, where only that is known.
        clip_list: where the lists are, for layout clip-list.
        ferplus_csv: where votes and images are, for layout ferplus-csv.
        about: conventions worth knowing.
    """

    name: str
    title: str
    layout: Literal["image-folders", "frame-folders", "clip-list", "ferplus-csv"]
    classes: tuple[str, ...] = ()
    native: Annotated[dict[str, str], BeforeValidator(_text_keys)] = {}
    counts: tuple[int, ...] | dict[int, tuple[int, ...]] | None = None
    total: tuple[int, int] | None = None
    clip_list: ClipLists | None = None
    ferplus_csv: FerPlusVotes | None = None
    published_as: str = ""
    about: str = ""

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds there are; none for most datasets."""
        return tuple(self.counts) if isinstance(self.counts, dict) else ()

    def published_counts(self, fold: int | None) -> tuple[int, ...] | None:
        """(c,) published test items, or None where none are known."""
        return self.counts.get(fold) if isinstance(self.counts, dict) else self.counts

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.classes != canonical_order(self.classes):
            raise ValueError(f"classes must be distinct and in canonical order: {list(canonical_order(self.classes))}")
        strange = [name for name in self.native.values() if name not in (*self.classes, *CANONICAL)]
        if strange:
            raise ValueError(f"native must lead to classes, found {', '.join(strange)}; known: {', '.join(CANONICAL)}")
        for part, layout in ((self.clip_list, "clip-list"), (self.ferplus_csv, "ferplus-csv")):
            if (part is not None) != (self.layout == layout):
                raise ValueError(f"{layout.replace('-', '_')} belongs to layout {layout}, and layout is {self.layout}")
        lists = self.counts.values() if isinstance(self.counts, dict) else [self.counts or ()]
        if any(counts and len(counts) != len(self.classes) for counts in lists):
            raise ValueError(f"counts must have one number for each of the {len(self.classes)} classes")
        return self


def builtin_definitions() -> dict[str, Path]:
    """Name -> file of the definitions that come with the package."""
    return {path.stem: path for path in sorted(DEFINITIONS.glob("*.yaml"))}


def load_definition(path: str | Path) -> Definition:
    """Read a definition.

    Raises:
        SettingsError: the file is missing, no YAML, or a key is unknown, missing or does not fit.
    """
    from ruamel.yaml import YAML, YAMLError

    path = Path(path)
    try:
        tree: Any = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        return Definition.model_validate(tree)
    except OSError as error:
        raise SettingsError(
            f"{path}: the dataset definition cannot be read ({error.strerror}). Definitions that come with "
            f"the package, in {DEFINITIONS}: {', '.join(builtin_definitions())}."
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid YAML: {error}") from None
    except ValidationError as error:
        findings = (f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise SettingsError("\n".join(f"{path}: {finding}" for finding in findings)) from None


def definition_of(params: DatasetSettings) -> Definition:
    """The definition a dataset's settings name, or the one they imply for a plain folder.

    Raises:
        SettingsError: the definition cannot be read, or the settings contradict it.
    """
    if not params.is_definition:
        return Definition(
            name=params.source,
            title=params.source,
            layout=params.layout,
            classes=canonical_order(params.classes),
        )
    definition = load_definition(params.source)
    if params.layout not in (None, definition.layout):
        raise SettingsError(
            f"{params.source}: has layout {definition.layout}, the settings say {params.layout}. Drop it."
        )
    if params.classes and canonical_order(params.classes) != definition.classes:
        raise SettingsError(
            f"{params.source}: has the classes {', '.join(definition.classes)}; the settings say "
            f"{', '.join(params.classes)}. Drop them, or copy the definition and change it there."
        )
    if (params.fold is None) != (not definition.folds) or (params.fold and params.fold not in definition.folds):
        expected = f"fold: one of {list(definition.folds)}" if definition.folds else "no fold"
        raise SettingsError(f"{params.source}: expected {expected}, found {params.fold}.")
    return definition
