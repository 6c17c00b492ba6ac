"""The table of a study for a paper."""

from expclip_cache.reporting import (
    PaperTable,
    TableOptions,
    compare_with_published,
    other_systems,
    own_answers,
    paper_table,
    table_columns,
)
from expclip_cache.settings.settings import Settings
from expclip_cache.settings.study_report import report_inputs, test_sets


def study_table(settings: Settings, options: TableOptions) -> PaperTable:
    """The table of the results in the current folder.

    Raises:
        DataError: there are no results yet, or they are damaged.
        SettingsError: nothing was scored under the prompt type that `options` ask for.
    """
    inputs, sets = report_inputs(settings), test_sets(settings)
    compared = compare_with_published(settings.backbones, settings.prompts, sets, inputs.scores, inputs.statistics)
    return paper_table(
        compared,
        table_columns(sets),
        options,
        confidence=inputs.statistics.settings.confidence,
        others=other_systems(compared, sets),
        answers=own_answers(sets, inputs.statistics),
        drawn=inputs.drawn,
    )
