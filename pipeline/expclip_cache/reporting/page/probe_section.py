"""The charts of the page's section on probes."""

from markupsafe import Markup

from expclip_cache.probes import SquareRow
from expclip_cache.reporting.charts.few_shot import Shots, few_shot_curve
from expclip_cache.reporting.charts.probe_square import HeatRow, probe_square
from expclip_cache.reporting.probe_content import PROBE, BackboneProbes


def square_chart(one: BackboneProbes) -> Markup:
    """The square of a backbone, and its zero-shot classifiers."""
    square, below = [], []
    for trained_on in one.test_sets:
        cells = [one.square.get((PROBE, trained_on, test_set)) for test_set in one.test_sets]
        square.append(_row(trained_on, "probe", cells))
    for name in one.zero_shot:
        css = "clip" if name == one.zero_shot[0] else "expclip"
        below.append(_row(name, css, [one.zero_shot_on(name, test_set) for test_set in one.test_sets]))
    return Markup(probe_square(one.test_sets, square, below))


def few_shot_chart(one: BackboneProbes, test_set: str) -> Markup:
    """Few-shot probes of a backbone on one test set."""
    found = [one.few_shot[PROBE, test_set, shots] for shots in one.shots]
    every = one.square.get((PROBE, one.few_shot_on, test_set))
    zero_shot = {name: one.few_shot[name, test_set, one.shots[-1]].uar for name in one.zero_shot}
    probes = [Shots(row.shots, row.uar, row.uar_std) for row in found]
    return Markup(few_shot_curve(test_set, probes, every and every.uar, zero_shot))


def _row(name: str, css: str, cells: list[SquareRow | None]) -> HeatRow:
    titles = [
        f"{name}, tested on {row.test_set}: {row.uar:.1f} [{row.uar_low:.1f}, {row.uar_high:.1f}]" if row else ""
        for row in cells
    ]
    return HeatRow(name, css, [row and row.uar for row in cells], titles)
