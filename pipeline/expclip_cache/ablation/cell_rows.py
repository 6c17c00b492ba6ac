"""The rows of the long table: every cell on every test set, with its intervals."""

from expclip_cache.ablation.answers import AllAnswers, scores_of
from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.tables import CellRow
from expclip_cache.ablation.words import number_of_faces
from expclip_cache.base import Reporter
from expclip_cache.statistics import StatisticsSettings, intervals, item_outcomes, score_draws


def cell_rows(
    study: CachedStudy, answers: AllAnswers, statistics: StatisticsSettings, report: Reporter
) -> list[CellRow]:
    """The rows of every cell, in the order of the choices, test sets, draws and seeds."""
    rows = []
    cells = sum(map(len, answers.repeats.values())) * len(answers.test_sets)
    with report.bar("intervals of the cells", cells, "interval") as bar:
        for choice, repeats in answers.repeats.items():
            faces = number_of_faces(study, choice) if choice.head else None
            for test_set in answers.test_sets:
                found = answers.of(choice, test_set)
                skipped = len(study.images(choice.backbone, test_set).skipped)
                for repeat, right, (uar, war) in zip(repeats, found.right, scores_of(found).tolist(), strict=True):
                    outcomes = item_outcomes(found.truth, right, found.c)
                    own = intervals(score_draws(outcomes, statistics, test_set), statistics)
                    rows.append(
                        CellRow(
                            test_set,
                            choice.backbone,
                            choice.prompts,
                            choice.prompt_type,
                            choice.aggregation,
                            choice.teacher,
                            study.settings.teachers[choice.teacher].instruction if choice.head else "",
                            choice.head,
                            faces,
                            repeat.draw,
                            repeat.seed,
                            len(found.rows),
                            skipped,
                            uar,
                            own.uar.low,
                            own.uar.high,
                            war,
                            own.war.low,
                            own.war.high,
                        )
                    )
                    bar.advance(1)
    return rows
