"""Jobs with one thing changed."""

from dataclasses import replace
from typing import Any

from expclip_cache.extraction import Job


def with_encoder(job: Job, **changes: Any) -> Job:
    """The same job, with other `settings`, `files`, `libraries` or `load` of its encoder."""
    return replace(job, encoder=replace(job.encoder, **changes))


def refuse(*_: object) -> Any:
    """In place of a function that must not be called."""
    raise AssertionError("nothing should have been loaded or read")


def untouchable(job: Job) -> Job:
    """The same job, which fails if its images or its encoder are touched."""
    return with_encoder(replace(job, root=refuse), load=refuse)
