"""The rendered demo sets: `demo:` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from expclip_cache.base import Section


class DemoSetSettings(Section):
    """One rendered set of demo faces.

    Attributes:
        count: images or clips.
        seed: of identities and expressions.
        labelled: whether the images lie in class folders.
    """

    count: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    style: Literal["clean", "grey", "occluded", "drawing"] = "clean"
    kind: Literal["images", "clips"] = "images"
    labelled: bool = True
