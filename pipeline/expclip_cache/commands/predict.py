"""`expclip-cache predict`."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.heads import NO_CLIP
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of, was_given

if TYPE_CHECKING:
    from expclip_cache.encoders import ClipSettings
    from expclip_cache.prediction import Predictor

FACES, CLASSES, MODEL, OUTPUT, MACHINE = "Faces and frames", "Classes", "Model", "Output", "Machine"

_of_clip = partial(DefaultOf, "encoders.ClipSettings")


def predict(
    context: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(help="Photos, video files, or folders of them.")],
    *,
    crop: Annotated[
        bool,
        typer.Option(
            "--crop/--no-crop",
            help="Crop to the largest face; needs the detector of the extra `face`.",
            rich_help_panel=FACES,
        ),
    ] = True,
    all_faces: Annotated[
        bool,
        typer.Option(
            "--all-faces", help="One answer for every face of a photo, the largest first.", rich_help_panel=FACES
        ),
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            help="Follow the expression over a video: one answer for each such time, for example 0.5s.",
            rich_help_panel=FACES,
        ),
    ] = None,
    clips: Annotated[
        bool,
        typer.Option("--clips", help="Treat each folder of frames as one clip.", rich_help_panel=FACES),
    ] = False,
    frames: Annotated[
        int,
        typer.Option(
            min=1,
            help="Frames sampled from a clip.",
            default_factory=DefaultOf("datasets.DatasetSettings", "frames"),
            rich_help_panel=FACES,
        ),
    ],
    prompts: Annotated[
        str | None,
        typer.Option(
            help="Your own words, such as 'boredom, amusement, pain', or a prompt file my-prompts.yaml.",
            rich_help_panel=CLASSES,
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="Head file; exp-clip-b32, -b16 or -l14 for the published ones; none for plain CLIP. By default that "
            "of the demo.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="demo, an open_clip model, or a local model folder. By default the one that the head names.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="pretrained, an open_clip tag such as openai, a .safetensors file, or random.", rich_help_panel=MODEL
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            help="Commit, branch or tag of the weights' repository on the Hugging Face hub.", rich_help_panel=MODEL
        ),
    ] = None,
    preprocess: Annotated[
        Literal["reference", "clip"] | None,
        typer.Option(
            help="As used to train the head. reference: stretch to a square, no mean/std normalisation; clip: as the "
            "model was trained, which is the default with --head none.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "bf16"],
        typer.Option(help="Precision of the encoder.", default_factory=_of_clip("precision"), rich_help_panel=MODEL),
    ],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Classes shown: by default all, or 3 on a line.", rich_help_panel=OUTPUT),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show plain CLIP beside Exp-CLIP.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object per line on standard output.", rich_help_panel=OUTPUT),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Write the answers to this file: a row per face, a column per class.", rich_help_panel=OUTPUT
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a copy of each photo with its faces marked and, with --every, for a chart of each video.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, cuda or cuda:1.",
            default_factory=DefaultOf("workers.RunSettings", "device"),
            rich_help_panel=MACHINE,
        ),
    ],
    batch_size: Annotated[
        int, typer.Option(min=1, help="Faces or frames that are encoded at once.", rich_help_panel=MACHINE)
    ] = 32,
) -> None:
    """Classify the expression in your own photos and videos.

    Exit code 0: every input has an answer; 3: some have none, with the reason on standard error; 1: none has.

    Example: expclip-cache predict photo.jpg --head exp-clip-b32
    """
    with handle_errors(resumes=False), ExitStack() as stack:
        from expclip_cache.base import TerminalReporter
        from expclip_cache.commands.shown_answers import ShownAnswers
        from expclip_cache.prediction import NO_HEAD, AnswerTable, Predictor, SavedCopies, find_inputs, seconds_of
        from expclip_cache.workers import RunSettings

        if not crop:
            refuse_options(context, ["all_faces"], "needs --crop: without it, whole images are classified.")
        if head == NO_HEAD:
            refuse_options(context, ["compare"], "needs a head: --head none is plain CLIP already.")
        if every is not None:
            refuse_options(context, ["all_faces", "clips", "frames"], "does not go with --every.")
        interval = None if every is None else seconds_of(every)
        found, passed_over = find_inputs(inputs, clips)
        copies = None if save is None else SavedCopies(save, found)
        run = settings_of(context, RunSettings)
        file, clip = _head_and_clip(context, head, model)
        predictor = Predictor(clip, file or NO_HEAD, prompts, crop, run.device, frames, all_faces=all_faces)
        report = TerminalReporter()
        for note in [*passed_over, *_notes(predictor, crop, all_faces)]:
            report.say(note)
        table = None if csv is None else stack.enter_context(AnswerTable(csv, predictor.classes, compare))
        answers = ShownAnswers(report, table, copies, compare, top, as_json)
        if interval is None:
            answers.show(predictor, found, batch_size)
        else:
            answers.show_over_time(predictor, found, interval, batch_size)
        if answers.failed:
            report.say(f"{answers.failed} of {len(found)} inputs have no answer")
            raise typer.Exit(1 if answers.failed == len(found) else 3)


def _head_and_clip(context: typer.Context, head: str | None, model: str | None) -> "tuple[Path | None, ClipSettings]":
    """The head and the CLIP that the options name; what they leave open of the CLIP is what the head names."""
    from expclip_cache.base import build
    from expclip_cache.encoders import ClipSettings
    from expclip_cache.prediction import choose_head

    named = ("model", "weights", "revision", "preprocess", "precision")
    given = {key: context.params[key] for key in named if was_given(context, key)}
    file, clip = choose_head(head, None if model is None else build(ClipSettings, **given))
    if file is None and clip.model != ClipSettings().model:
        # Plain CLIP sees images as it was trained to. The demo's was trained on what `reference` gives.
        given = {"preprocess": "clip", **given}
    return file, build(ClipSettings, **{**clip.model_dump(), **given})


def _notes(predictor: "Predictor", crop: bool, all_faces: bool) -> list[str]:
    """What to know about the answers."""
    from expclip_cache.encoders import ClipSettings
    from expclip_cache.heads import names_clip

    clip, images = predictor.clip, f"cropped to {'every' if all_faces else 'the largest'} face" if crop else "whole"
    named = f"head {predictor.head}" if predictor.head else "no head: plain CLIP"
    notes = [f"{named}; CLIP {clip.model}, weights {clip.weights}; images {images}"]
    if predictor.head and not names_clip(predictor.head):
        notes.append(f"{predictor.head}: {NO_CLIP}")
    if clip.model == ClipSettings().model:
        notes.append("the demo encoder was trained on drawn faces only; its answers for photographs mean nothing")
    return notes
