"""Page -> HTML: templates with autoescaping and an inline style sheet; the files load nothing from elsewhere."""

from collections.abc import Sequence
from functools import partial
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from expclip_cache.base import StageTime
from expclip_cache.maps import FeatureMap
from expclip_cache.reporting.ablation_content import AblatedAxis, AblationPage
from expclip_cache.reporting.charts.axis import axis_chart
from expclip_cache.reporting.charts.change import change_chart
from expclip_cache.reporting.charts.heatmap import confusion_heatmap
from expclip_cache.reporting.charts.loss import loss_curve
from expclip_cache.reporting.charts.reliability import coverage_curve, reliability_diagram
from expclip_cache.reporting.charts.scores import GainRow, recall_bars, uar_gains
from expclip_cache.reporting.charts.svg import rounded
from expclip_cache.reporting.page.answer_charts import answers_chart, answers_figures, span
from expclip_cache.reporting.page.content import Page, SetSection, View
from expclip_cache.reporting.page.map_panels import key_mark, map_panel, panel_name
from expclip_cache.reporting.page.probe_section import few_shot_chart, square_chart
from expclip_cache.reporting.page.score_grid import score_grid
from expclip_cache.reporting.page.teacher_section import teacher_chart
from expclip_cache.reporting.probe_content import PROBE, backbones_of
from expclip_cache.reporting.sections import WORDS
from expclip_cache.reporting.system_names import PLAIN_CLIP, several_of
from expclip_cache.reporting.teacher_content import teachers_of
from expclip_cache.reporting.text_table import type_name
from expclip_cache.reporting.weakest_class import Place, weakest_class
from expclip_cache.statistics import Interval, mean_scores
from expclip_cache.teachers import LABEL_FREE


def render_page(page: Page) -> bytes:
    """The page of the results, UTF-8. The same results give the same bytes."""
    systems = {row.system for row in page.scores}
    return _render(
        "page.html",
        _choice_style(len(page.views)),
        page=page,
        grid=score_grid(page.scores, mean_scores(page.scores, page.statistics)),
        weakest=lambda cell: weakest_class(page.recalls[Place(cell.test_set, cell.prompt_type, cell.system)]),
        confidence=f"{page.statistics.settings.confidence:g} %",
        several=several_of(systems),
        no_clips=page.no_clips,
        heads=len({system[:3] for system in systems if system.head}),
        test_sets=list(dict.fromkeys(row.test_set for row in page.scores)),
        with_sections=sum(1 for view in page.views if view.sets),
        words=WORDS,
        probes=_probes(page),
        teachers=_teachers(page),
    )


def _probes(page: Page) -> Markup:
    """The section on probes, see `_results_of_a_command`."""
    return _results_of_a_command(
        "probes.html",
        backbones_of(page.probes) if page.probes else [],
        page.stale_probes,
        probe=PROBE,
        square_chart=square_chart,
        few_shot_chart=few_shot_chart,
    )


def _teachers(page: Page) -> Markup:
    """The section on teachers, see `_results_of_a_command`."""
    return _results_of_a_command(
        "teachers.html",
        teachers_of(page.teachers) if page.teachers else [],
        page.stale_teachers,
        label_free=LABEL_FREE,
        plain_clip=PLAIN_CLIP,
        teacher_chart=teacher_chart,
    )


def _results_of_a_command(template: str, backbones: Sequence[object], stale: str, **more: object) -> Markup:
    """A section on results that no stage makes; empty without results or a word about stale ones."""
    if not backbones and not stale:
        return Markup("")
    return Markup(_filled(template, backbones=backbones, stale=stale, **more))


def render_times(times: Sequence[StageTime]) -> bytes:
    """A page of its own with the times of the stages that ran on this machine, in their order, UTF-8."""
    return _render("times.html", times=times)


def render_ablation(page: AblationPage) -> bytes:
    """The page of an ablation, UTF-8. The same results give the same bytes."""
    names = [name for name, _ in page.test_sets]

    def charts(axis: AblatedAxis) -> list[Markup]:
        return [Markup(axis_chart(axis, names)), Markup(change_chart(axis))]

    return _render("ablation.html", page=page, axis_charts=charts)


def render_maps(maps: Sequence[FeatureMap], results: bool) -> bytes:
    """A page of its own with maps of features, UTF-8.

    Args:
        results: whether the page of the results is in the folder above.
    """
    return _render("maps.html", maps=maps, results=results, panel_of=map_panel, name_of=panel_name, mark_of=key_mark)


def _render(template: str, more_style: str = "", **values: object) -> bytes:
    """A whole page, UTF-8."""
    return _filled(template, style=Markup(_template("style.css") + more_style), **values).encode("utf-8")


def _filled(template: str, **values: object) -> str:
    """The text of a template of this package."""
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": _plain, "printable": _printable, "seconds": _seconds}
    environment.filters |= {
        "type_name": type_name,
        "interval": _interval,
        "p_value": _p_value,
        "gains": _gains,
        "loss": _loss,
        "figures": _figures,
        "answers_chart": answers_chart,
        "answers_figures": answers_figures,
    }
    environment.filters |= {"points": partial(rounded, digits=1, sign=True), "number": partial(rounded, digits=1)}
    return environment.get_template(template).render(**values)


def _template(name: str) -> str:
    return (files("expclip_cache.reporting.page") / name).read_text(encoding="utf-8")


def _choice_style(views: int) -> str:
    """Shows only the view whose radio button is checked; without style sheets or `:has` every view is shown."""
    rules = (f"body:has(#show-{k}:checked) .view:not(#view-{k}) {{ display: none; }}\n" for k in range(1, views + 1))
    return "".join(rules) if views > 1 else ""


def _gains(view: View) -> Markup:
    rows = []
    for row, clip in zip(view.rows, view.clip, strict=True):
        gain, intervals = row.gain_interval or Interval(0, 0), (clip.intervals.uar, row.intervals.uar)
        before, after = ((one.low, one.high) for one in intervals)
        rows.append(
            GainRow(row.test_set, clip.uar, before, row.uar, after, row.gain or 0.0, gain.low, gain.high, row.uar_std)
        )
    return Markup(uar_gains(rows))


def _loss(view: View) -> Markup:
    return Markup(loss_curve(view.losses))


def _figures(section: SetSection) -> dict[str, Markup]:
    classes, seeds = section.classes, len(section.expclip_recall)
    heads = f"Exp-CLIP, sum over {seeds} seeds" if seeds > 1 else "Exp-CLIP"
    difference = section.expclip - section.clip
    return {
        "recall": Markup(
            recall_bars(
                classes,
                section.clip_recall.tolist(),
                section.expclip_recall.tolist(),
                list(map(span, section.clip_intervals)),
                list(map(span, section.expclip_intervals)),
            )
        ),
        "clip": Markup(confusion_heatmap(classes, section.clip, "CLIP")),
        "expclip": Markup(confusion_heatmap(classes, section.expclip, heads)),
        "reliability": Markup(reliability_diagram(section.clip_bins, section.bins)),
        "coverage": Markup(coverage_curve(section.clip_bins, section.bins)),
        "difference": Markup(confusion_heatmap(classes, difference, "Exp-CLIP minus CLIP", difference=True)),
    }


def _interval(interval: Interval) -> str:
    """Low and high with one decimal."""
    return f"[{interval.low:.1f}, {interval.high:.1f}]"


def _p_value(p: float) -> str:
    """A p value as papers give it."""
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def _plain(value: object) -> str:
    """A setting without brackets and quotes."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(entry)}" for key, entry in value.items())
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"


def _seconds(value: float) -> str:
    """A duration: `0.42 s`, `42 s`, `2 min 10 s`, `1 h 05 min`."""
    if value < 99.5:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def _printable(path: str) -> str:
    """A path as text; bytes that are not UTF-8 become escapes, one per byte."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
