"""The options that name a head, its CLIP and the classes, the same for `predict` and `export-model`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from expclip_cache.commands.heads import NO_CLIP
from expclip_cache.commands.setting_options import was_given

if TYPE_CHECKING:
    from expclip_cache.encoders import ClipSettings

CLASSES, MODEL = "Classes", "Model"

PromptsOption = Annotated[
    str | None,
    typer.Option(
        help="Your own words, such as 'boredom, amusement, pain', or a prompt file my-prompts.yaml.",
        rich_help_panel=CLASSES,
    ),
]

HeadOption = Annotated[
    str | None,
    typer.Option(
        help="Head file; exp-clip-b32, -b16 or -l14 for the published ones; none for plain CLIP. By default that of "
        "the demo.",
        rich_help_panel=MODEL,
    ),
]

KindOption = Annotated[
    str | None,
    typer.Option(
        help="Kind of model: open-clip, flava, ..., see docs/backbones.md. By default the one that the head names.",
        rich_help_panel=MODEL,
    ),
]

ModelOption = Annotated[
    str | None,
    typer.Option(
        help="demo, an open_clip model, or a local model folder. By default the one that the head names.",
        rich_help_panel=MODEL,
    ),
]

WeightsOption = Annotated[
    str | None,
    typer.Option(
        help="pretrained, an open_clip tag such as openai, a file (.safetensors, .pt, .pth), or random.",
        rich_help_panel=MODEL,
    ),
]

RevisionOption = Annotated[
    str | None,
    typer.Option(
        help="Commit, branch or tag of the weights' repository on the Hugging Face hub.", rich_help_panel=MODEL
    ),
]

PreprocessOption = Annotated[
    Literal["reference", "clip"] | None,
    typer.Option(
        help="As used to train the head. reference: stretch to a square, no mean/std normalisation; clip: as the "
        "model was trained, which is the default with --head none.",
        rich_help_panel=MODEL,
    ),
]


def head_and_clip(context: typer.Context) -> "tuple[Path | None, ClipSettings]":
    """The head and the CLIP that the options name; what they leave open of the CLIP is what the head names.

    Raises:
        ExpclipError: there is no such head, it names no CLIP and none is given, or a value is out of range.
    """
    from expclip_cache.base import build
    from expclip_cache.encoders import ClipSettings
    from expclip_cache.prediction import choose_head

    given = _given(context)
    file, clip = choose_head(context.params["head"], named_clip(context) if "model" in given else None)
    if file is None and clip.model != ClipSettings().model:
        # Plain CLIP sees images as it was trained to. The demo's was trained on what `reference` gives.
        given = {"preprocess": "clip", **given}
    return file, build(ClipSettings, **{**clip.model_dump(), **given})


def named_clip(context: typer.Context) -> "ClipSettings":
    """The CLIP that the options name, whatever the head.

    Raises:
        SettingsError: a value is out of range.
    """
    from expclip_cache.base import build
    from expclip_cache.encoders import ClipSettings

    return build(ClipSettings, **_given(context))


def _given(context: typer.Context) -> dict[str, Any]:
    names = ("kind", "model", "weights", "revision", "preprocess", "precision")
    return {name: context.params[name] for name in names if was_given(context, name)}


def notes_on(head: Path | None, clip: "ClipSettings") -> list[str]:
    """What to know about a head and its CLIP."""
    from expclip_cache.encoders import ClipSettings
    from expclip_cache.heads import names_clip

    notes = [f"{head}: {NO_CLIP}"] if head and not names_clip(head) else []
    if clip.model == ClipSettings().model:
        notes.append("the demo encoder was trained on drawn faces only; its answers for photographs mean nothing")
    return notes
