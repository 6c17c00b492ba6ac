"""The whole of params.yaml, composed of the sections that the packages define."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from expclip_cache.base import Name, Section
from expclip_cache.cache import CacheSettings
from expclip_cache.datasets import DatasetSettings
from expclip_cache.demo import DemoSetSettings
from expclip_cache.encoders import ClipSettings, LlmSettings
from expclip_cache.heads import TrainSettings
from expclip_cache.prompts import PromptSettings
from expclip_cache.scoring import ScoreSettings
from expclip_cache.workers import RunSettings


class Settings(Section):
    """All sections of params.yaml; see each section's class for its keys."""

    run: RunSettings = RunSettings()
    clip: ClipSettings
    llm: LlmSettings
    cache: CacheSettings = CacheSettings()
    prompts: PromptSettings = PromptSettings()
    train: TrainSettings
    score: ScoreSettings
    datasets: dict[Name, DatasetSettings]
    demo: dict[Name, DemoSetSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        named = [("train.dataset", self.train.dataset), *(("score.datasets", name) for name in self.score.datasets)]
        for where, name in named:
            if name not in self.datasets:
                raise ValueError(f"{where} names {name!r}, which is not in datasets: {', '.join(self.datasets)}")
        if self.prompts.is_file and Path(self.prompts.set).parts[:1] != ("prompts",):
            raise ValueError(
                f"prompts.set is {self.prompts.set!r}, but DVC tracks only the folder prompts/; move the file there"
            )
        if self.clip.name == self.llm.name:
            raise ValueError(
                f"clip.name and llm.name are both {self.clip.name!r}; their features need separate folders"
            )
        if "ridge" in self.train.fit and self.llm.draws > 1:
            raise ValueError(
                f"train.fit includes ridge, which needs one target per image, but llm.draws is {self.llm.draws}; "
                "set draws: 1"
            )
        if "prompts" in self.datasets:
            raise ValueError("datasets: the name 'prompts' is reserved for the prompt embeddings; choose another name")
        return self
