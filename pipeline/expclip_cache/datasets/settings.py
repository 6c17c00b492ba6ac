"""The datasets of a run: `datasets:` in params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from expclip_cache.base import Section, is_address
from expclip_cache.datasets.address import root_at
from expclip_cache.datasets.appearance import Appearance
from expclip_cache.datasets.forms import Table
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.demo import DemoSetSettings

Layout = Literal["image-folders", "frame-folders", "table", "webdataset", "parquet", "clip-list", "ferplus-csv"]
"""How a dataset is laid out on disk; docs/datasets.md describes each layout."""

FOLDER_LAYOUTS = ("image-folders", "frame-folders", "table", "webdataset", "parquet")
"""Layouts of a source that is no definition file."""

_DRAWN_LAYOUTS: dict[str, Layout] = {"images": "image-folders", "clips": "frame-folders"}
"""What is drawn -> its layout."""


class DatasetSettings(Section):
    """One dataset: what DVC tracks for it, its layout on disk, and how its clips are sampled.

    Attributes:
        source: a folder of images, or an address such as s3://bucket/faces, whose `layout` is given here; with layout
            table, the table, whose folder has the images; or a dataset definition (a .yaml file, see `Definition`),
            which sets the layout, the classes and the published counts. The root of a definition comes from the
            environment or from roots.yaml, so params.yaml holds no path of any machine. With `draw`, the folder of the
            drawing code.
        draw: draw the images, into data/NAME; they have the layout of the kind that is drawn.
        layout: of a source that is a folder of images or a table.
        table: the columns of a source that is a table.
        samples: what is read of the samples in tar shards (layout webdataset) or Parquet files (layout parquet).
        classes: the classes to use, in any order; default: those found.
        labelled: whether class folders or clip lists are read as labels.
        fold: which fold, for a definition with folds.
        frames: frames sampled from each clip.
        short_clip: how to sample a clip of at most `frames` frames: `first` repeats its first frame, as the reference
            does; `edge` takes every frame and repeats the last one.
        frame_count: how many frames a clip has: those in its `folder`, or as many as its list says (`listed`, as the
            reference does); lists without counts have no say.
        crop: what of an image is encoded: the face that is found in it (`detect`), the `boxes` that a table gives, or
            `none` of both but the whole image. By default the boxes where there are some.
        appearance: images as they are `viewed`, that is turned upright as their metadata say and with transparent parts
            on white, or as they are `stored`, as the reference takes them. By default `viewed`, and `stored` for a
            definition.
    """

    source: Annotated[str, Field(min_length=1)]
    draw: DemoSetSettings | None = None
    layout: Layout | None = None
    table: Table | None = None
    samples: Samples | None = None
    classes: tuple[str, ...] = ()
    labelled: bool = True
    fold: Annotated[int, Field(ge=1)] | None = None
    frames: Annotated[int, Field(ge=1)] = 16
    short_clip: Literal["first", "edge"] = "edge"
    frame_count: Literal["folder", "listed"] = "folder"
    crop: Literal["none", "detect", "boxes"] | None = None
    appearance: Appearance | None = None

    @property
    def is_definition(self) -> bool:
        """Whether `source` is a definition file rather than a folder."""
        return self.source.endswith((".yaml", ".yml"))

    @property
    def used_appearance(self) -> Appearance:
        """The given appearance, or the default."""
        return self.appearance or ("stored" if self.is_definition else "viewed")

    @property
    def folder_layout(self) -> Layout | None:
        """The layout of the images that are drawn, or the one given for a folder of images."""
        return _DRAWN_LAYOUTS[self.draw.kind] if self.draw else self.layout

    @field_validator("source", mode="before")
    @classmethod
    def _source_is_text(cls, source: object) -> object:
        if isinstance(source, str) and any("\ud800" <= character <= "\udfff" for character in source):
            raise ValueError(
                f"the path {source!r} is not UTF-8, as settings are. Rename the folder, or change into it and call "
                "it `.`"
            )
        return source

    @model_validator(mode="after")
    def _address_is_of_a_folder(self) -> Self:
        if is_address(self.source):
            root_at(self.source)  # refuses passwords
            if self.table is not None or self.is_definition:
                raise ValueError(
                    f"the source {self.source} is at an address, but a table or a definition must be a file of this "
                    "machine; the images of a definition can be at an address, see roots.yaml"
                )
        return self

    @model_validator(mode="after")
    def _draws_what_it_reads(self) -> Self:
        if self.draw is None:
            return self
        if self.is_definition:
            raise ValueError(f"draw is given, but the source {self.source} is a definition file; remove one of the two")
        if self.layout not in (None, self.folder_layout):
            raise ValueError(
                f"draw makes {self.draw.kind}, which have the layout {self.folder_layout}, found layout "
                f"{self.layout}; remove it"
            )
        if self.labelled and not self.draw.labelled:
            raise ValueError(
                "draw.labelled is false, so the images have no class folders, but labelled is true; set labelled: "
                "false, or remove draw.labelled"
            )
        if self.classes:
            from expclip_cache.demo import EXPRESSIONS

            if unknown := [name for name in self.classes if name not in EXPRESSIONS]:
                raise ValueError(
                    f"classes: expected expressions that are drawn ({', '.join(EXPRESSIONS)}), found "
                    f"{', '.join(unknown)}"
                )
        return self

    @model_validator(mode="after")
    def _folders_need_a_layout(self) -> Self:
        if self.classes and not self.labelled:
            raise ValueError("classes are given, but labelled is false; remove one of the two")
        if self.is_definition:
            if self.table is not None:
                raise ValueError("table is given, but a definition names its columns itself; remove it")
            return self
        if (self.table is None) != (self.folder_layout != "table"):
            raise ValueError(
                "layout: table and table: go together: the one says that the source is a table, the other names its "
                "columns, such as table: {path: '{file}', label: emotion}"
            )
        if self.folder_layout not in FOLDER_LAYOUTS:
            found = "none" if self.layout is None else self.layout
            raise ValueError(
                f"a source that is a folder needs layout: image-folders, frame-folders, webdataset or parquet, one "
                f"that is a table needs layout: table, found {found}; other layouts need a definition file as their "
                "source"
            )
        if self.samples is not None and self.layout not in ("webdataset", "parquet"):
            raise ValueError("samples is given, which is for layout: webdataset or parquet; remove it")
        if self.fold is not None:
            raise ValueError(f"fold {self.fold} is given, but only a definition file can have folds")
        return self
