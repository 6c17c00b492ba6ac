"""`expclip-cache pool`."""

from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf


def pool(
    frames: Annotated[
        str,
        typer.Argument(metavar="FRAMES", help="Cache of the features of every frame, from extract --pool none."),
    ],
    out: Annotated[str, typer.Argument(metavar="FEATURES", help="The cache to fill: a folder or an address.")],
    *,
    by: Annotated[
        Literal["mean", "first", "max", "attention", "temporal"],
        typer.Option(help="How, see docs/temporal.md; temporal: the model's own, of kinds emoclip and emotionclip."),
    ],
    on_mismatch: Annotated[
        Literal["refuse", "replace"],
        typer.Option(
            help="What to do with features that were made with other settings.",
            default_factory=DefaultOf("cache.CacheSettings", "on_mismatch"),
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            help="Where a temporal model runs: auto, cpu, cuda or cuda:1.",
            default_factory=DefaultOf("workers.RunSettings", "device"),
        ),
    ],
) -> None:
    """Pool kept features of frames into one a clip.

    Nothing is encoded again.

    Example: expclip-cache pool features/clips-frames features/clips-max --by max
    """
    with handle_errors(resumes=True):
        from expclip_cache.base import TerminalReporter
        from expclip_cache.cache import CacheSettings, FeatureCache
        from expclip_cache.extraction import pool_frames

        report = TerminalReporter()
        pooled = pool_frames(FeatureCache(frames), by, out, CacheSettings(on_mismatch=on_mismatch), device, report)
        report.say(f"{out}: {len(pooled.good_rows)} of {len(pooled)} rows, {pooled.width} wide, {pooled.dtype}")
