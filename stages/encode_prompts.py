"""Run the frozen CLIP's text tower over the prompts of every test set: python stages/encode_prompts.py."""

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import read_manifest
from expclip_cache.extraction import encode_prompts
from expclip_cache.prompts import prompt_table
from expclip_cache.settings import load_settings, manifest_file, prompt_features


def main(report: Reporter) -> None:
    """Write features/<clip.name>/prompts."""
    settings = load_settings()
    tables = [
        prompt_table(settings.prompts.set, settings.prompts.types, read_manifest(manifest_file(name)).classes)
        for name in settings.score.datasets
    ]
    texts = [prompt.text for table in tables for prompt in table]
    out = prompt_features(settings.clip.name)
    cache = encode_prompts(texts, out, settings.clip, settings.cache, settings.run.device)
    report.say(f"{out}: {len(cache)} prompts encoded")


if __name__ == "__main__":
    with handle_errors(), recorded_time("encode-prompts") as report:
        main(report)
