"""Run the frozen CLIP's text tower over the prompts of every test set: python stages/encode_prompts.py."""

from expclip_cache.base import Reporter, orderly, recorded_time
from expclip_cache.datasets import read_manifest
from expclip_cache.encoders import load_clip
from expclip_cache.extraction import extract_texts
from expclip_cache.prompts import prompt_table
from expclip_cache.settings import load_settings, manifest_file, prompt_features
from expclip_cache.workers import resolve_device


def main(report: Reporter) -> None:
    """Write features/<clip.name>/prompts."""
    params = load_settings()
    tables = [
        prompt_table(params.prompts.set, params.prompts.types, read_manifest(manifest_file(name)).classes)
        for name in params.score.datasets
    ]
    texts = tuple(dict.fromkeys(prompt.text for table in tables for prompt in table))
    encoder = load_clip(params.clip, resolve_device(params.run.device))
    out = prompt_features(params.clip.name)
    extract_texts(texts, encoder, params.clip.text_settings(), out, params.cache)
    report.say(f"{out}: {len(texts)} prompts encoded")


if __name__ == "__main__":
    with orderly(), recorded_time("encode-prompts") as report:
        main(report)
