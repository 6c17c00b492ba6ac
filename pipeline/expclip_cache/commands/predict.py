"""`expclip-cache predict`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.heads import NO_CLIP
from expclip_cache.commands.setting_options import DefaultOf, settings_of

FEW = 4
"""Up to this many inputs are shown with bars, more inputs with one line each."""

_of_clip = partial(DefaultOf, "encoders.ClipSettings")


def predict(
    context: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(help="Photos, video files, or folders of them.")],
    *,
    clips: Annotated[bool, typer.Option("--clips", help="Treat each folder of frames as one clip.")] = False,
    prompts: Annotated[
        str | None,
        typer.Option(help="Your own words, such as 'boredom, amusement, pain', or a prompt file my-prompts.yaml."),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Show plain CLIP beside Exp-CLIP.")] = False,
    top: Annotated[
        int | None, typer.Option(min=1, help="Classes shown: by default all with bars, 3 on a line.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line on standard output.")] = False,
    crop: Annotated[
        bool,
        typer.Option("--crop/--no-crop", help="Crop to the largest face; needs the detector of the extra `face`."),
    ] = True,
    head: Annotated[
        Path | None,
        typer.Option(help="Head file. By default the packaged one for the demo; any other model needs one of its own."),
    ] = None,
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
    precision: Annotated[
        Literal["fp32", "fp16", "bf16"],
        typer.Option(help="Precision of the encoder.", default_factory=_of_clip("precision")),
    ],
    device: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda or cuda:1.", default_factory=DefaultOf("workers.RunSettings", "device")),
    ],
    frames: Annotated[
        int,
        typer.Option(
            min=1,
            help="Frames sampled from a clip.",
            default_factory=DefaultOf("datasets.DatasetSettings", "frames"),
        ),
    ],
) -> None:
    """Classify the expression in your own photos and clips.

    Exit code 0: every input has an answer; 3: some have none, with the reason on standard error; 1: none has.

    Example: expclip-cache predict photo.jpg --model ViT-B-32-quickgelu --weights openai --head b32.safetensors
    """
    with handle_errors():
        from expclip_cache.base import DataError, TerminalReporter, printable_name
        from expclip_cache.encoders import ClipSettings
        from expclip_cache.heads import names_clip
        from expclip_cache.prediction import (
            Predictor,
            error_to_json,
            find_inputs,
            prediction_to_bars,
            prediction_to_json,
            prediction_to_line,
        )
        from expclip_cache.workers import RunSettings

        paths, passed_over = find_inputs(inputs, clips)
        clip, run = settings_of(context, ClipSettings), settings_of(context, RunSettings)
        predictor = Predictor(clip, head, prompts, crop, run.device, frames)
        report = TerminalReporter()
        for note in passed_over:
            report.say(note)
        report.say(
            f"head {predictor.head}; {'images cropped to the largest face' if predictor.crops else 'whole images'}"
        )
        if not names_clip(predictor.head):
            report.say(f"{predictor.head}: {NO_CLIP}")
        if model == "demo":
            report.say("the demo encoder was trained on drawn faces only; its answers for photographs mean nothing")
        failed = 0
        for path in paths:
            try:
                prediction = predictor(path)
            except DataError as error:
                failed += 1
                report.say(f"{printable_name(path)}: {error}")
                if as_json:
                    typer.echo(error_to_json(path, str(error)))
                continue
            if as_json:
                typer.echo(prediction_to_json(prediction))
            elif len(paths) <= FEW:
                typer.echo(prediction_to_bars(prediction, compare, top or len(predictor.classes)))
            else:
                typer.echo(prediction_to_line(prediction, compare, top or 3))
        if failed:
            report.say(f"{failed} of {len(paths)} inputs have no answer")
            raise typer.Exit(1 if failed == len(paths) else 3)
