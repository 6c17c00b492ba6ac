"""`expclip-cache compare-results`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors

MAX_SHOWN = 30
"""Most differences that are printed; there may be thousands."""


def compare_results(
    recorded: Annotated[
        Path, typer.Argument(metavar="RECORDED", help="Folder with the recorded results/ and report/.")
    ],
    rerun: Annotated[
        Path,
        typer.Argument(
            metavar="[RERUN]", help="Folder with results/ and report/ of the rerun; by default the current folder."
        ),
    ] = Path(),
    tolerance: Annotated[
        float,
        typer.Option(min=0, help="Largest accepted difference of a score, in points; 0 requires identical files."),
    ] = 0.0,
) -> None:
    """Check whether a rerun reproduces the recorded results.

    Exit code 0: it does; 1: it does not, and the differences are printed.

    Example: mkdir recorded && git archive HEAD results report | tar -x -C recorded && expclip-cache compare-results
    recorded
    """
    with handle_errors():
        from expclip_cache.reporting import compare_results as compare

        found = compare(recorded, rerun, tolerance)
        if found.identical:
            typer.echo(f"identical: {found.files} result files, bit for bit")
            return
        for difference in found.differences[:MAX_SHOWN]:
            typer.echo(str(difference))
        if len(found.differences) > MAX_SHOWN:
            typer.echo(f"... and {len(found.differences) - MAX_SHOWN} more")
        if found.matches:
            typer.echo(f"reproduced within {tolerance:g} points; the largest difference is {found.largest:.3f} points")
            return
        typer.echo(f"not reproduced: {len(found.differences)} differences (tolerance {tolerance:g} points)")
        raise typer.Exit(1)
