"""Page -> HTML: a template with autoescaping and an inline style sheet; the file loads nothing from elsewhere."""

import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from expclip_cache.reporting.charts.heatmap import confusion_heatmap
from expclip_cache.reporting.charts.loss import loss_curve
from expclip_cache.reporting.charts.scores import recall_bars, uar_gains
from expclip_cache.reporting.page.content import Page, SetSection


def render_page(page: Page) -> bytes:
    """The whole file, UTF-8. The same page gives the same bytes."""
    here = files("expclip_cache.reporting.page")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"anchor": _anchor, "plain": _plain, "printable": _printable, "seconds": _seconds}
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    shown = [section.row for section in page.sets]
    html = template.render(
        page=page,
        style=Markup((here / "style.css").read_text(encoding="utf-8")),
        shown=shown,
        clip_mean=sum(row.clip_uar for row in shown) / len(shown),
        expclip_mean=sum(row.expclip_uar for row in shown) / len(shown),
        gains=Markup(uar_gains([(row.dataset, row.clip_uar, row.expclip_uar, row.expclip_uar_std) for row in shown])),
        loss=Markup(loss_curve(page.losses)) if page.losses else "",
        figures={section.name: _figures(section) for section in page.sets},
    )
    return html.encode("utf-8")


def _figures(section: SetSection) -> dict[str, Markup]:
    classes = section.classes
    heads = f"Exp-CLIP, sum over {len(section.heads)} heads" if len(section.heads) > 1 else "Exp-CLIP"
    difference = section.expclip - section.clip
    return {
        "recall": Markup(recall_bars(classes, section.clip_recall.tolist(), section.expclip_recall.tolist())),
        "clip": Markup(confusion_heatmap(classes, section.clip, "CLIP")),
        "expclip": Markup(confusion_heatmap(classes, section.expclip, heads)),
        "difference": Markup(confusion_heatmap(classes, difference, "Exp-CLIP minus CLIP", difference=True)),
    }


def _anchor(name: str) -> str:
    """A test set's name as part of an id; dataset names have only letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


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
