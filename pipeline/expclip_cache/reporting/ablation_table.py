"""The values of an ablation's axes in the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.reporting.ablation_content import AblatedValue, AblationPage
from expclip_cache.reporting.charts.svg import rounded
from expclip_cache.reporting.text_table import Column, first_of_each, tables_within_width


def ablation_to_terminal(page: AblationPage) -> Group:
    """UAR of every value of every axis, with intervals and its change; at most 80 characters wide."""
    values = [(axis.title.lower(), value) for axis in page.axes for value in axis.values]
    titles = [title for title, _ in values]
    ends = [number for number in range(1, len(titles)) if titles[number] != titles[number - 1]]
    fixed = [
        Column("axis", first_of_each(titles, titles), "left"),
        Column("value", [value.label for _, value in values], "left"),
        Column("UAR", [_uar(value) for _, value in values]),
        Column("change", [_change(value) for _, value in values]),
    ]
    clip = Column("plain\nCLIP", [f"{value.clip:.1f}" for _, value in values])
    names = ", ".join(f"{key} {value}" for key, value in page.centre if key != "instruction")
    where = f"mean over {len(page.test_sets)} test sets" if len(page.test_sets) > 1 else page.test_sets[0][0]
    notes = [
        f"{where[0].upper()}{where[1:]}, in percent, with {page.confidence:g} % intervals over items.",
        "Change: UAR minus the centre's on the same items.",
        f"Centre: {names}.",
    ]
    tables: list[Table] = tables_within_width("", fixed, [clip], ends)
    return Group(*tables, Text("\n".join(notes)))


def _uar(value: AblatedValue) -> str:
    return f"{value.uar:.1f} [{value.low:.1f}, {value.high:.1f}]"


def _change(value: AblatedValue) -> str:
    if value.change is None:
        return "centre"
    change, low, high = (rounded(number, 1, sign=True) for number in value.change)
    return f"{change} [{low}, {high}]"
