"""Fit the ridge head on two feature caches: moments, lambda, W. The arithmetic is in `ridge_path`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.base import Reporter, SettingsError, SilentReporter
from expclip_cache.cache import FeatureCache, Json
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.origin import fitted_on
from expclip_cache.heads.ridge.held_out import HeldOutRows
from expclip_cache.heads.ridge.lambda_choice import HeldOutLosses, choose_lambda, held_out_losses
from expclip_cache.heads.ridge.ridge_path import RidgePath
from expclip_cache.heads.ridge.shard_groups import ShardGroups
from expclip_cache.heads.ridge.stored_moments import complete_moments
from expclip_cache.heads.ridge.summing import sum_all_groups
from expclip_cache.heads.settings import RidgeSettings
from expclip_cache.workers import RunSettings


@dataclass(frozen=True)
class RidgeHead:
    """A ridge head, and how its lambda was chosen.

    Attributes:
        weights: W (t, d) float32.
        relative_lambda: lambda relative to the mean eigenvalue of X'X.
        losses: on the held-out images; None for a fixed lambda.
        rows: images that W was fitted on.
        held_out: images that lambda was chosen on.
        settings: of the fit, with the fingerprints of the caches; what the head's file records besides `metrics`.
    """

    weights: np.ndarray
    relative_lambda: float
    losses: HeldOutLosses | None
    rows: int
    held_out: int
    settings: Mapping[str, Json]

    @property
    def metrics(self) -> dict[str, float]:
        """`rows`, `held_out` and `lambda`; where lambda was chosen also `held_out_loss` and `chance`, in nats."""
        numbers = {"rows": self.rows, "held_out": self.held_out, "lambda": self.relative_lambda}
        if self.losses is None:
            return numbers
        loss = float(self.losses.losses[self.losses.lambdas.index(self.relative_lambda)])
        return numbers | {"held_out_loss": round(loss, 4), "chance": round(self.losses.chance, 4)}

    def write(self, path: Path, **more: Json) -> None:
        """Write the head with its settings and metrics, and more that the file should record; see `write_head`."""
        write_head(path, self.weights, {**self.settings, "found": self.metrics, **more})

    def __str__(self) -> str:
        metrics, how = self.metrics, "fixed"
        if self.losses is not None:
            how = (
                f"loss {metrics['held_out_loss']:.4f} on {self.held_out} held-out images, "
                f"chance {metrics['chance']:.4f}"
            )
        return f"lambda {self.relative_lambda:g} ({how}), fitted on {self.rows} images"


def fit_ridge(
    images: FeatureCache,
    targets: FeatureCache,
    settings: RidgeSettings = RidgeSettings(),
    *,
    only: np.ndarray | None = None,
    moments: Path | None = None,
    run: RunSettings = RunSettings(),
    report: Reporter | None = None,
) -> RidgeHead:
    """Fit a head in closed form: one pass over the features, no epochs, no seeds.

    >>> images, targets = FeatureCache("features/images/b32/caer-s"), FeatureCache("features/targets/blip2/caer-s")
    ... # doctest: +SKIP
    >>> fit_ridge(images, targets).write(Path("ridge.safetensors"))  # doctest: +SKIP

    Args:
        images: image features of a CLIP.
        targets: LLM targets of the same images.
        settings: a section of params.yaml; by default lambda is chosen on a tenth of the images.
        only: (k,) int64 ids of the rows to which the fit is limited; None: all. The head is then, bit for bit, that of
            caches in which no other row has features.
        moments: folder that keeps the sums of this pair of caches for the next fit, which then makes no pass. Moments
            of other caches or held-out shares in it are removed. None keeps nothing.
        run: executor and processes of the pass; any choice gives the same bits.

    Raises:
        CacheError: a cache is damaged, the images are not a CLIP's, or the caches come from different manifests.
        DataError: no head tells the held-out images apart better than chance, or there is nothing to fit.
        LostWorkerError: workers died repeatedly over the same shards.
        SettingsError: fewer than two images would be held out.
    """
    report = report or SilentReporter()
    groups = ShardGroups(images, targets, settings.held_out_share, only)
    held_out, scale = HeldOutRows(groups), images.logit_scale
    if settings.choose == "held_out" and len(held_out) < 2:
        paired = len(held_out) + sum(groups.rows(group) for group in range(len(groups)))
        raise SettingsError(
            f"held_out is {settings.held_out}, which holds out {len(held_out)} of {paired} "
            f"images of {images}; lambda is chosen on 2 or more. Hold out more, or use choose: fixed."
        )
    sums = complete_moments(moments, groups, run, report) if moments else sum_all_groups(groups, run, report)
    path, losses, chosen = RidgePath(sums), None, settings.fixed
    if settings.choose == "held_out":
        with report.bar("choosing lambda", len(held_out), "image") as bar:
            batches = held_out.batches(settings.batch_size, bar.advance)
            losses = held_out_losses(path, settings.lambdas, batches, scale)
        chosen = choose_lambda(losses, settings.tolerance)
    return RidgeHead(
        weights=path.head(chosen).astype(np.float32),
        relative_lambda=chosen,
        losses=losses,
        rows=sums.rows,
        held_out=len(held_out),
        settings=ridge_record(settings, images, targets),
    )


def ridge_record(
    settings: RidgeSettings, images: FeatureCache, targets: FeatureCache | Sequence[FeatureCache]
) -> dict[str, Json]:
    """What the file of a head records: everything that determines it."""
    of_fit = settings.model_dump(exclude={"backbones", "teachers"})
    return of_fit | {"lambdas": list(settings.lambdas)} | fitted_on(images, targets)
