"""Run the text tower of every frozen CLIP over all prompts of the study: python stages/prompts.py [--backbone NAME]."""

import argparse
from collections.abc import Sequence

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import read_manifest
from expclip_cache.extraction import encode_prompts
from expclip_cache.prompts import prompt_table
from expclip_cache.settings import chosen_names, load_settings, manifest_file, prompt_features


def main(report: Reporter, backbones: Sequence[str] = ()) -> None:
    """Fill features/prompts, by default for all backbones."""
    settings = load_settings()
    classes = [read_manifest(manifest_file(name)).classes for name in settings.score.datasets]
    texts = [
        prompt.text
        for prompts in settings.prompts.values()
        for named in classes
        for prompt in prompt_table(prompts.set, prompts.types, named)
    ]
    for backbone in chosen_names(backbones, settings.backbones, "backbones"):
        clip, out = settings.backbones[backbone], prompt_features(backbone)
        encode_prompts(texts, out, clip, settings.cache, settings.run.device, report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", action="append", default=[], help="only this one; repeatable")
    given = parser.parse_args()
    with handle_errors(), recorded_time("prompts") as report:
        main(report, given.backbone)
