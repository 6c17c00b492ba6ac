"""What teachers are compared on: the caches of one backbone, and those of every teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from expclip_cache.base import CacheError
from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.encoders import State
from expclip_cache.heads import RidgeSettings, is_held_out
from expclip_cache.prompts import Prompt, PromptSettings
from expclip_cache.scoring import PromptEmbeddings
from expclip_cache.statistics import FoldGroup


@dataclass(frozen=True, eq=False)
class TeacherTargets:
    """The targets of one teacher, every state that their cache keeps.

    Attributes:
        name: its key in params.yaml.
        model, instruction: of its settings.
        states: v states, in the order of a row's vectors.
        cache: rows of v * t numbers.
    """

    name: str
    model: str
    instruction: str
    states: tuple[State, ...]
    cache: FeatureCache

    def __post_init__(self) -> None:
        found = self.cache.layout.frames * self.cache.layout.vectors
        if found != len(self.states):
            raise CacheError(
                f"{self.cache}: expected {len(self.states)} states in a row, {', '.join(map(str, self.states))}, "
                f"found {found}. Run `dvc repro targets`."
            )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(m,) int64 ids -> (m, v, t) raw targets of every state."""
        return self.cache[rows].reshape(len(rows), len(self.states), self.cache.layout.width)


@dataclass(frozen=True, eq=False)
class TestSet:
    """A labelled test set.

    Attributes:
        images: its image features.
        table: the prompts of its classes, of a single type.
    """

    __test__ = False  # pytest would take the class for a test

    images: FeatureCache
    table: tuple[Prompt, ...]


@dataclass(frozen=True, eq=False)
class TeacherInputs:
    """What the teachers are compared on with one backbone.

    Attributes:
        backbone: its name.
        images: image features of the training set; labels are not used.
        targets: of every teacher.
        tests: key in params.yaml -> test set.
        groups: the test sets that are scored together, the last one all of them.
        embeddings: of the prompts.
        prompts: name of the prompt set.
        prompt_settings: of this set.
        ridge: how heads are fitted; lambda is chosen on held-out images.
        made_from: see `teachers_made_from`.
    """

    backbone: str
    images: FeatureCache
    targets: Sequence[TeacherTargets]
    tests: Mapping[str, TestSet]
    groups: Sequence[FoldGroup]
    embeddings: PromptEmbeddings
    prompts: str
    prompt_settings: PromptSettings
    ridge: RidgeSettings
    made_from: str

    @property
    def prompt_type(self) -> int:
        """Of the prompts; 0 for those of a file."""
        return next(iter(self.tests.values())).table[0].type

    @cached_property
    def rows(self) -> np.ndarray:
        """(m,) int64 ids of the training images with features and every teacher's targets: the same for all teachers.

        Raises:
            CacheError: the caches come from different manifests.
        """
        return paired_rows(self.images, *(FeatureCache(one.cache.store, vector=0) for one in self.targets))

    @cached_property
    def held_out(self) -> np.ndarray:
        """int64 ids of the rows that no head is fitted on."""
        return self.rows[is_held_out(self.rows, self.ridge.held_out_share)]

    @cached_property
    def fitted(self) -> np.ndarray:
        """int64 ids of the rows that heads are fitted on."""
        return np.setdiff1d(self.rows, self.held_out, assume_unique=True)
