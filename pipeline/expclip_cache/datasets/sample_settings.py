"""What is read of the samples in tar shards and Parquet files: `samples` of a dataset in params.yaml."""

from typing import Annotated

from pydantic import Field

from expclip_cache.base import Section
from expclip_cache.datasets.forms import Native


class Samples(Section):
    """The parts of a sample.

    Attributes:
        files: which tar shards or Parquet files, as a pattern of a shell relative to the root, such as `train-*.tar`;
            by default all of them, at any depth.
        image: the image's extension in a tar, such as `jpg`, where a sample has several; or its column in a Parquet
            file. By default the only one that there is.
        label: the extension with the class in a tar, such as `cls`, `txt` or, for a field of a JSON file,
            `json.emotion`; or its column in a Parquet file.
        native: the words or numbers of these samples -> class, if they are not those of the definition. A ClassLabel of
            the library `datasets` says itself what its numbers mean.
    """

    files: Annotated[str, Field(min_length=1)] = ""
    image: str | None = None
    label: str | None = None
    native: Native = Field(default_factory=dict)
