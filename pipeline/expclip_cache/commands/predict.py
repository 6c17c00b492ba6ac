"""`expclip-cache predict`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import orderly

FEW = 4
"""Up to this many inputs are shown with bars, more on a line each."""


def predict(
    inputs: Annotated[list[Path], typer.Argument(help="Photos, video files, or folders of them.")],
    clips: Annotated[bool, typer.Option("--clips", help="Folders hold frames: each is one clip.")] = False,
    prompts: Annotated[
        str | None,
        typer.Option(help="Words of your own, as 'boredom, amusement, pain', or a prompt file my-prompts.yaml."),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Plain CLIP beside Exp-CLIP.")] = False,
    top: Annotated[int | None, typer.Option(min=1, help="How many classes are shown: all, or 3 on a line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line, on standard output.")] = False,
    crop: Annotated[
        bool | None,
        typer.Option("--crop/--no-crop", help="Cut out the largest face first. On where the detector is installed."),
    ] = None,
    head: Annotated[
        Path | None, typer.Option(help="The packaged one for the demo's encoder, else heads/seed-1.safetensors.")
    ] = None,
    model: Annotated[str, typer.Option(help="demo, an open_clip model, or a local model folder.")] = "demo",
    weights: Annotated[
        str, typer.Option(help="pretrained, an open_clip tag such as openai, a .safetensors file, or random.")
    ] = "pretrained",
    preprocess: Annotated[
        Literal["reference", "clip"], typer.Option(help="As the head was trained; reference: stretch, no mean/std.")
    ] = "reference",
    precision: Annotated[Literal["fp32", "fp16", "bf16"], typer.Option(help="Of the encoder.")] = "fp32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    frames: Annotated[int, typer.Option(min=1, help="Frames looked at in a clip.")] = 16,
) -> None:
    """Name the expression in photos and clips of your own.

    Exit code 0: every input has an answer; 3: some have none, with the reason on standard error; 1: nothing has.

    Example: expclip-cache predict photo.jpg --model ViT-B-32-quickgelu --weights openai --head b32.safetensors
    """
    with orderly():
        from expclip_cache.base import DataError, build
        from expclip_cache.encoders import ClipSettings
        from expclip_cache.prediction import find_inputs
        from expclip_cache.workers import RunSettings

        found = find_inputs(inputs, clips)
        asked = {"model": model, "weights": weights, "preprocess": preprocess, "precision": precision}
        encoder = build(ClipSettings, name="predict", **asked)
        where = build(RunSettings, device=device).device

        from expclip_cache.base import TerminalReporter
        from expclip_cache.prediction import Predictor, refusal_to_json, to_block, to_json, to_line

        report = TerminalReporter()
        predictor = Predictor(encoder, head, prompts, crop, where, frames)
        report.say(
            f"head {predictor.head}, {'the largest face of each picture' if predictor.crops else 'whole pictures'}"
        )
        if crop is None and not predictor.crops:
            report.say("faces are not cut out: the detector is not installed (pip install 'expclip-cache[face]')")
        if model == "demo":
            report.say("the demo's encoder has seen drawn faces only; what it says of a photograph means nothing")
        refused = 0
        for path in found:
            try:
                prediction = predictor(path)
            except DataError as error:
                refused += 1
                report.say(f"{path}: {error}")
                if as_json:
                    typer.echo(refusal_to_json(path, str(error)))
                continue
            if as_json:
                typer.echo(to_json(prediction))
            elif len(found) <= FEW:
                typer.echo(to_block(prediction, compare, top or len(predictor.classes)))
            else:
                typer.echo(to_line(prediction, compare, top or 3))
        if refused:
            report.say(f"{refused} of {len(found)} have no answer")
            raise typer.Exit(1 if refused == len(found) else 3)
