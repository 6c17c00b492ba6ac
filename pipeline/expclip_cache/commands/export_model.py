"""`expclip-cache export-model`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.head_options import (
    HeadOption,
    ModelOption,
    PreprocessOption,
    PromptsOption,
    RevisionOption,
    WeightsOption,
    head_and_clip,
    named_clip,
    notes_on,
)
from expclip_cache.commands.setting_options import refuse_options


def export_model(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The ONNX file.")],
    *,
    features: Annotated[
        bool, typer.Option("--features", help="Export the image tower alone, which gives raw features.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights of linear layers as 8-bit integers: smaller, not quite the same.")
    ] = False,
    prompts: PromptsOption = None,
    head: HeadOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    revision: RevisionOption = None,
    preprocess: PreprocessOption = None,
) -> None:
    """Write image tower, head and prompts as one ONNX file.

    Needs the extra `onnx`.

    Example: expclip-cache export-model model.onnx --prompts 'boredom, amusement, pain'
    """
    with handle_errors():
        if features:
            refuse_options(context, ("head", "prompts"), "has no effect on features. Leave it out, or --features.")
        from expclip_cache.base import TerminalReporter
        from expclip_cache.export import export_classifier, export_features
        from expclip_cache.prediction import NO_HEAD

        if features:
            file, clip = None, named_clip(context)
            done = export_features(out, clip, int8)
        else:
            file, clip = head_and_clip(context)
            done = export_classifier(out, clip, file or NO_HEAD, prompts, int8)
        report = TerminalReporter()
        when = ", before weights became int8" if int8 else ""
        report.say(
            f"{out}: {done.bytes / 1e6:.1f} MB; answers are torch's to {done.difference:.0e} on random images{when}"
        )
        report.say(f"pixels: {done.facts['input']}")
        for note in notes_on(file, clip):
            report.say(note)
