"""Which datasets there are: `datasets:` in params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from expclip_cache.base import Section


class DatasetSettings(Section):
    """One dataset: what DVC watches for it, its layout on disk, how clips are sampled.

    Attributes:
        source: a folder of images, whose `layout` is given here, or a dataset definition (a .yaml file, see
            `Definition`), which brings layout, classes and published counts. The folder of a definition's images
            comes from the environment or from roots.yaml: no machine's path enters params.yaml.
        classes: the classes wanted, in any order; by default those found.
        labelled: whether class folders or lists are read as labels.
        fold: of a definition with folds.
        frames: sampled per clip.
        short_clip: what a clip with at most `frames` frames gives: its first frame again and again, as the reference
            does, or all its frames and the last one repeated.
    """

    source: Annotated[str, Field(min_length=1)]
    layout: Literal["image-folders", "frame-folders", "clip-list", "ferplus-csv"] | None = None
    classes: tuple[str, ...] = ()
    labelled: bool = True
    fold: Annotated[int, Field(ge=1)] | None = None
    frames: Annotated[int, Field(ge=1)] = 16
    short_clip: Literal["first", "edge"] = "edge"

    @property
    def is_definition(self) -> bool:
        """Whether `source` names a definition rather than a folder."""
        return self.source.endswith((".yaml", ".yml"))

    @model_validator(mode="after")
    def _folders_need_a_layout(self) -> Self:
        if self.classes and not self.labelled:
            raise ValueError("classes are given, but labelled is false; drop one of the two")
        if self.is_definition:
            return self
        if self.layout not in ("image-folders", "frame-folders"):
            found = "none" if self.layout is None else self.layout
            raise ValueError(
                f"a source that is a folder needs layout: image-folders or frame-folders, found {found}; "
                "anything else needs a definition file as its source"
            )
        if self.fold is not None:
            raise ValueError(f"fold {self.fold} is given, but only a definition file can have folds")
        return self
