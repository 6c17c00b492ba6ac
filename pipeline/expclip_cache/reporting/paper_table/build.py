"""The comparison with the published scores -> the table for a paper."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from expclip_cache.base import SettingsError
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.paper_table.caption import caption_of
from expclip_cache.reporting.paper_table.columns import ColumnKey, column_of
from expclip_cache.reporting.paper_table.content import Block, Cell, Line, Number, PaperTable, TableOptions
from expclip_cache.reporting.paper_table.lines import lines_of_backbone, told_apart_by
from expclip_cache.statistics import mean, under_highest_type


def paper_table(
    compared: Sequence[Comparison],
    columns: Mapping[ColumnKey, str],
    options: TableOptions,
    *,
    confidence: float,
    drawn: Collection[str] = (),
) -> PaperTable:
    """Systems by backbone as lines, datasets as columns; the best number of each column and backbone is marked.

    Args:
        compared: our scores beside the published ones.
        columns: as `table_columns` gives them.
        options: what is shown.
        confidence: of the intervals, in percent.
        drawn: names of the test sets whose faces are no photographs.

    Raises:
        SettingsError: nothing was scored under `options.prompt_type`.
    """
    rows = _of_type([row for row in compared if column_of(row) in columns], options.prompt_type)
    several = told_apart_by(rows)
    blocks = []
    for backbone in dict.fromkeys(row.backbone for row in rows):
        own = [row for row in rows if row.backbone == backbone]
        lines = lines_of_backbone(own, list(columns), options, several)
        if options.mean:
            lines = [Line(line.name, (*line.cells, _mean(line.cells))) for line in lines]
        blocks.append(Block(_backbone_name(backbone, rows), _with_best(lines, options.decimals)))
    return PaperTable(
        columns=(*columns.values(), *(("Mean",) if options.mean else ())),
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
    """As papers write it, unless two backbones of the study are the same CLIP."""
    known = {row.backbone: row.published_backbone for row in rows}
    name = known[backbone]
    return f"CLIP ViT-{name}" if name and list(known.values()).count(name) == 1 else backbone


def _mean(cells: Sequence[Cell | None]) -> Cell | None:
    """The mean over the datasets; None if one of them has no scores."""
    known = [cell for cell in cells if cell]
    if len(known) < len(cells):
        return None
    return Cell(Number(mean(cell.uar.value for cell in known)), Number(mean(cell.war.value for cell in known)))


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
