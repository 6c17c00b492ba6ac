"""`expclip-cache init`."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expclip_cache.base import handle_errors

if TYPE_CHECKING:
    from expclip_cache.settings import Setup


def init(
    preset: Annotated[
        str | None, typer.Option(help="demo, paper, or a settings file; in a new project demo, unless it can ask.")
    ] = None,
    backbones: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME...]",
            help="Only these backbones of the preset, such as b32,b16 for clip-b32 and clip-b16; all by default.",
        ),
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(metavar="DATASET=FOLDER", help="Folder of a dataset, such as raf-db=/data/RAF-DB; repeatable."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder that holds the datasets; those that it recognises are used."),
    ] = None,
    table_1: Annotated[
        Path | None,
        typer.Option(
            "--table-1",
            metavar="FOLDER",
            help="Folder with weights of the paper's other systems (`expclip-cache systems` lists them); "
            "those in it become backbones.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a params.yaml that has been edited.")] = False,
) -> None:
    """Make a project and write its params.yaml.

    In a folder without a dvc.yaml it writes the whole pipeline first: dvc.yaml, the stages, presets, dataset
    definitions and prompts. Then it lists every dataset and writes params.yaml and roots.yaml. At a terminal it asks
    for anything not given. Datasets without a folder are left out, and it says which.

    Example: expclip-cache init && dvc repro

    Or: expclip-cache init --preset paper --data /data --table-1 weights

    Or: expclip-cache init --preset paper --backbones b32 --root caer-s=/data/CAER-S/crops --root raf-db=/data/RAF-DB
    """
    with handle_errors():
        from expclip_cache.base import SettingsError
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.commands.systems import lines_about_systems
        from expclip_cache.settings import (
            PARAMS_FILE,
            add_missing_sections,
            find_weights,
            make_project,
            plan_setup,
            preset_file,
            preset_names,
            write_setup,
        )

        interactive = sys.stdin.isatty()
        systems = find_weights(table_1) if table_1 else []
        made = make_project()
        typer.echo("".join(f"{line}\n" for line in made), nl=False)
        if preset is None and PARAMS_FILE.exists() and made:
            added = add_missing_sections(PARAMS_FILE)
            kept = f"kept; new in this version and added: {', '.join(added)}" if added else "kept"
            typer.echo(f"params.yaml: {kept}; next: dvc repro")
            return
        if preset is None and not interactive:
            if PARAMS_FILE.exists():
                raise SettingsError(f"--preset is missing: one of {', '.join(preset_names())}, or a settings file.")
            preset = "demo"
        file = preset_file(preset or typer.prompt(f"preset ({', '.join(preset_names())})", default="demo"))
        chosen = entries(backbones or ())
        given = dict(_name_and_folder(pair) for pair in root or ())
        if interactive and not chosen:
            chosen = _ask_for_backbones(file)
        if data is not None:
            given = _find_roots(data, given) | given
        if interactive and not given:
            given = _ask_for_roots(file)
        setup = plan_setup(file, given, backbones=chosen, systems=systems)
        _print_setup(setup)
        if table_1:
            typer.echo("\n".join(lines_about_systems(systems)))
        write_setup(setup, force=force)
        _advise_on_first_run()
        _say_what_is_next(setup)


def _find_roots(data: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The folder of each dataset that is found below `data`, apart from those that have a given one."""
    from expclip_cache.base import DataError
    from expclip_cache.datasets import builtin_definitions
    from expclip_cache.settings import search_datasets

    found = search_datasets(data.expanduser(), without=given)
    for line in found.unread:
        typer.echo(f"note: {line}")
    if not found.roots and not given:
        raise DataError(
            f"{data}: no dataset is recognised in it or in its folders. Known are {', '.join(builtin_definitions())}; "
            "docs/datasets.md says by which files. Or name the folders with --root."
        )
    return {name: str(root) for name, root in found.roots.items()}


def _name_and_folder(pair: str) -> tuple[str, str]:
    from expclip_cache.base import SettingsError

    name, equals, folder = pair.partition("=")
    if not (name and equals and folder):
        raise SettingsError(f"--root: expected DATASET=FOLDER, such as raf-db=/data/RAF-DB, found {pair!r}.")
    return name, folder


def _ask_for_backbones(preset: Path) -> list[str]:
    """Ask which backbones of a preset to keep, if it has several; an empty answer keeps all."""
    from expclip_cache.commands.comma_list import entries
    from expclip_cache.settings import load_settings

    names = list(load_settings(preset).backbones)
    if len(names) == 1:
        return []
    return entries([typer.prompt(f"backbones of {', '.join(names)} (empty: all)", "", show_default=False)])


def _ask_for_roots(preset: Path) -> dict[str, str]:
    """Ask for the folder of each definition until it exists; an empty answer leaves the dataset out."""
    import os

    from expclip_cache.datasets import read_roots, root_variable
    from expclip_cache.settings import preset_definitions

    known, given = read_roots(), {}
    for definition in preset_definitions(preset):
        variable = root_variable(definition.name)
        if os.environ.get(variable):
            typer.echo(f"folder of {definition.title}: set by the environment variable {variable}")
            continue
        default = known.get(definition.name, "")
        while True:
            question = f"folder of {definition.title} (empty: leave it out)"
            answer = typer.prompt(question, default, show_default=bool(default))
            if not answer or Path(answer).expanduser().is_dir():
                break
            typer.echo(f"{answer} is not a folder")
        if answer:
            given[definition.name] = answer
    return given


def _print_setup(setup: "Setup") -> None:
    """Print what was found in each dataset, and what was left out."""
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
        if found.scenes:
            typer.echo(f"  note: {found.scenes}, so params.yaml has crop: detect (crop: none for whole images)")
    if setup.left_out:
        typer.echo(f"left out, no folder on this machine: {', '.join(setup.left_out)}")
    for head in setup.heads_left_out:
        typer.echo(f"left out, for none of the chosen backbones: head {head}")
    if setup.untrainable:
        typer.echo(
            f"{setup.untrainable}, the training set, has no folder on this machine: dvc repro cannot train a head"
        )


def _say_what_is_next(setup: "Setup") -> None:
    """The command that runs the study, or without a training set those that score a head from elsewhere."""
    from expclip_cache.settings import image_features, load_settings, prompt_features

    if not setup.untrainable:
        typer.echo("wrote params.yaml; next: dvc repro")
        return
    settings = load_settings()
    names = settings.score.datasets
    cropped = [f" --dataset {name}" for name in names if settings.datasets[name].crop == "detect"]
    backbone = next(iter(settings.backbones))
    caches = " ".join(str(image_features(backbone, name)) for name in names)
    commands = [
        *(f"python stages/manifest.py {name}" for name in names),
        *([f"python stages/crops.py{''.join(cropped)}"] if cropped else []),
        f"python stages/images.py{''.join(f' --dataset {name}' for name in names)}",
        "python stages/prompts.py",
        f"expclip-cache score {caches} --prompt-features {prompt_features(backbone)} --head HEAD",
    ]
    typer.echo(
        f"wrote params.yaml; next: the same command with --root {setup.untrainable}=FOLDER, or score a head that was "
        "trained elsewhere (import-head reads the reference's):"
    )
    typer.echo("\n".join(f"  {command}" for command in commands))


def _advise_on_first_run() -> None:
    """Say what to do before the first run: about FAISS, half precision on a CPU, and features of earlier versions."""
    from expclip_cache.settings import load_settings, old_feature_moves
    from expclip_cache.workers import resolve_device

    if find_spec("faiss") is None:
        typer.echo("FAISS is missing, which scores: pip install 'expclip-cache[cpu]', or on a GPU 'expclip-cache[gpu]'")
    settings = load_settings()
    half = [f"{name} ({clip.precision})" for name, clip in settings.backbones.items() if clip.precision != "fp32"]
    if half and settings.run.device in ("auto", "cpu") and resolve_device(settings.run.device).type == "cpu":
        typer.echo(
            f"no GPU found, and in half precision: {', '.join(half)}. On a CPU fp32 is many times faster, and it is "
            "what OpenAI's own code uses there. Set it in params.yaml before the first run."
        )
    if moves := old_feature_moves(settings):
        typer.echo("features of an earlier version are found; to use them instead of encoding again, move them first:")
        for command in moves:
            typer.echo(f"  {command}")
