"""The whole of params.yaml, composed of the sections that the packages define."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from expclip_cache.base import Name, Section, SettingsError
from expclip_cache.cache import CacheSettings
from expclip_cache.datasets import DatasetSettings
from expclip_cache.encoders import AnswerSettings, ClipSettings, LlmSettings
from expclip_cache.heads import HeadSettings, RidgeSettings, TrainSettings
from expclip_cache.prompts import PromptSettings
from expclip_cache.reporting import published_system
from expclip_cache.scoring import ScoreSettings
from expclip_cache.statistics import StatisticsSettings
from expclip_cache.workers import RunSettings


class Settings(Section):
    """A study: all sections of params.yaml; see each section's class for its keys.

    Attributes:
        backbones: name -> a frozen CLIP.
        teachers: name -> a frozen LLM that sees images, whose states are the targets.
        answers: name -> a frozen LLM that sees images and classifies by its own answers, without a CLIP.
        prompts: name -> a prompt set with its types and aggregation.
        heads: name -> how a projection head is fitted, on every backbone and teacher unless it names its own.
        datasets: name -> a dataset; each gets a manifest and image features of every backbone.
    """

    run: RunSettings = RunSettings()
    backbones: Annotated[dict[Name, ClipSettings], Field(min_length=1)]
    teachers: Annotated[dict[Name, LlmSettings], Field(min_length=1)]
    answers: dict[Name, AnswerSettings] = Field(default_factory=dict)
    cache: CacheSettings = CacheSettings()
    prompts: Annotated[dict[Name, PromptSettings], Field(min_length=1)]
    train: TrainSettings
    heads: Annotated[dict[Name, HeadSettings], Field(min_length=1)]
    statistics: StatisticsSettings = StatisticsSettings()
    score: ScoreSettings
    datasets: dict[Name, DatasetSettings]

    def pairs(self) -> Iterator[tuple[str, str, dict[str, HeadSettings]]]:
        """Every backbone and teacher that a head is fitted for, and those heads by name."""
        for backbone in self.backbones:
            for teacher in self.teachers:
                heads = {
                    name: head
                    for name, head in self.heads.items()
                    if backbone in (head.backbones or self.backbones) and teacher in (head.teachers or self.teachers)
                }
                if heads:
                    yield backbone, teacher, heads

    def prompts_of(self, backbone: str) -> dict[str, PromptSettings]:
        """The prompt sets that a backbone is scored with, by name."""
        return {name: each for name, each in self.prompts.items() if backbone in (each.backbones or self.backbones)}

    def readers_of(self, dataset: str, encoder: ClipSettings | LlmSettings | AnswerSettings) -> int:
        """How many encoders of the study read a dataset's images preprocessed as this one does, itself included."""
        how = encoder.preprocess, encoder.decode
        of_clips = sum(
            (clip.preprocess, clip.decode) == how for clip in self.backbones.values() if not clip.reads_frames
        )
        of_llms = sum(llm.draws for llm in self.teachers.values() if (llm.preprocess, llm.decode) == how)
        of_answers = sum((llm.preprocess, llm.decode) == how for llm in self.answers.values())
        return (
            of_clips
            + (of_llms if dataset == self.train.dataset else 0)
            + (of_answers if dataset in self.score.datasets else 0)
        )

    def frames_of(self, backbone: str) -> str | None:
        """The backbone whose kept frames this one pools; None if it encodes images itself.

        It is the first with the same settings and `pool: none`. `revision` and `published_as` may differ.

        Raises:
            ValueError: there is none.
        """
        clip = self.backbones[backbone]
        if not clip.reads_frames:
            return None
        wanted = clip.model_copy(update={"pool": "none"}).image_settings()
        for name, other in self.backbones.items():
            if other.image_settings() == wanted:
                return name
        raise ValueError(
            f"backbones.{backbone} pools frames by {clip.pool}, which needs the features of every frame: add a "
            "backbone with the same settings and pool: none"
        )

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        datasets, backbones, teachers = tuple(self.datasets), tuple(self.backbones), tuple(self.teachers)
        _refuse_unknown("train.dataset", (self.train.dataset,), "datasets", datasets)
        _refuse_unknown("score.datasets", self.score.datasets, "datasets", datasets)
        for name in self.score.datasets:
            if not self.datasets[name].labelled:
                raise ValueError(
                    f"score.datasets names {name!r}, which has no labels (datasets.{name}.labelled is false), so it "
                    "cannot be scored"
                )
        for name, head in self.heads.items():
            _refuse_unknown(f"heads.{name}.backbones", head.backbones, "backbones", backbones)
            _refuse_unknown(f"heads.{name}.teachers", head.teachers, "teachers", teachers)
        for name, prompts in self.prompts.items():
            _refuse_unknown(f"prompts.{name}.backbones", prompts.backbones, "backbones", backbones)
            parts = Path(prompts.set).parts
            if prompts.is_file and (parts[:1] != ("prompts",) or ".." in parts):
                raise ValueError(
                    f"prompts.{name}.set is {prompts.set!r}, but DVC tracks only the folder prompts/; "
                    "move the file there"
                )
        for name, clip in self.backbones.items():
            try:
                published_system(clip)
            except SettingsError as error:
                raise ValueError(f"backbones.{name}.{error}") from None
            if not self.prompts_of(name):
                raise ValueError(
                    f"backbones.{name} has no prompts: every prompt set names other backbones; add it to one of them"
                )
        for name in self.backbones:
            self.frames_of(name)
        if self.answers and "answers" in self.backbones:
            raise ValueError("a backbone is called answers, which results call the entries of answers:; rename it")
        self._refuse_ridge_with_draws()
        return self

    def _refuse_ridge_with_draws(self) -> None:
        for name, head in self.heads.items():
            if not isinstance(head, RidgeSettings):
                continue
            for teacher in head.teachers or self.teachers:
                if (draws := self.teachers[teacher].draws) > 1:
                    raise ValueError(
                        f"heads.{name} is a ridge head, which needs one target per image, but teachers.{teacher}.draws "
                        f"is {draws}; set draws: 1, or name other teachers in heads.{name}.teachers"
                    )


def _refuse_unknown(where: str, names: Sequence[str], section: str, known: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name not in known:
            raise ValueError(f"{where} names {name!r}, which is not in {section}: {', '.join(known)}")
        if name in names[:number]:
            raise ValueError(f"{where} names {name!r} twice")


def chosen_names(given: Sequence[str], known: Collection[str], section: str) -> Sequence[str]:
    """The given names, or all known ones if none is given.

    Raises:
        SettingsError: a name is not known.
    """
    try:
        _refuse_unknown("the command line", given, section, tuple(known))
    except ValueError as error:
        raise SettingsError(f"{error}.") from None
    return given or tuple(known)
