"""Fit the ridge head on two feature caches: moments, lambda, W. The arithmetic is in `expclip_cache.heads.ridge.ridge_path`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.base import CacheError, DataError, Reporter, SettingsError
from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.heads.ridge.lambda_choice import (
    HeldOutLosses,
    choose_lambda,
    even_batches,
    held_out_losses,
    is_held_out,
)
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.moments_cache import missing_shards, moments_fingerprint, read_moments, write_moments
from expclip_cache.heads.ridge.moments_work import sum_on_workers
from expclip_cache.heads.ridge.ridge_path import RidgePath
from expclip_cache.heads.settings import TrainSettings
from expclip_cache.workers import RunSettings


@dataclass(frozen=True)
class RidgeHead:
    """A ridge head and how its lambda came about.

    Attributes:
        weights: W (t, d) float32.
        relative_lambda: relative to the mean eigenvalue of X'X.
        losses: on the held-out faces; None for a fixed lambda.
        rows: faces W was fitted on.
        held_out: faces that chose lambda.
    """

    weights: np.ndarray
    relative_lambda: float
    losses: HeldOutLosses | None
    rows: int
    held_out: int

    @property
    def found(self) -> dict[str, float | int]:
        """What the fit found, as numbers by name: rows, held_out, lambda and, where it was chosen, losses in nats."""
        numbers = {"rows": self.rows, "held_out": self.held_out, "lambda": self.relative_lambda}
        if self.losses is None:
            return numbers
        loss = float(self.losses.losses[self.losses.lambdas.index(self.relative_lambda)])
        return numbers | {"held_out_loss": round(loss, 4), "chance": round(self.losses.chance, 4)}

    def __str__(self) -> str:
        found, how = self.found, "fixed"
        if self.losses is not None:
            how = f"loss {found['held_out_loss']:.4f} on {self.held_out} held-out images, chance {found['chance']:.4f}"
        return f"lambda {self.relative_lambda:g} ({how}), fitted on {self.rows} images"


def fit_caches(
    images: FeatureCache, targets: FeatureCache, params: TrainSettings, folder: Path, run: RunSettings, report: Reporter
) -> RidgeHead:
    """Sum what is missing of the moments of two caches, then solve: see `cached_moments` and `fit_ridge`.

    Args:
        folder: where the moments are kept.
        run: who sums.
    """
    moments = cached_moments(folder, images, targets, params.ridge.held_out_share, run, report)
    return fit_ridge(moments, images, targets, images.identity.encoder["logit_scale"], params)


def fit_ridge(
    moments: Moments, images: FeatureCache, targets: FeatureCache, logit_scale: float, params: TrainSettings
) -> RidgeHead:
    """Solve for W, its lambda chosen or fixed as the params say.

    Args:
        moments: complete, of these caches, without the rows held out.
        logit_scale: s, the factor itself.

    Raises:
        DataError: a shard is missing from the moments, or no head tells the held-out faces apart.
        SettingsError: there are too few faces to hold any out.
    """
    missing = missing_shards(moments, images)
    if missing:
        raise DataError(
            f"the moments hold {len(moments.shards)} shards of {images.store}, {len(missing)} are missing, the first "
            f"is {missing[0]}. Sum those too and merge."
        )
    path, ridge = RidgePath(moments), params.ridge
    if ridge.choose == "fixed":
        return RidgeHead(np.float32(path.head(ridge.fixed)), ridge.fixed, None, moments.rows, 0)
    rows = paired_rows(images, targets)
    held_out = rows[is_held_out(rows, ridge.held_out)]
    if len(held_out) < 2:
        raise SettingsError(
            f"train.ridge.held_out is {ridge.held_out}, which leaves {len(held_out)} of {len(rows)} faces of "
            f"{params.dataset} to choose lambda; at least 2 are needed. Hold out more, or use choose: fixed."
        )
    batches = even_batches(held_out, params.batch_size)
    losses = held_out_losses(path, ridge.lambdas, ((images[b], targets[b]) for b in batches), logit_scale)
    chosen = choose_lambda(losses, ridge.tolerance)
    return RidgeHead(np.float32(path.head(chosen)), chosen, losses, moments.rows, len(held_out))


def cached_moments(
    folder: Path, images: FeatureCache, targets: FeatureCache, held_out: float, run: RunSettings, report: Reporter
) -> Moments:
    """The complete moments of two caches: read what the folder holds of them, sum the rest, keep the whole.

    The folder may hold parts that other processes or machines summed (`write_moments`); what belongs to other
    features or settings is removed. The result is the same to the last bit in every case.
    """
    fingerprint = moments_fingerprint(images, targets, held_out)
    moments, found = Moments(images.width, targets.width), sorted(folder.glob("*.safetensors"))
    for path in found:
        try:
            moments.merge(read_moments(path, fingerprint))
        except (CacheError, DataError) as error:
            report.say(f"{error} Not used.")
    missing = missing_shards(moments, images)
    if missing:
        moments.merge(sum_on_workers(images, targets, held_out, missing, run, report))
    whole = folder / "moments.safetensors"
    if missing or found != [whole]:
        write_moments(whole, moments, fingerprint)
        for path in found:
            if path != whole:
                path.unlink()
    return moments
