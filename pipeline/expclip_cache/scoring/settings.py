"""What is scored: `score:` in params.yaml."""

from typing import Annotated

from pydantic import Field

from expclip_cache.base import Name, Section


class ScoreSettings(Section):
    """Which datasets are scored."""

    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]
