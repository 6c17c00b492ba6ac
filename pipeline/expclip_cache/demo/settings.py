"""What a drawn dataset shows: `draw` of a dataset in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from expclip_cache.base import Section

Style = Literal["clean", "grey", "occluded", "drawing"]


class DemoSetSettings(Section):
    """One set of drawn faces.

    Attributes:
        count: number of images or clips.
        seed: of persons and expressions.
        style: of the drawing; `clean` is what the demo encoders were trained on.
        kind: single images, or clips of an expression that builds up.
        labelled: whether images are in one folder per expression.
    """

    count: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    style: Style = "clean"
    kind: Literal["images", "clips"] = "images"
    labelled: bool = True
