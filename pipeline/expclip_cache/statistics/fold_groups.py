"""Which test sets are scored together in one row: single sets, single folds, all folds of a set, and all sets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from expclip_cache.datasets import DatasetSettings, Definition, definition_of
from expclip_cache.scoring import Confusion, Scores, fold_mean, pooled
from expclip_cache.statistics.bootstrap import ScoreDraws, mean_draws, pooled_draws

Part = Literal["whole", "fold", "fold mean", "pooled", "mean"]
"""`whole` for a set without folds; one `fold`; the unweighted `fold mean`; all folds' items `pooled`; the `mean`
over all test sets, see `mean_over_sets`."""


@dataclass(frozen=True)
class FoldGroup:
    """The test sets behind one row, and how their scores become one.

    Attributes:
        test_set: name of the row: the test set's key in params.yaml, the definition's name for all folds together, or
            empty for all test sets.
        part: see `Part`.
        names: keys of the test sets in params.yaml.
        weights: of their scores in a mean; None if they are equal.
        published_n: items behind the published scores; None if unknown.
        published_as: dataset name under which published scores are looked up; None if there are none for this part.
    """

    test_set: str
    part: Part
    names: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    published_n: int | None = None
    published_as: str | None = None

    @property
    def has_items(self) -> bool:
        """Whether its scores are those of items, and not a mean of scores."""
        return self.part not in ("fold mean", "mean")

    def scores(self, confusions: Iterable[Confusion]) -> Scores:
        """The scores of the group from the confusion matrices of its test sets."""
        found = list(confusions)
        return pooled(found) if self.has_items else fold_mean(found, self.weights)

    def draws(self, draws: Iterable[ScoreDraws]) -> ScoreDraws:
        """Draws of the same scores from those of its test sets."""
        found = list(draws)
        return pooled_draws(found) if self.has_items else mean_draws(found, self.weights)


def mean_over_sets(groups: Sequence[FoldGroup]) -> FoldGroup | None:
    """The mean over several test sets, in which a set counts once, with all its folds or without.

    Args:
        groups: all groups of a study.

    Returns:
        None if there is only one test set.
    """
    names = {name: group for group in groups if group.part in ("whole", "fold") for name in group.names}
    complete = {name: len(group.names) for group in groups if group.part == "fold mean" for name in group.names}
    if len(names) == 1:
        return None
    return FoldGroup("", "mean", tuple(names), tuple(1 / complete.get(name, 1) for name in names))


def fold_groups(test_sets: Mapping[str, DatasetSettings]) -> Iterator[FoldGroup]:
    """Every test set; the folds of a set first one by one and then, if none is missing, together.

    Raises:
        SettingsError: a definition cannot be read.
    """
    definitions = {name: definition_of(settings) for name, settings in test_sets.items()}
    done: set[str] = set()
    for name, definition in definitions.items():
        if not definition.folds:
            yield FoldGroup(
                test_set=name,
                part="whole",
                names=(name,),
                published_n=_published_items(definition, (None,)),
                published_as=definition.published_as or definition.name,
            )
        elif definition.name not in done:
            done.add(definition.name)
            folds = {key: test_sets[key].fold for key, other in definitions.items() if other.name == definition.name}
            yield from _folds_of(definition, folds)


def _folds_of(definition: Definition, folds: Mapping[str, int | None]) -> Iterator[FoldGroup]:
    """Each of the folds (key in params.yaml -> number of the fold); then their mean and pool if all folds are there."""
    for name, fold in folds.items():
        yield FoldGroup(
            test_set=name,
            part="fold",
            names=(name,),
            published_n=_published_items(definition, (fold,)),
            published_as=None,
        )
    if len(folds) == len(definition.folds) and set(folds.values()) == set(definition.folds):
        items = _published_items(definition, definition.folds)
        mean = FoldGroup(
            test_set=definition.name,
            part="fold mean",
            names=tuple(folds),
            published_n=items,
            published_as=definition.published_as or definition.name,
        )
        yield mean
        yield replace(mean, part="pooled", published_as=None)


def _published_items(definition: Definition, folds: Sequence[int | None]) -> int | None:
    """The published number of test items in some folds together; None if unknown."""
    items = 0
    for fold in folds:
        counts = definition.published_counts(fold)
        if counts is None:
            return None
        items += sum(counts)
    return items
