"""Run the text tower of every frozen CLIP over all prompts of the study: python stages/prompts.py [--backbone NAME]."""

import argparse
from collections.abc import Sequence

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.settings import chosen_names, encode_study_prompts, load_settings


def main(report: Reporter, backbones: Sequence[str] = ()) -> None:
    """Fill features/prompts, by default for all backbones."""
    settings = load_settings()
    encode_study_prompts(settings, chosen_names(backbones, settings.backbones, "backbones"), report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", action="append", default=[], help="only this one; repeatable")
    given = parser.parse_args()
    with handle_errors(resumes=True), recorded_time("prompts") as report:
        main(report, given.backbone)
