"""One ridge head for several teachers: each teacher's head in closed form, stacked by weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, Reporter, SettingsError, SilentReporter
from expclip_cache.cache import FeatureCache, Json
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.ridge.fitting import RidgeHead, fit_ridge, ridge_record
from expclip_cache.heads.ridge.shard_groups import ShardGroups, moments_folder
from expclip_cache.heads.ridge.stored_moments import sum_part
from expclip_cache.heads.settings import RidgeSettings
from expclip_cache.workers import RunSettings


@dataclass(frozen=True)
class StackedHead:
    """The heads of several teachers in one matrix.

    Attributes:
        weights: W (sum of the teachers' t, d), see `stack_heads`.
        heads: the head of each teacher.
        settings: of the fit, with the fingerprints of the caches, as the head's file records them.
    """

    weights: np.ndarray
    heads: tuple[RidgeHead, ...]
    settings: Mapping[str, Json]

    def write(self, path: Path) -> None:
        """Write the head with its settings; see `write_head`."""
        write_head(path, self.weights, self.settings)


def stack_heads(heads: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """One head for several teachers: their heads one above the other, each times the root of its weight.

    Ridge regression to concatenated targets (sqrt(a) y, sqrt(b) y') separates into one regression per teacher, so this
    is the closed form for all of them. Inner products and squared lengths of projected vectors are then the weighted
    sums of the teachers'.

    Args:
        heads: W (t_k, d) of each teacher; the widths t_k may differ.
        weights: of each teacher, > 0.

    Returns:
        W (sum of t_k, d), in the order of `heads`.

    Raises:
        DataError: there is not exactly one positive weight per head.
    """
    if len(heads) != len(weights) or min(weights, default=0) <= 0:
        raise DataError(f"expected a positive weight for each of {len(heads)} heads, found {list(weights)}.")
    return np.concatenate([np.sqrt(weight) * head for head, weight in zip(heads, weights, strict=True)])


def fit_stacked_ridge(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    settings: RidgeSettings = RidgeSettings(),
    *,
    weights: Sequence[float] = (),
    moments: Path | None = None,
    run: RunSettings = RunSettings(),
    report: Reporter | None = None,
) -> StackedHead:
    """Fit one head per teacher, each with its own lambda, and stack them; see `fit_ridge` and `stack_heads`.

    Args:
        images: image features of a CLIP.
        targets: targets of the same images, one cache per teacher.
        weights: one per teacher, > 0; equal by default.
        moments: folder that keeps the sums for the next fit, in one folder per pair of caches. None keeps nothing.

    Raises:
        CacheError, DataError, LostWorkerError: see `fit_ridge`.
        SettingsError: likewise, or the weights do not match the targets, or a teacher is given twice.
    """
    weights, report = list(weights) or [1.0] * len(targets), report or SilentReporter()
    if len(weights) != len(targets) or min(weights) <= 0:
        raise SettingsError(f"expected a positive weight for each of {len(targets)} targets, found {weights}.")
    places = [str(cache) for cache in targets]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise SettingsError(f"{place}: is given twice. Give this teacher more weight instead.")
    heads: list[RidgeHead] = []
    for teacher in targets:
        folder = moments and moments_folder(moments, ShardGroups(images, teacher, settings.held_out_share))
        head = fit_ridge(images, teacher, settings, moments=folder, run=run, report=report)
        report.say(f"{teacher}: {head}")
        heads.append(head)
    recorded = ridge_record(settings, images, targets)
    recorded |= {"weights": weights, "found": [head.metrics for head in heads]}
    return StackedHead(stack_heads([head.weights for head in heads], weights), tuple(heads), recorded)


def sum_part_for_teachers(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    settings: RidgeSettings,
    shards: range,
    moments: Path,
    report: Reporter,
) -> list[Path]:
    """Sum some shards with each teacher's targets, for a later `fit_stacked_ridge` with the same `moments` to use.

    Args:
        shards: whole groups of shards, see `sum_part`.

    Returns:
        The files of the part, one per teacher and group.

    Raises:
        CacheError, SettingsError: see `sum_part`.
    """
    paths: list[Path] = []
    for teacher in targets:
        groups = ShardGroups(images, teacher, settings.held_out_share)
        paths += sum_part(moments_folder(moments, groups), groups, shards, report)
    return paths
