"""`expclip-cache init`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import orderly


def init(
    preset: Annotated[str | None, typer.Option(help="demo, paper-b32, paper-b16, paper-l14, or a params file.")] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(metavar="DATASET=FOLDER", help="Where a dataset is, such as raf-db=/data/RAF-DB; repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a params.yaml that is no unchanged preset.")] = False,
) -> None:
    """Write params.yaml and roots.yaml for this machine, after a look at every dataset.

    Asks for what is not given if a terminal is there to answer. Datasets without a folder are left out by name.

    Example: expclip-cache init --preset paper-b32 --root caer-s=/data/CAER-S/train --root raf-db=/data/RAF-DB/test
    """
    with orderly():
        from expclip_cache.base import SettingsError
        from expclip_cache.settings import plan_setup, preset_file, preset_names, write_setup

        asking = sys.stdin.isatty()
        if preset is None:
            if not asking:
                raise SettingsError(f"--preset is missing: one of {', '.join(preset_names())}, or a params file.")
            preset = typer.prompt(f"preset ({', '.join(preset_names())})", default="demo")
        file = preset_file(preset)
        given = dict(_split(pair) for pair in root or ())
        if asking and not given:
            given = _ask_roots(file)
        setup = plan_setup(file, given)
        _say(setup)
        write_setup(setup, force=force)
        _advise()
        typer.echo("params.yaml is written; next: dvc repro")


def _split(pair: str) -> tuple[str, str]:
    from expclip_cache.base import SettingsError

    name, equals, folder = pair.partition("=")
    if not (name and equals and folder):
        raise SettingsError(f"--root: expected DATASET=FOLDER, such as raf-db=/data/RAF-DB, found {pair!r}.")
    return name, folder


def _ask_roots(preset: Path) -> dict[str, str]:
    """Ask for the folder of each definition, again while there is none; an empty answer leaves it out."""
    import os

    from expclip_cache.datasets import read_roots, variable_of
    from expclip_cache.settings import rooted_definitions

    known, given = read_roots(), {}
    for definition in rooted_definitions(preset):
        if os.environ.get(variable_of(definition.name)):
            typer.echo(f"folder of {definition.title}: {variable_of(definition.name)} says it")
            continue
        default = known.get(definition.name, "")
        while True:
            answer = typer.prompt(f"folder of {definition.title}, empty if absent", default, show_default=bool(default))
            if not answer or Path(answer).expanduser().is_dir():
                break
            typer.echo(f"{answer} is no folder")
        if answer:
            given[definition.name] = answer
    return given


def _say(setup) -> None:
    """What was found, set by set, and what was left out."""
    for found in setup.found:
        typer.echo(f"{found.name}: {found.items} items in {found.root}")
        if found.counts:
            typer.echo("  found:     " + ", ".join(f"{name} {count}" for name, count in found.counts.items()))
        if found.published and found.published == tuple(found.counts.values()):
            typer.echo("  published: the same")
        elif found.published:
            pairs = zip(found.counts, found.published, strict=True)
            typer.echo("  published: " + ", ".join(f"{name} {count}" for name, count in pairs))
        for note in found.notes:
            typer.echo(f"  note: {note}")
    if setup.left_out:
        typer.echo(f"left out, no folder on this machine: {', '.join(setup.left_out)}")
    if setup.untrainable:
        typer.echo(
            f"{setup.untrainable}, which the head is trained on, has no folder here: dvc repro cannot train. "
            "An imported head can still be scored, see docs/paper.md."
        )


def _advise() -> None:
    """Half precision suits GPUs alone."""
    from expclip_cache.settings import load_settings
    from expclip_cache.workers import resolve_device

    params = load_settings()
    if params.run.device in ("auto", "cpu") and params.clip.precision != "fp32":
        device = resolve_device(params.run.device)
        if device.type == "cpu":
            typer.echo(
                f"no GPU here, and clip.precision is {params.clip.precision}: fp32 is many times as fast on a CPU, and "
                "what OpenAI's own code uses there. Set it in params.yaml before the first run."
            )
