"""The probes of a study, from cached features to rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from expclip_cache.base import DataError, Reporter, SettingsError
from expclip_cache.cache import FeatureCache
from expclip_cache.probes.few_shot import FewShotScores, few_shot, possible_shots
from expclip_cache.probes.probe_set import ZeroShot, read_probe_set
from expclip_cache.probes.results import FewShotRow, ProbeResults, SquareRow
from expclip_cache.probes.settings import ProbeSettings
from expclip_cache.probes.square import Cell, NoCell, square
from expclip_cache.scoring import PredictionFile
from expclip_cache.statistics import (
    StatisticsSettings,
    intervals,
    item_outcomes,
    mean,
    score_draws,
    standard_deviation,
)


@dataclass(frozen=True)
class ProbeInputs:
    """What the probes of one backbone are made from.

    Attributes:
        backbone: its name.
        sets: test set -> features and predictions, of the set or of each of its folds.
        made_from: see `probes_made_from`.
    """

    backbone: str
    sets: Mapping[str, Sequence[tuple[FeatureCache, PredictionFile]]]
    made_from: str


def probe_study(
    inputs: Sequence[ProbeInputs], settings: ProbeSettings, statistics: StatisticsSettings, report: Reporter
) -> ProbeResults:
    """Train and test all probes. What cannot be compared is left out and said.

    Raises:
        CacheError, DataError: see `read_probe_set`.
        DataError: no test set has enough items.
        SettingsError: `few_shot_on` is not a test set.
        ImportError: scikit-learn is not installed.
    """
    # First scikit-learn, which requires the other: only the threads of libraries that are loaded are limited.
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import threadpool_limits

    # L-BFGS multiplies tall matrices by narrow ones, where threads wait for each other more than they compute.
    with threadpool_limits(1):
        return _probes(inputs, settings, statistics, report)


def _probes(
    inputs: Sequence[ProbeInputs], settings: ProbeSettings, statistics: StatisticsSettings, report: Reporter
) -> ProbeResults:
    rows: list[SquareRow] = []
    few: list[FewShotRow] = []
    for one in inputs:
        name = settings.few_shot_on or next(iter(one.sets))
        if name not in one.sets:
            raise SettingsError(f"few-shot: expected one of the test sets {', '.join(one.sets)}, found {name!r}.")
        sets = {key: read_probe_set(key, parts) for key, parts in one.sets.items()}
        for shots in sorted({*settings.shots} - {*possible_shots(sets[name], settings)}):
            report.say(f"{name}: no {shots} items of every class can be drawn and one be left; left out")
        with report.bar(f"probes of {one.backbone}", len(sets) ** 2 + len(sets), "cell") as bar:
            for cell in square(list(sets.values()), settings):
                if isinstance(cell, NoCell):
                    report.say(f"trained on {cell.trained_on}, tested on {cell.test_set}: {cell.reason}; left out")
                else:
                    rows += _square_rows(one, cell, settings, statistics)
                bar.advance(1)
            if not any(row.backbone == one.backbone for row in rows):
                raise DataError("probes: expected a test set with two classes of two items each, found none.")
            for test in sets.values():
                for found in few_shot(sets[name], [test], settings):
                    few += _few_shot_rows(one, found, settings)
                bar.advance(1)
    return ProbeResults(tuple(rows), tuple(few))


def _classifier(zero_shot: ZeroShot | None) -> dict[str, Any]:
    """The fields of a row that name its classifier; None is the probe."""
    if zero_shot is None:
        return {"method": "probe", "prompts": "", "prompt_type": None, "teacher": "", "head": ""}
    return {"method": "zero-shot", **zero_shot._asdict()}


def _square_rows(
    inputs: ProbeInputs, cell: Cell, settings: ProbeSettings, statistics: StatisticsSettings
) -> Iterator[SquareRow]:
    right: dict[ZeroShot | None, np.ndarray] = {None: cell.predicted == cell.truth, **cell.zero_shot}
    for classifier, share in right.items():
        # Drawn by the name of the test set, as its other intervals are.
        draws = score_draws(item_outcomes(cell.truth, share, len(cell.classes)), statistics, cell.test_set)
        spread = intervals(draws, statistics)
        yield SquareRow(
            backbone=inputs.backbone,
            trained_on=cell.trained_on,
            test_set=cell.test_set,
            **_classifier(classifier),
            classes=len(cell.classes),
            items=len(cell.truth),
            trained_items=None if classifier else round(mean(cell.trained_items)),
            folds=len(cell.l2) if cell.within else None,
            l2="" if classifier else " ".join(f"{l2:g}" for l2 in cell.l2),
            seed=settings.seed,
            uar=float(draws.uar[0]),
            uar_low=spread.uar.low,
            uar_high=spread.uar.high,
            war=float(draws.war[0]),
            war_low=spread.war.low,
            war_high=spread.war.high,
            confidence=statistics.confidence,
            made_from=inputs.made_from,
        )


def _few_shot_rows(inputs: ProbeInputs, found: FewShotScores, settings: ProbeSettings) -> Iterator[FewShotRow]:
    for classifier, scores in found.scores.items():
        uars, wars = scores.T.tolist()
        yield FewShotRow(
            backbone=inputs.backbone,
            trained_on=found.trained_on,
            test_set=found.test_set,
            **_classifier(classifier),
            shots=found.shots,
            draws=settings.draws,
            classes=found.classes,
            items=round(mean(found.items)),
            l2="" if classifier else f"{settings.few_shot_l2:g}",
            seed=settings.seed,
            uar=mean(uars),
            uar_std=standard_deviation(uars),
            war=mean(wars),
            war_std=standard_deviation(wars),
            made_from=inputs.made_from,
        )
