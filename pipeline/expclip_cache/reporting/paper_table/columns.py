"""Which rows of a comparison are columns of the table."""

from collections.abc import Mapping
from typing import NamedTuple

from expclip_cache.datasets import DatasetSettings, definition_of
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.short_titles import short_titles
from expclip_cache.statistics import Part, fold_groups


class ColumnKey(NamedTuple):
    """The rows of a comparison that stand in one column."""

    test_set: str
    part: Part


def table_columns(test_sets: Mapping[str, DatasetSettings]) -> dict[ColumnKey, str]:
    """The columns with their headings, in the order of the study.

    A set with folds is one column, the mean over the folds; if some are missing, each fold is a column.

    Raises:
        SettingsError: a definition cannot be read.
    """
    groups, titles = list(fold_groups(test_sets)), short_titles(test_sets)
    averaged = {name for group in groups if group.part == "fold mean" for name in group.names}
    columns = {}
    for group in groups:
        if group.part == "fold mean":
            title = definition_of(test_sets[group.names[0]]).short_title or group.test_set
        elif group.part == "pooled" or group.test_set in averaged:
            continue
        else:
            title = titles[group.test_set]
        columns[ColumnKey(group.test_set, group.part)] = title
    return columns


def column_of(row: Comparison) -> ColumnKey:
    """Where a row of a comparison stands."""
    return ColumnKey(row.test_set, row.part)
