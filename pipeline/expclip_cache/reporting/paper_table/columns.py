"""Which rows of a comparison are columns of the table, and how papers write their names."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from expclip_cache.datasets import DatasetSettings, definition_of
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.fold_groups import FoldGroup, Part, fold_groups


class Place(NamedTuple):
    """The rows of a comparison that stand in one column."""

    test_set: str
    part: Part


def table_columns(test_sets: Mapping[str, DatasetSettings]) -> dict[Place, str]:
    """The columns with their headings, in the order of the study.

    A set with folds is one column, the mean over the folds; if some are missing, each fold is a column. A heading is
    the definition's `short_title`, or the key in params.yaml where there is none or two sets share it.

    Raises:
        SettingsError: a definition cannot be read.
    """
    groups = list(fold_groups(test_sets))
    averaged = {name for group in groups if group.part == "fold mean" for name in group.names}
    shown = [group for group in groups if group.part != "pooled"]
    shown = [group for group in shown if group.part != "fold" or group.test_set not in averaged]
    headings = [_heading(group, test_sets) for group in shown]
    shared = Counter(headings)
    return {
        Place(group.test_set, group.part): group.test_set if shared[heading] > 1 else heading
        for group, heading in zip(shown, headings, strict=True)
    }


def place_of(row: Comparison) -> Place:
    """Where a row of a comparison stands."""
    return Place(row.test_set, row.part)


def _heading(group: FoldGroup, test_sets: Mapping[str, DatasetSettings]) -> str:
    settings = test_sets[group.names[0]]
    short = definition_of(settings).short_title or group.test_set
    return f"{short}, fold {settings.fold}" if group.part == "fold" else short
