"""Probes in the terminal: the square, its means, and few-shot probes."""

from collections.abc import Iterable, Iterator
from textwrap import fill

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.probes import FewShotRow, ProbeResults, SquareRow
from expclip_cache.reporting.probe_content import PROBE, BackboneProbes, backbones_of
from expclip_cache.reporting.text_table import WIDTH, Column, tables_within_width

TITLE = "Linear probes, UAR in percent"


def probes_to_terminal(found: ProbeResults) -> Group:
    """All probes; at most 80 characters wide."""
    backbones = backbones_of(found)
    several = len(backbones) > 1
    tables = [table for one in backbones for table in _tables(one, f", backbone {one.backbone}" if several else "")]
    confidence = next(row.confidence for row in found.square)
    notes = [
        f"In brackets: {confidence:g} % intervals over test items. ±: standard deviation over draws.",
        "On the diagonal of the square, each set is cross-validated.",
        "Means within a set are those of the diagonal, means across sets those of all other cells; zero-shot "
        "classifiers are given on the same items.",
    ]
    if any(one.some_have_fewer_classes for one in backbones):
        notes.append("*: only the classes of both sets.")
    return Group(Text(TITLE, style="bold"), *tables, Text("\n".join(fill(note, WIDTH) for note in notes)))


def _tables(one: BackboneProbes, backbone: str) -> Iterator[Table]:
    yield from _square(one, f"Trained on each set, tested on each{backbone}")
    yield from _means(one, f"Means{backbone}")
    if one.few_shot:
        yield from _few_shot(one, f"Trained on a few items of each class of {one.few_shot_on}{backbone}")


def _square(one: BackboneProbes, title: str) -> list[Table]:
    names = [f"on {name}" for name in one.test_sets] + list(one.zero_shot)
    columns = []
    for test_set in one.test_sets:
        cells = [_cell(one, one.square.get((PROBE, trained_on, test_set))) for trained_on in one.test_sets]
        cells += [_cell(one, one.zero_shot_on(name, test_set)) for name in one.zero_shot]
        columns.append(Column(test_set, [line for cell in cells for line in cell], "score"))
    fixed = [Column("trained", [line for name in names for line in (name, "")], "left")]
    return tables_within_width(title, fixed, columns, [2 * len(one.test_sets)])


def _cell(one: BackboneProbes, row: SquareRow | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    return f"{row.uar:.1f}{'*' if one.has_fewer_classes(row) else ''}", f"[{row.uar_low:.1f}, {row.uar_high:.1f}]"


def _means(one: BackboneProbes, title: str) -> list[Table]:
    means = [one.means(name) for name in one.classifiers]
    columns = [
        Column(header, [_number(pair[place]) for pair in means])
        for place, header in enumerate(("within a set", "across sets"))
    ]
    return tables_within_width(title, [Column("classifier", one.classifiers, "left")], columns, [1])


def _few_shot(one: BackboneProbes, title: str) -> list[Table]:
    sets, last = one.few_shot_sets, one.shots[-1]

    def column(header: str, cells: Iterable[tuple[str, str]]) -> Column:
        return Column(header.replace(" ", "\n"), [line for cell in cells for line in cell], "score")

    columns = [
        column(f"{shots}", (_spread(one.few_shot.get((PROBE, name, shots))) for name in sets)) for shots in one.shots
    ]
    every = [one.square.get((PROBE, one.few_shot_on, name)) for name in sets]
    columns.append(column("all", ((_number(row and row.uar), "") for row in every)))
    columns += [
        column(classifier, ((_number(one.few_shot[classifier, name, last].uar), "") for name in sets))
        for classifier in one.zero_shot
    ]
    fixed = [Column("tested on", [line for name in sets for line in (name, "")], "left")]
    return tables_within_width(title, fixed, columns, [])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _spread(row: FewShotRow | None) -> tuple[str, str]:
    return ("", "") if row is None else (f"{row.uar:.1f}", f"±{row.uar_std:.1f}" if row.draws > 1 else "")
