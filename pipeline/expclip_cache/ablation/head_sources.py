"""Where the heads of a choice come from: the study's files, or fits on a part of the faces."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import xxhash

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import HeadChoice, Repeat
from expclip_cache.ablation.faces import drawn_rows
from expclip_cache.ablation.options import AblationOptions
from expclip_cache.base import source_sha256
from expclip_cache.cache import Json
from expclip_cache.heads import ContrastiveSettings, HeadSettings, fit_ridge, read_head

Weights = Mapping[Repeat, np.ndarray | None]
"""W (t, d) of each repeat; None for plain CLIP."""


@dataclass(frozen=True)
class HeadSource:
    """Heads that are read or fitted together.

    Attributes:
        made_from: repeat -> everything that determines its head.
        weights: reads or fits the heads.
        fits: heads that `weights` fits; 0 if it reads them.
    """

    made_from: Mapping[Repeat, Json]
    weights: Callable[[], Weights]
    fits: int = 0


def head_sources(study: CachedStudy, head: HeadChoice, options: AblationOptions) -> Iterator[HeadSource]:
    """The sources of all repeats of a head.

    Raises:
        CacheError, DataError: a head of the study is missing or outdated.
    """
    if not head.head:
        yield HeadSource({Repeat(): "plain CLIP"}, lambda: {Repeat(): None})
    elif head.faces is None:
        files = {Repeat(seed=seed): path for seed, path in study.heads(*head[:3]).items()}
        made_from = {repeat: xxhash.xxh3_128_hexdigest(path.read_bytes()) for repeat, path in files.items()}
        yield HeadSource(made_from, lambda: {repeat: read_head(path) for repeat, path in files.items()})
    else:
        for draw in range(1, options.draws + 1):
            yield _drawn(study, head, draw, options)


def _drawn(study: CachedStudy, head: HeadChoice, draw: int, options: AblationOptions) -> HeadSource:
    """The heads that are fitted on one draw of the faces."""
    assert head.faces is not None
    rows = drawn_rows(study.training_rows(head.backbone, head.teacher), head.faces, draw)
    settings = _first_seeds(study.settings.heads[head.head], options.seeds)
    common: Json = {
        "code": source_sha256("expclip_cache.heads"),
        "settings": settings.model_dump(mode="json", exclude={"backbones", "teachers", "seeds"}),
        "images": study.training_images(head.backbone).fingerprint,
        "targets": [cache.fingerprint for cache in study.targets(head.teacher)],
        "rows": xxhash.xxh3_128_hexdigest(rows.tobytes()),
    }
    seeds = settings.seeds if isinstance(settings, ContrastiveSettings) else (None,)
    made_from = {Repeat(draw, seed): {**common, "seed": seed} for seed in seeds}
    return HeadSource(made_from, partial(_fit, study, head, settings, rows, draw), len(seeds))


def _fit(study: CachedStudy, head: HeadChoice, settings: HeadSettings, rows: np.ndarray, draw: int) -> Weights:
    """Fit the heads of one draw.

    Raises:
        DataError: no lambda gives a head that is better than chance.
        SettingsError: there are too few faces for a batch, or to hold any out.
    """
    images, targets, run = study.training_images(head.backbone), study.targets(head.teacher), study.settings.run
    if isinstance(settings, ContrastiveSettings):
        # Torch takes seconds to import: only for heads that are trained here.
        from expclip_cache.heads import fit_contrastive

        heads = fit_contrastive(images, targets, settings, only=rows, device=run.device)
        return {Repeat(draw, seed): heads.weights[number] for number, seed in enumerate(settings.seeds)}
    return {Repeat(draw): fit_ridge(images, targets[0], settings, only=rows, run=run).weights}


def _first_seeds(settings: HeadSettings, seeds: int) -> HeadSettings:
    if isinstance(settings, ContrastiveSettings):
        return settings.model_copy(update={"seeds": settings.seeds[:seeds]})
    return settings
