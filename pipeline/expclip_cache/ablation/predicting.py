"""The predictions of every cell: those that are kept, and the others, with heads that are read or fitted for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Cell, Choice, Repeat
from expclip_cache.ablation.head_sources import HeadSource, Weights, head_sources
from expclip_cache.ablation.kept_predictions import KeptPredictions, PredictedClasses
from expclip_cache.ablation.options import AblationOptions
from expclip_cache.ablation.origin import CellOrigin
from expclip_cache.base import DataError, Reporter, SettingsError
from expclip_cache.cache import Json
from expclip_cache.scoring import predict_dataset


@dataclass(frozen=True)
class Work:
    """The cells of some choices with the same heads.

    Attributes:
        source: of the heads.
        missing: cell -> what determines its predictions; these are not kept yet.
    """

    source: HeadSource
    missing: dict[Cell, Json]

    @property
    def repeats(self) -> list[Repeat]:
        """Those of which cells are missing."""
        return list(dict.fromkeys(cell.repeat for cell in self.missing))


@dataclass(frozen=True)
class Progress:
    """What is there and what is to be done.

    Attributes:
        done: cell -> its predictions.
        work: in the order in which it is done.
    """

    done: dict[Cell, PredictedClasses] = field(default_factory=dict)
    work: list[Work] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many cells are to be done."""
        return sum(len(work.missing) for work in self.work)

    @property
    def fits(self) -> int:
        """How many heads are to be fitted."""
        return sum(work.source.fits for work in self.work)


def plan_work(
    study: CachedStudy, choices: Sequence[Choice], options: AblationOptions, kept: KeptPredictions
) -> Progress:
    """Read what is kept; the rest is work.

    Args:
        choices: those with the same heads stand together.

    Raises:
        CacheError, DataError: features or a head of the study cannot be used.
    """
    progress, origin = Progress(), CellOrigin(study)
    for head, group in groupby(choices, key=lambda choice: choice.fitted):
        of_head = list(group)
        for source in head_sources(study, head, options):
            work = Work(source, {})
            for cell in (Cell(choice, repeat) for choice in of_head for repeat in source.made_from):
                of_cell = origin.made_from(cell.choice, source.made_from[cell.repeat])
                if (found := kept.read(of_cell)) is not None:
                    progress.done[cell] = found
                else:
                    work.missing[cell] = of_cell
            if work.missing:
                progress.work.append(work)
    return progress


def do_work(study: CachedStudy, progress: Progress, kept: KeptPredictions, report: Reporter) -> list[str]:
    """Predict what is missing, and keep it as soon as it is there.

    Returns:
        A line for each head that cannot be fitted: too few faces for it.
    """
    left_out: list[str] = []
    if not progress.work:
        return left_out
    with report.bar("ablation", progress.missing, "cell") as bar:
        for work in progress.work:
            try:
                weights = work.source.weights()
            except (DataError, SettingsError) as error:
                head, draw = next(iter(work.missing)).choice.fitted, work.repeats[0].draw
                left_out.append(f"{head.head} on draw {draw} of {head.faces:,} faces is left out: {error}")
                bar.advance(len(work.missing))
                continue
            for choice in dict.fromkeys(cell.choice for cell in work.missing):
                for repeat, predicted in _predict(study, choice, work.repeats, weights):
                    cell = Cell(choice, repeat)
                    if cell in work.missing:
                        kept.write(work.missing[cell], predicted)
                        progress.done[cell] = predicted
                        bar.advance(1)
    return left_out


def _predict(
    study: CachedStudy, choice: Choice, repeats: Sequence[Repeat], weights: Weights
) -> Iterator[tuple[Repeat, PredictedClasses]]:
    """The predictions of one choice for every test set, by repeat."""
    heads = {f"draw {r.draw}, seed {r.seed}": head for r in repeats if (head := weights[r]) is not None}
    found: dict[str, dict[str, np.ndarray]] = {}
    for test_set in study.test_sets:
        images = study.images(choice.backbone, test_set)
        table = study.table(choice.prompts, choice.prompt_type, test_set, choice.backbone)
        predictions = predict_dataset(images, study.embeddings(choice.backbone), table, heads, choice.aggregation)
        kind = choice.prompt_type
        for name, classes in (predictions.expclip[kind] if heads else {"": predictions.clip[kind]}).items():
            placed = np.full(len(images), -1, dtype=np.int16)
            placed[predictions.rows] = classes
            found.setdefault(name, {})[test_set] = placed
    yield from zip(repeats, found.values(), strict=True)
