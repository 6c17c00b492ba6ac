"""The other published systems in the terminal."""

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from expclip_cache.reporting.comparison import Pair
from expclip_cache.reporting.other_systems import OtherSystems
from expclip_cache.reporting.text_table import Column, folded, tables_within_width, type_name

NOTES = (
    "ours: a backbone without a head. *: our interval over test items covers the",
    "published UAR. Sets with folds: mean over the folds. EmoCapCLIP: off a figure.",
)


def other_systems_to_terminal(others: OtherSystems) -> Group:
    """UAR, published and ours; at most 80 characters wide, with no name or number cut.

    Below it, where the weights of the systems come from that the study does not have.
    """
    rows = list(_rows(others))
    names = Column("system", [name for name, _ in rows], "left")
    cells = [
        Column(folded(heading, 9), [scores[number] for _, scores in rows])
        for number, heading in enumerate(others.columns.values())
    ]
    starts = [number for number, (name, _) in enumerate(rows) if number and not name.startswith(" ")]
    absent = [f"{system.title}: {system.weights}" for system in others.systems if not system.ours]
    return Group(
        Text("Other systems, UAR in percent", style="bold"),
        *tables_within_width("", [names], cells, starts),
        Text("\n".join(NOTES)),
        *(
            [Text("\nPublished only, not in this study. Their weights:"), *(Text(line) for line in absent)]
            if absent
            else []
        ),
    )


def _rows(others: OtherSystems) -> Iterator[tuple[str, list[str]]]:
    for system in others.systems:
        yield system.title.replace(" (", "\n("), [_uar(pair, " ") for pair in system.published]
        for row in system.ours:
            marks = ("*" if covers else " " for covers in row.covers(system.published))
            scores = [_uar(cell and cell.clip, mark) for cell, mark in zip(row.cells, marks, strict=True)]
            yield f"  ours, {type_name(row.prompt_type)}:\n  {row.backbone}\n  {row.prompts}", scores


def _uar(pair: Pair | None, mark: str) -> str:
    return "- " if pair is None else f"{pair.uar:.1f}{mark}"
