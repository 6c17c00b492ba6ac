"""The values of an ablation's axes in the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.reporting.ablation_content import AblatedValue, AblationPage
from expclip_cache.reporting.charts.svg import rounded
from expclip_cache.reporting.text_table import Column, first_of_each, tables_within_width


def ablation_to_terminal(page: AblationPage) -> Group:
    """UAR of every value of every axis, with intervals and its change; at most 80 characters wide."""
    values = [(axis.name, value) for axis in page.axes for value in axis.values]
    names = [name for name, _ in values]
    ends = [number for number in range(1, len(names)) if names[number] != names[number - 1]]
    fixed = [
        Column("axis", first_of_each(names, names), "left"),
        Column("value", [value.label for _, value in values], "left"),
    ]
    others = [
        Column("UAR", [_uar(value) for _, value in values]),
        Column("change", [_change(value) for _, value in values]),
    ]
    centre = ", ".join(f"{key} {value}" for key, value in page.centre if key != "instruction")
    clip = next(value.clip for _, value in values if value.centre)
    where = f"mean over {len(page.test_sets)} test sets" if len(page.test_sets) > 1 else page.test_sets[0][0]
    notes = [
        f"{where[0].upper()}{where[1:]}, in percent, with {page.confidence:g} % intervals over items.",
        "Change: UAR minus the centre's on the same items.",
        f"Centre: {centre}. Plain CLIP there: {clip:.1f}.",
    ]
    tables: list[Table] = tables_within_width("", fixed, others, ends)
    return Group(*tables, Text("\n".join(notes)))


def _uar(value: AblatedValue) -> str:
    return f"{value.uar:.1f} [{value.low:.1f}, {value.high:.1f}]"


def _change(value: AblatedValue) -> str:
    if value.change is None:
        return "centre"
    change, low, high = (rounded(number, 1, sign=True) for number in value.change)
    return f"{change} [{low}, {high}]"
