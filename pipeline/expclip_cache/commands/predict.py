"""`expclip-cache predict`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.head_options import (
    MODEL,
    HeadOption,
    KindOption,
    ModelOption,
    PreprocessOption,
    PromptsOption,
    RevisionOption,
    WeightsOption,
    head_and_clip,
    notes_on,
)
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of

FACES, OUTPUT, RUN = "Faces and frames", "Output", "How it runs"


def predict(
    context: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(metavar="PHOTOS...", help="Photos, video files, or folders of them.")],
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
    prompts: PromptsOption = None,
    head: HeadOption = None,
    kind: KindOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    revision: RevisionOption = None,
    preprocess: PreprocessOption = None,
    precision: Annotated[
        Literal["fp32", "fp16", "bf16"],
        typer.Option(
            help="Precision of the encoder.",
            default_factory=DefaultOf("encoders.ClipSettings", "precision"),
            rich_help_panel=MODEL,
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Classes shown: by default all, or 3 on a line.", rich_help_panel=OUTPUT),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            help="Above 1 for lower percentages, below 1 for higher ones; see docs/calibration.md.",
            rich_help_panel=OUTPUT,
        ),
    ] = 1.0,
    min_confidence: Annotated[
        float,
        typer.Option(
            metavar="PERCENT",
            help="Call an answer unsure if its top class has less, for example 60; 0 for none.",
            rich_help_panel=OUTPUT,
        ),
    ] = 0.0,
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
            rich_help_panel=RUN,
        ),
    ],
    batch_size: Annotated[
        int, typer.Option(min=1, help="Faces or frames that are encoded at once.", rich_help_panel=RUN)
    ] = 32,
) -> None:
    """Classify the expression in your own photos and videos.

    Exit code 0: every input has an answer, sure or not; 3: some have none, with the reason on standard error; 1: none
    has.

    Example: expclip-cache predict photo.jpg --head exp-clip-b32
    """
    with handle_errors(), ExitStack() as stack:
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
        file, clip = head_and_clip(context)
        predictor = Predictor(
            clip,
            file or NO_HEAD,
            prompts,
            crop,
            run.device,
            frames,
            all_faces=all_faces,
            temperature=temperature,
            min_confidence=min_confidence,
        )
        report = TerminalReporter()
        named = f"head {file}" if file else "no head: plain CLIP"
        images = f"cropped to {'every' if all_faces else 'the largest'} face" if crop else "whole"
        notes = [f"{named}; CLIP {clip.model}, weights {clip.weights}; images {images}", *notes_on(file, clip)]
        for note in (*passed_over, *notes):
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
