"""`expclip-cache figures`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from expclip_cache.base import handle_errors

Known = TypeVar("Known", bound=str)

_DRAWN = "What is drawn (by default everything)"


def figures(
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where they go.")] = Path("figures"),
    format: Annotated[list[str] | None, typer.Option(metavar="F[,F...]", help="svg, pdf; by default both.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="K[,K...]", help="uar, gains, loss, confusion, recall.", rich_help_panel=_DRAWN),
    ] = None,
    head: Annotated[
        list[str] | None, typer.Option(metavar="NAME[,NAME...]", help="Heads.", rich_help_panel=_DRAWN)
    ] = None,
    backbone: Annotated[
        list[str] | None, typer.Option(metavar="NAME[,NAME...]", help="Their backbones.", rich_help_panel=_DRAWN)
    ] = None,
    test_set: Annotated[
        list[str] | None, typer.Option(metavar="NAME[,NAME...]", help="Test sets.", rich_help_panel=_DRAWN)
    ] = None,
) -> None:
    """Draw the figures for a paper.

    They show the data of the report page: UAR and gains with intervals, training loss, confusion matrices, recall of
    each class. Widths are 3.3 and 6.9 inches, text has 8 points. Needs the extra `figures`.

    Example: expclip-cache figures --head ridge --kind gains,confusion --format pdf
    """
    with handle_errors():
        from expclip_cache.base import SettingsError, TerminalReporter
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.reporting import FIGURES, FORMATS, write_figures
        from expclip_cache.settings import load_settings, study_drawings

        def chosen(option: str, given: list[str] | None, known: Sequence[Known]) -> list[Known]:
            names = entries(given or known)
            if unknown := [name for name in names if name not in known]:
                raise SettingsError(f"{option}: expected some of {', '.join(known)}, found {', '.join(unknown)}.")
            return [name for name in known if name in names]

        formats = chosen("--format", format, FORMATS)
        drawings = study_drawings(
            load_settings(),
            kinds=chosen("--kind", kind, FIGURES),
            backbones=entries(backbone or ()),
            heads=entries(head or ()),
            datasets=entries(test_set or ()),
        )
        report = TerminalReporter()
        files = write_figures(drawings, out, formats, report)
        report.say(f"{out}: {len(files)} files, {len(drawings)} figures as {' and '.join(formats)}")
