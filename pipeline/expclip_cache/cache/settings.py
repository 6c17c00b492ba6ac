"""How features are stored: `cache:` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from expclip_cache.base import Section


class CacheSettings(Section):
    """How features are stored, and what to do about what does not fit.

    Attributes:
        shard_rows: rows per shard, the unit of work and of resuming.
        dtype: of the stored features.
        on_bad_image: `skip` records the row with its reason, `fail` ends the run.
        on_mismatch: what to do with features that were made with other settings, weights or code.
        on_other_library: whether features made under other versions of torch, open_clip, transformers or Pillow may
            be kept and mixed: `accept` says so by name, `refuse` ends the run.
        retry_skipped: encode the shards again in which rows were skipped, to see whether those can be read now.
    """

    shard_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    dtype: Literal["float16", "float32"] = "float16"
    on_bad_image: Literal["skip", "fail"] = "skip"
    on_mismatch: Literal["refuse", "replace"] = "refuse"
    on_other_library: Literal["accept", "refuse"] = "accept"
    retry_skipped: bool = False
