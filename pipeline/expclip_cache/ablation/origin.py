"""Everything that determines the predictions of a cell."""

from functools import cache

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Choice
from expclip_cache.base import source_sha256
from expclip_cache.cache import Json, json_sha256
from expclip_cache.scoring import prompts_sha256


class CellOrigin:
    """What the cells of a study are made from: the code of scoring, the features, the prompts and the head."""

    def __init__(self, study: CachedStudy):
        self._study = study
        self._code = source_sha256("expclip_cache.scoring", "expclip_cache.prompts")
        self._images = cache(self._images_sha256)
        self._prompts = cache(self._prompts_sha256)

    def made_from(self, choice: Choice, head: Json) -> dict[str, Json]:
        """What determines a cell; `head` is what determines its head, see `HeadSource.made_from`."""
        names = self._study.test_sets
        return {
            "code": self._code,
            "images": {name: self._images(choice.backbone, name) for name in names},
            "prompts": {name: self._prompts(choice.clip, name) for name in names},
            "head": head,
        }

    def _images_sha256(self, backbone: str, test_set: str) -> str:
        return json_sha256(self._study.images(backbone, test_set).describe())

    def _prompts_sha256(self, clip: Choice, test_set: str) -> str:
        table = self._study.table(clip.prompts, clip.prompt_type, test_set, clip.backbone)
        return prompts_sha256(table, clip.aggregation, self._study.embeddings(clip.backbone))
