"""`expclip-cache export-model`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.heads import NO_CLIP
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of

_of_clip = partial(DefaultOf, "encoders.ClipSettings")


def export_model(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="The ONNX file.")],
    *,
    prompts: Annotated[
        str | None,
        typer.Option(help="Your own words, such as 'boredom, amusement, pain', or a prompt file my-prompts.yaml."),
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option(
            help="Head file, or none for plain CLIP. By default the packaged one for the demo; any other model needs "
            "one of its own."
        ),
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Export the image tower alone, which gives raw features.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights of linear layers as 8-bit integers: smaller, not quite the same.")
    ] = False,
    model: Annotated[
        str, typer.Option(help="demo, an open_clip model, or a local model folder.", default_factory=_of_clip("model"))
    ],
    weights: Annotated[
        str,
        typer.Option(
            help="pretrained, an open_clip tag such as openai, a .safetensors file, or random.",
            default_factory=_of_clip("weights"),
        ),
    ],
    revision: Annotated[
        str | None, typer.Option(help="Commit, branch or tag of the weights' repository on the Hugging Face hub.")
    ] = None,
    preprocess: Annotated[
        Literal["reference", "clip"],
        typer.Option(
            help="As used to train the head. reference: stretch to a square, no mean/std normalisation.",
            default_factory=_of_clip("preprocess"),
        ),
    ],
) -> None:
    """Write image tower, head and prompts as one ONNX file; needs the extra `onnx`.

    Example: expclip-cache export-model model.onnx --prompts 'boredom, amusement, pain'
    """
    with handle_errors():
        if features:
            refuse_options(context, ("head", "prompts"), "has no effect on features. Leave it out, or --features.")
        from expclip_cache.base import TerminalReporter
        from expclip_cache.encoders import ClipSettings
        from expclip_cache.export import NO_HEAD, export_classifier, export_features
        from expclip_cache.heads import names_clip

        clip = settings_of(context, ClipSettings)
        done = export_features(out, clip, int8) if features else export_classifier(out, clip, head, prompts, int8)
        report = TerminalReporter()
        when = ", before weights became int8" if int8 else ""
        report.say(
            f"{out}: {done.bytes / 1e6:.1f} MB; answers are torch's to {done.difference:.0e} on random images{when}"
        )
        report.say(f"pixels: {done.facts['input']}")
        if head is not None and str(head) != NO_HEAD and not names_clip(head):
            report.say(f"{head}: {NO_CLIP}")
        if model == "demo":
            report.say("the demo encoder was trained on drawn faces only; its answers for photographs mean nothing")
