"""`expclip-cache encode-prompts`."""

from typing import Annotated

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf


def encode_prompts(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE-FEATURES", help="Caches of labelled test sets: their CLIP is run, over their classes."
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="FEATURES", help="The cache to fill: a folder or an address.")],
    *,
    prompt_set: Annotated[
        str,
        typer.Option(
            "--set",
            help="reference, clean, or a prompt file my-prompts.yaml.",
            default_factory=DefaultOf("prompts.PromptSettings", "set"),
        ),
    ],
    device: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda or cuda:1.", default_factory=DefaultOf("workers.RunSettings", "device")),
    ],
) -> None:
    """Cache the prompts of test sets for score.

    Of the sets reference and clean, it encodes all five types.

    Example: expclip-cache encode-prompts features/photos features/prompts
    """
    with handle_errors():
        from expclip_cache.base import TerminalReporter
        from expclip_cache.cache import FeatureCache
        from expclip_cache.extraction import encode_prompts as encode
        from expclip_cache.extraction import recorded_clip
        from expclip_cache.prompts import TYPES, prompt_table
        from expclip_cache.scoring import refuse_other_clip, refuse_unlabelled

        caches = [FeatureCache(place) for place in images]
        for cache in caches:
            refuse_unlabelled(cache)
        clip, commits = recorded_clip(caches)
        texts = [prompt.text for cache in caches for prompt in prompt_table(prompt_set, TYPES, cache.classes)]
        encoded = encode(texts, out, clip, device=device, report=TerminalReporter(), commits=commits)
        for cache in caches:
            refuse_other_clip(cache, encoded)
