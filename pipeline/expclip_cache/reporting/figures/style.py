"""How all figures look: sizes of a page with two columns, type of 8 points, colours that differ in grey as well."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["svg", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)

COLUMN, PAGE = 3.3, 6.9
"""Width of one column and of both, in inches."""

CLIP, EXPCLIP = "#7b8a9a", "#0a4a66"
"""Of plain CLIP and Exp-CLIP, nearly those of the page: light, but not too light for a thin line on paper, and dark."""

BETTER, WORSE = "#0b6fa4", "#c2410c"
"""Of changes: blue and orange, which all kinds of colour vision tell apart."""

INK, FAINT, GRID = "#1b1f24", "#59626d", "#d9dde2"

SMALL = 6.5
"""Size of type of the numbers in a drawing, in points."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "text.usetex": False,
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "figure.dpi": 72.0,
    "pdf.fonttype": 42,  # TrueType, as publishers ask for
    "svg.fonttype": "path",  # a browser or editor without the font shows the same
    "svg.hashsalt": "expclip-cache",
}

_METADATA = {
    "svg": {"Date": None, "Creator": "expclip-cache"},
    "pdf": {"CreationDate": None, "Creator": "expclip-cache", "Producer": None},
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Figures that are made and written within look like this, whatever a matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure of that size in inches, with axes side by side that share their vertical axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, sharey=True, squeeze=False)
    return figure, list(axes[0])


def open_frame(axes: "Axes") -> None:
    """Keep only the left and the lower line of the frame."""
    axes.spines[["top", "right"]].set_visible(False)


def figure_bytes(figure: "Figure", kind: Format) -> bytes:
    """The figure as a file; the same bytes for the same figure and version of matplotlib."""
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata=_METADATA[kind])
    return file.getvalue()
