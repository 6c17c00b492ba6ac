"""`expclip-cache map`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of

if TYPE_CHECKING:
    from expclip_cache.maps import MapInputs

CACHES, DRAWING = "With features of your own", "Drawing"


def map(
    context: typer.Context,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEST-SETS",
            help="Test sets of the study in params.yaml, by default all; with --prompt-features, caches of labelled "
            "test sets: folders or addresses.",
        ),
    ] = None,
    *,
    prompt_features: Annotated[
        str | None,
        typer.Option(
            metavar="CACHE",
            help="Cache of the prompts; encode-prompts makes one.",
            rich_help_panel=CACHES,
        ),
    ] = None,
    head: Annotated[
        list[Path] | None, typer.Option(help="A head (.safetensors). Repeat for more.", rich_help_panel=CACHES)
    ] = None,
    set: Annotated[
        str,
        typer.Option(
            help="reference, clean, or a prompt file my-prompts.yaml.",
            default_factory=DefaultOf("prompts.PromptSettings", "set"),
            rich_help_panel=CACHES,
        ),
    ],
    type: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=5,
            help="Prompt type; by default the highest whose prompts are in the cache.",
            rich_help_panel=CACHES,
        ),
    ] = None,
    aggregation: Annotated[
        Literal["mean", "renorm_mean", "nearest"],
        typer.Option(
            help="Over a class's prompts, for the predictions; a map always shows their mean.",
            default_factory=DefaultOf("prompts.PromptSettings", "aggregation"),
            rich_help_panel=CACHES,
        ),
    ],
    items: Annotated[
        int,
        typer.Option(
            help="Most items on a map; of more, some of every class are drawn.",
            default_factory=DefaultOf("maps.MapSettings", "items"),
            rich_help_panel=DRAWING,
        ),
    ],
    seed: Annotated[
        int,
        typer.Option(
            help="Of the choice of items and of t-SNE.",
            default_factory=DefaultOf("maps.MapSettings", "seed"),
            rich_help_panel=DRAWING,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For the page, the figures and the tables; by default report/maps, with --prompt-features maps.",
            rich_help_panel=DRAWING,
        ),
    ] = None,
) -> None:
    """Map image features and prompts, before and after heads.

    A panel shows plain CLIP or a head, by t-SNE. Of a study, every backbone and the first seed of every head are drawn.

    Example: expclip-cache map demo-clean demo-occluded
    """
    with handle_errors():
        from rich.console import Console

        from expclip_cache.base import TerminalReporter, make_folder
        from expclip_cache.maps import MapSettings, map_features
        from expclip_cache.reporting import WIDTH, map_files, maps_to_terminal
        from expclip_cache.settings import STUDY_MAPS

        how, report = settings_of(context, MapSettings), TerminalReporter()
        if prompt_features is None:
            refuse_options(
                context, ("head", "set", "type", "aggregation"), "needs --prompt-features: a study has its own."
            )
            inputs, folder = _of_study(images or []), out or STUDY_MAPS
        else:
            inputs, folder = _of_caches(context, images or [], prompt_features, head or []), out or Path("maps")
        maps = [map_features(one, how, report) for one in inputs]
        make_folder(folder)
        for name, content in map_files(maps, results=folder == STUDY_MAPS).items():
            (folder / name).write_bytes(content)
        Console(width=WIDTH).print(maps_to_terminal(maps))
        report.say(f"{folder}/index.html shows the maps; beside it are an SVG and a csv file of each")


def _of_study(names: list[str]) -> "list[MapInputs]":
    from expclip_cache.base import SettingsError
    from expclip_cache.settings import PARAMS_FILE, load_settings, study_map_inputs

    if not PARAMS_FILE.exists():
        raise SettingsError(
            f"{PARAMS_FILE}: there is no study here. Run this in its folder, or give caches and --prompt-features."
        )
    return study_map_inputs(load_settings(), names)


def _of_caches(context: typer.Context, places: list[str], prompts: str, heads: list[Path]) -> "list[MapInputs]":
    from expclip_cache.base import SettingsError
    from expclip_cache.cache import FeatureCache
    from expclip_cache.maps import MapInputs
    from expclip_cache.prompts import TYPES, PromptSettings
    from expclip_cache.scoring import short_names

    if not places:
        raise SettingsError("--prompt-features: expected caches of labelled test sets beside it, found none.")
    kind = context.params["type"]
    if context.params["set"].endswith((".yaml", ".yml")):
        refuse_options(context, ("type",), "belongs to the sets reference and clean; a prompt file has no types.")
    settings = settings_of(context, PromptSettings, types=TYPES if kind is None else (kind,))
    named = dict(zip(short_names(heads), heads, strict=True))
    cache = FeatureCache(prompts)
    return [
        MapInputs(name, FeatureCache(place), cache, named, settings)
        for name, place in zip(short_names(places), places, strict=True)
    ]
