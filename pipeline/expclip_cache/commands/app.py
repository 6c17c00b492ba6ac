"""`expclip-cache`: the commands put together. Heavy imports wait until a command runs."""

from importlib.metadata import version
from typing import Annotated

import typer

from expclip_cache.commands.ablate import ablate
from expclip_cache.commands.compare import compare_results
from expclip_cache.commands.doctor import doctor
from expclip_cache.commands.encode_prompts import encode_prompts
from expclip_cache.commands.export_model import export_model
from expclip_cache.commands.extract import extract
from expclip_cache.commands.figures import figures
from expclip_cache.commands.grouped_help import GroupedCommands, GroupedOptions
from expclip_cache.commands.heads import export_head, import_head
from expclip_cache.commands.init import init
from expclip_cache.commands.inspect import inspect
from expclip_cache.commands.map import map
from expclip_cache.commands.pool import pool
from expclip_cache.commands.predict import predict
from expclip_cache.commands.probe import probe
from expclip_cache.commands.report import report
from expclip_cache.commands.save_crops import save_crops
from expclip_cache.commands.score import score
from expclip_cache.commands.systems import systems
from expclip_cache.commands.table import table
from expclip_cache.commands.teachers import teachers
from expclip_cache.commands.train import train
from expclip_cache.commands.verify import verify

app = typer.Typer(
    cls=GroupedCommands,
    help="Zero-shot facial expression recognition by Exp-CLIP from cached features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"expclip-cache {version('expclip-cache')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Zero-shot facial expression recognition by Exp-CLIP from cached features.

    The whole pipeline runs with `dvc repro`; the commands here do one step on their own.
    """


GROUPS = {
    "A whole study": (init, systems, report, ablate, teachers, probe, table, figures, compare_results, doctor),
    "Features": (extract, pool, encode_prompts, inspect, verify, save_crops),
    "Heads and scores": (train, score, map, import_head, export_head),
    "Your own photos": (predict, export_model),
}

for group, commands in GROUPS.items():
    for command in commands:
        app.command(cls=GroupedOptions, rich_help_panel=group)(command)


if __name__ == "__main__":
    app()
