"""The parts of a map of features that its page and its SVG have in common."""

from markupsafe import Markup

from expclip_cache.base import printable_name
from expclip_cache.maps import FeatureMap, Panel
from expclip_cache.reporting.charts.class_marks import class_mark
from expclip_cache.reporting.charts.feature_map import SIDE, map_elements
from expclip_cache.reporting.charts.svg import svg
from expclip_cache.reporting.system_names import PLAIN_CLIP


def panel_name(panel: Panel) -> str:
    """The head, or plain CLIP."""
    return panel.head or PLAIN_CLIP


def panel_elements(shown: FeatureMap, panel: Panel) -> list[str]:
    """The elements of one panel, whose items have a title each."""
    classes = [printable_name(name) for name in shown.classes]
    titles = [
        f"{printable_name(path)}: {classes[truth]}, predicted {classes[predicted]}"
        for path, truth, predicted in zip(shown.paths, shown.truth, panel.predicted, strict=True)
    ]
    return map_elements(classes, panel.items, shown.truth, titles, panel.prompts)


def map_panel(shown: FeatureMap, panel: Panel) -> Markup:
    """One panel as an image."""
    label = (
        f"Map of {len(shown.rows)} items of {shown.name} and {len(shown.classes)} class prompts: {panel_name(panel)}"
    )
    return Markup(svg(SIDE, SIDE, label, panel_elements(shown, panel)))


def key_mark(label: int) -> Markup:
    """The mark of a class beside its name."""
    return Markup(f'<svg class="chart mark" viewBox="0 0 14 14" aria-hidden="true">{class_mark(label, 7, 7, 5)}</svg>')
