"""`expclip-cache table`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors

FORMATS = {".tex": "latex", ".md": "markdown", ".csv": "csv"}
"""Suffix of a file -> what is written into it."""

_SHOWN = "What it shows"


def table(
    *,
    format: Annotated[
        Literal["latex", "markdown", "csv"] | None,
        typer.Option(help="By default that of the suffix of --out (.tex, .md, .csv), else markdown."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here instead of to the screen.")] = None,
    prompt_type: Annotated[
        int | None,
        typer.Option(metavar="N", help="0 to 5; by default the highest of each prompt set.", rich_help_panel=_SHOWN),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Add rows with the published scores.", rich_help_panel=_SHOWN)
    ] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Confidence intervals: 57.0 [55.6, 58.4].", rich_help_panel=_SHOWN)
    ] = False,
    std: Annotated[
        bool, typer.Option("--std", help="Standard deviation over the seeds: 57.0 ±0.8.", rich_help_panel=_SHOWN)
    ] = False,
    mean: Annotated[
        bool, typer.Option("--mean", help="Add a column with the mean over the datasets.", rich_help_panel=_SHOWN)
    ] = False,
    digits: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=3,
            help="Decimals; by default 2, or 1 with --intervals or --std.",
            show_default=False,
            rich_help_panel=_SHOWN,
        ),
    ] = None,
) -> None:
    """Write the table of scores for a paper.

    It has the layout of the published tables: systems by backbone, a column of UAR/WAR for each dataset, the best in
    bold. A dagger says that our interval covers the published score.

    Example: expclip-cache table --published --out table.tex
    """
    with handle_errors():
        from expclip_cache.base import SettingsError, TerminalReporter, make_folder, write_atomically
        from expclip_cache.reporting import TableOptions, to_csv, to_latex, to_markdown
        from expclip_cache.settings import load_settings, study_table

        if out and not format and out.suffix not in FORMATS:
            raise SettingsError(f"--out {out}: expected a suffix {', '.join(FORMATS)}, or --format beside it.")
        options = TableOptions(prompt_type, intervals, std, published, mean, digits)
        found = study_table(load_settings(), options)
        match format or FORMATS[out.suffix if out else ".md"]:
            case "latex":
                text = to_latex(found)
            case "csv":
                text = to_csv(found, options)
            case _:
                text = to_markdown(found)
        if out is None:
            typer.echo(text, nl=False)
        else:
            make_folder(out.parent)
            write_atomically(out, text.encode("utf-8"))
            TerminalReporter().say(
                f"{out}: {len(found.columns)} columns, {sum(len(b.lines) for b in found.blocks)} rows"
            )
