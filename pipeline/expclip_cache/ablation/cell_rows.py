"""The long table: every cell on every test set, with its intervals."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from expclip_cache.ablation.answers import AllAnswers, scores_of
from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.words import number_of_faces
from expclip_cache.base import Reporter, csv_text
from expclip_cache.statistics import StatisticsSettings, intervals, item_outcomes, score_draws


@dataclass(frozen=True)
class CellRow:
    """One line of ablation.csv: one cell on one test set.

    Attributes:
        test_set: name of the dataset.
        backbone, prompts, prompt_type, aggregation, teacher, head: see `Choice`.
        instruction: of the teacher; empty for plain CLIP.
        faces: faces that the head was fitted on, or chose its lambda on; None for plain CLIP.
        draw: of the faces, from 1; None if all are used.
        seed: None for a head without seeds and for plain CLIP.
        items: scored items.
        skipped: items without features; they are not scored.
        uar, war: in percent.
        uar_low, uar_high, war_low, war_high: their intervals over items.
    """

    test_set: str
    backbone: str
    prompts: str
    prompt_type: int
    aggregation: str
    teacher: str
    instruction: str
    head: str
    faces: int | None
    draw: int | None
    seed: int | None
    items: int
    skipped: int
    uar: float
    uar_low: float
    uar_high: float
    war: float
    war_low: float
    war_high: float


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


def cells_csv(rows: Iterable[CellRow]) -> str:
    """The table as csv, three decimals; None is an empty cell."""
    return csv_text([field.name for field in fields(CellRow)], (astuple(row) for row in rows))
