"""`expclip-cache compare-results`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import orderly

SHOWN = 30
"""Differences that are printed; there may be thousands."""


def compare_results(
    recorded: Annotated[Path, typer.Argument(help="Folder with the recorded results/ and report/.")],
    rerun: Annotated[Path, typer.Argument(help="Folder with those of the rerun; the current one by default.")] = Path(),
    tolerance: Annotated[
        float, typer.Option(min=0, help="0: the same bits. More: scores may differ by so many points.")
    ] = 0.0,
) -> None:
    """Say whether a rerun gives the recorded result.

    Exit code 0: it does; 1: it does not, and the differences are printed.

    Example: mkdir recorded && git archive HEAD results report | tar -x -C recorded && expclip-cache compare-results
    recorded
    """
    with orderly():
        from expclip_cache.reporting import compare_results as compare

        verdict = compare(recorded, rerun, tolerance)
        if verdict.identical:
            typer.echo(f"the same: {verdict.files} result files, bit for bit")
            return
        for difference in verdict.differences[:SHOWN]:
            typer.echo(str(difference))
        if len(verdict.differences) > SHOWN:
            typer.echo(f"... and {len(verdict.differences) - SHOWN} more")
        if verdict.matches:
            typer.echo(f"the same within {tolerance:g} points; the largest difference is {verdict.largest:.3f}")
            return
        typer.echo(f"not the same: {len(verdict.differences)} differences (tolerance {tolerance:g} points)")
        raise typer.Exit(1)
