"""What a study has cached: image features, targets, prompts and heads, each opened when it is first needed."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.heads import HeadSettings, current_heads
from expclip_cache.prompts import Prompt, prompt_table
from expclip_cache.scoring import PromptEmbeddings, embeddings_by_text, refuse_other_clip, refuse_unlabelled
from expclip_cache.settings import Settings, head_folder, image_features, open_targets, prompt_features


class CachedStudy:
    """The caches and heads of the study in the current folder.

    Every method raises CacheError or DataError if what it names is missing or cannot be used.

    Attributes:
        settings: of the study.
        test_sets: names, in the order of the study.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.test_sets = settings.score.datasets
        # A method that is cached by the decorator would keep the study alive.
        self.images = cache(self._images)
        self.targets = cache(self._targets)
        self.embeddings = cache(self._embeddings)
        self.heads = cache(self._heads)
        self.training_rows = cache(self._training_rows)
        self.truth = cache(self._truth)

    def training_images(self, backbone: str) -> FeatureCache:
        """The image features that heads are fitted on."""
        return self.images(backbone, self.settings.train.dataset)

    def table(self, prompts: str, kind: int, test_set: str, backbone: str) -> tuple[Prompt, ...]:
        """The prompts of one type of a prompt set for a test set's classes."""
        found = self.settings.prompts[prompts]
        return prompt_table(found.set, (kind,), self.images(backbone, test_set).classes)

    def head_settings(self, backbone: str, teacher: str) -> Mapping[str, HeadSettings]:
        """The heads that the study has for a backbone and teacher, by name."""
        pairs = ((pair[:2], pair[2]) for pair in self.settings.pairs())
        return next((heads for pair, heads in pairs if pair == (backbone, teacher)), {})

    def _images(self, backbone: str, dataset: str) -> FeatureCache:
        return FeatureCache(image_features(backbone, dataset))

    def _targets(self, teacher: str) -> tuple[FeatureCache, ...]:
        return open_targets(self.settings, teacher)

    def _embeddings(self, backbone: str) -> PromptEmbeddings:
        prompts = FeatureCache(prompt_features(backbone))
        for name in self.test_sets:
            refuse_other_clip(self.images(backbone, name), prompts)
        return embeddings_by_text(prompts)

    def _heads(self, backbone: str, teacher: str, name: str) -> dict[int | None, Path]:
        """Seed -> file."""
        heads = {name: self.head_settings(backbone, teacher)[name]}
        folder = head_folder(backbone, teacher)
        found = current_heads(self.training_images(backbone), self.targets(teacher), heads, folder)
        return {seed: path for (_, seed), path in found.items()}

    def _training_rows(self, backbone: str, teacher: str) -> np.ndarray:
        """(m,) int64 ids of the training faces with features of both."""
        return paired_rows(self.training_images(backbone), *self.targets(teacher))

    def _truth(self, backbone: str, test_set: str) -> np.ndarray:
        """(n,) int64 true class of every row, -1 for a row without features."""
        images = self.images(backbone, test_set)
        refuse_unlabelled(images)
        truth = np.full(len(images), -1)
        truth[images.good_rows] = images.labels[images.good_rows]
        return truth
