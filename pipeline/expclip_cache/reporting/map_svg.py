"""A map of features as one SVG file that stands alone: for slides and papers."""

import re
from html import escape
from importlib.resources import files

from expclip_cache.base import printable_name
from expclip_cache.maps import FeatureMap
from expclip_cache.reporting.charts.class_marks import class_mark
from expclip_cache.reporting.charts.feature_map import SIDE
from expclip_cache.reporting.charts.label_places import LETTER
from expclip_cache.reporting.charts.svg import coordinate, text
from expclip_cache.reporting.page.map_panels import panel_elements, panel_name

GAP, TITLE, LINE = 24.0, 24.0, 20.0
"""Between panels, above a panel, and of the key, in pixels."""

IN_A_ROW = 3
"""Most panels side by side."""


def map_svg(shown: FeatureMap) -> bytes:
    """The panels of one test set with the key of the classes, in the colours of the page's light style, UTF-8."""
    columns = min(len(shown.panels), IN_A_ROW)
    width = columns * (SIDE + GAP) + GAP
    body = []
    for number, panel in enumerate(shown.panels):
        x = GAP + (SIDE + GAP) * (number % columns)
        y = GAP + (SIDE + TITLE + GAP) * (number // columns)
        body.append(text(x, y + 8, panel_name(panel), css="strong"))
        place = f'transform="translate({coordinate(x)} {coordinate(y + TITLE)})"'
        body.append(f"<g {place}>{''.join(panel_elements(shown, panel))}</g>")
    rows = -(-len(shown.panels) // columns)
    key, height = _key(shown, width, GAP + rows * (SIDE + TITLE + GAP))
    box = coordinate(width), coordinate(height)
    size = f'width="{box[0]}" height="{box[1]}" viewBox="0 0 {box[0]} {box[1]}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" {size} '
        f'aria-label="{escape(printable_name(shown.name))}"><style>{_style()}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join([*body, *key])}</svg>\n'
    ).encode()


def _key(shown: FeatureMap, width: float, y: float) -> tuple[list[str], float]:
    """The marks of the classes with their names, in lines from `y` on, and where they end."""
    body, x = [], GAP
    for number, name in enumerate(map(printable_name, shown.classes)):
        room = 36 + LETTER * len(name)
        if x > GAP and x + room > width - GAP:
            x, y = GAP, y + LINE
        body += [class_mark(number, x + 6, y - 4, 5), text(x + 17, y, name)]
        x += room
    return body, y + GAP - 6


def _style() -> str:
    """The page's rules for charts, with the light style's colours in place of variables, which few programs know."""
    css = (files("expclip_cache.reporting.page") / "style.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", css.partition("}")[0]))
    rules = re.findall(r"^\.chart(?: [^{]*)\{[^}]*\}", css, flags=re.M)
    # The first rule fits a chart into its column.
    font = '.chart { font: 12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }'
    return re.sub(r"var\(--([\w-]+)\)", lambda found: colours[found[1]], "\n".join([font, *rules[1:]]))
