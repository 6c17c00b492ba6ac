"""The comparison with the published scores -> the table for a paper."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from expclip_cache.base import SettingsError
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.other_systems import NO_OTHERS, OtherSystems
from expclip_cache.reporting.own_answers import OwnAnswers
from expclip_cache.reporting.paper_table.caption import caption_of
from expclip_cache.reporting.paper_table.columns import ColumnKey, column_of
from expclip_cache.reporting.paper_table.content import Block, Cell, Line, Number, PaperTable, TableOptions
from expclip_cache.reporting.paper_table.lines import (
    lines_of_answers,
    lines_of_backbone,
    lines_of_others,
    told_apart_by,
)
from expclip_cache.reporting.published import CLIP_SYSTEMS
from expclip_cache.reporting.published_weights import published_weights
from expclip_cache.statistics import mean, under_highest_type


def paper_table(
    compared: Sequence[Comparison],
    columns: Mapping[ColumnKey, str],
    options: TableOptions,
    *,
    confidence: float,
    others: OtherSystems = NO_OTHERS,
    answers: Sequence[OwnAnswers] = (),
    drawn: Collection[str] = (),
) -> PaperTable:
    """Systems by backbone as lines, datasets as columns; the best number of each column and backbone is marked.

    LLMs' own answers come after the backbones.

    Args:
        compared: our scores beside the published ones.
        columns: as `table_columns` gives them; the mean is left out unless `options` ask for it.
        options: what is shown.
        confidence: of the intervals, in percent.
        others: published systems; with `options.published` those that the study does not have come last.
        answers: LLMs' own answers.
        drawn: names of the test sets whose faces are no photographs.

    Raises:
        SettingsError: nothing was scored under `options.prompt_type`.
    """
    columns = {key: title for key, title in columns.items() if options.mean or key.part != "mean"}
    rows = _of_type([row for row in compared if column_of(row) in columns], options.prompt_type)
    several = told_apart_by(rows)
    blocks = []
    for backbone in dict.fromkeys(row.backbone for row in rows):
        own = [row for row in rows if row.backbone == backbone]
        lines = lines_of_backbone(own, list(columns), options, several)
        lines = [_with_mean(line) for line in lines] if options.mean else lines
        blocks.append(Block(_backbone_name(backbone, rows), _with_best(lines, options.decimals)))
    blocks += [
        Block(f"{name}, without CLIP", lines_of_answers([row for row in answers if row.llm == name], columns, options))
        for name in dict.fromkeys(row.llm for row in answers)
    ]
    if options.published and (lines := lines_of_others(others, list(columns))):
        blocks.append(Block("Other systems, paper", tuple(lines)))
    return PaperTable(
        columns=tuple(columns.values()),
        blocks=tuple(blocks),
        caption=caption_of(rows, columns, blocks, options, confidence, drawn),
        decimals=options.decimals,
        two_lines=options.intervals or options.std,
    )


def _of_type(rows: Sequence[Comparison], prompt_type: int | None) -> list[Comparison]:
    if prompt_type is None:
        return under_highest_type(rows)
    found = [row for row in rows if row.prompt_type == prompt_type]
    if not found:
        kinds = ", ".join(map(str, sorted({row.prompt_type for row in rows})))
        raise SettingsError(
            f"--prompt-type: expected a prompt type that was scored ({kinds}; 0 stands for prompts from a file), "
            f"found {prompt_type}. Add it to the types of a prompt set in params.yaml and run `dvc repro`."
        )
    return found


def _backbone_name(backbone: str, rows: Sequence[Comparison]) -> str:
    """As papers write it, unless two backbones of the study are the same system."""
    known = {row.backbone: row.published_as for row in rows}
    name = known[backbone]
    if not name or list(known.values()).count(name) > 1:
        return backbone
    return name.replace("CLIP ", "CLIP ViT-") if name in CLIP_SYSTEMS else published_weights()[name].title


def _with_mean(line: Line) -> Line:
    """The line with a mean in its last column, if all others have scores: published ones come without it."""
    *cells, found = line.cells
    known = [cell for cell in cells if cell]
    if found is None and len(known) == len(cells):
        found = Cell(Number(mean(cell.uar.value for cell in known)), Number(mean(cell.war.value for cell in known)))
    return Line(line.name, (*cells, found))


def _with_best(lines: Sequence[Line], decimals: int) -> tuple[Line, ...]:
    """The lines with the highest numbers of each column marked, if there are several to choose from."""
    columns = [_marked(cells, decimals) for cells in zip(*(line.cells for line in lines), strict=True)]
    return tuple(Line(line.name, cells) for line, cells in zip(lines, zip(*columns, strict=True), strict=True))


def _marked(cells: Sequence[Cell | None], decimals: int) -> list[Cell | None]:
    known = [cell for cell in cells if cell]
    if len(known) < 2:
        return list(cells)
    best = [max(round(getattr(cell, metric).value, decimals) for cell in known) for metric in ("uar", "war")]

    def mark(number: Number, highest: float) -> Number:
        return replace(number, best=round(number.value, decimals) == highest)

    return [cell and Cell(mark(cell.uar, best[0]), mark(cell.war, best[1])) for cell in cells]
