"""The charts of the page's section on probes."""

from markupsafe import Markup

from expclip_cache.probes import SquareRow
from expclip_cache.reporting.charts.few_shot import Shots, few_shot_curve
from expclip_cache.reporting.charts.probe_square import HeatCell, HeatRow, probe_square
from expclip_cache.reporting.probe_content import PROBE, BackboneProbes
from expclip_cache.reporting.system_names import PLAIN_CLIP


def square_chart(one: BackboneProbes) -> Markup:
    """The square of a backbone, and its zero-shot classifiers."""
    sets = one.test_sets
    square = [HeatRow(name, "probe", [_cell(one, one.square.get((PROBE, name, on))) for on in sets]) for name in sets]
    below = [
        HeatRow(name, "expclip" if number else "clip", [_cell(one, one.zero_shot_on(name, on)) for on in sets])
        for number, name in enumerate(one.zero_shot)
    ]
    return Markup(probe_square(one.test_sets, square, below))


def few_shot_chart(one: BackboneProbes, test_set: str) -> Markup:
    """Few-shot probes of a backbone on one test set."""
    found = [one.few_shot[PROBE, test_set, shots] for shots in one.shots]
    every = one.square.get((PROBE, one.few_shot_on, test_set))
    zero_shot = {name: one.few_shot[name, test_set, one.shots[-1]].uar for name in one.zero_shot}
    probes = [Shots(row.shots, row.uar, row.uar_std) for row in found]
    return Markup(few_shot_curve(test_set, probes, every and every.uar, zero_shot))


def _cell(one: BackboneProbes, row: SquareRow | None) -> HeatCell | None:
    if row is None:
        return None
    how = f"trained on {row.trained_on}" if row.method == "probe" else row.head or PLAIN_CLIP
    title = f"{how}, tested on {row.test_set}: {row.uar:.1f} [{row.uar_low:.1f}, {row.uar_high:.1f}]"
    return HeatCell(row.uar, title, "*" if one.has_fewer_classes(row) else "")
