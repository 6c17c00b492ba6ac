"""Run the frozen CLIP's text tower over the prompts of every test set: python -m stages.encode_prompts."""

from pipeline.console import orderly
from pipeline.encoders.clip import load_clip
from pipeline.encoders.device import resolve_device
from pipeline.extraction.extract_text import extract_texts
from pipeline.manifest import read_manifest
from pipeline.params import load_params
from pipeline.paths import manifest_file, prompt_features
from pipeline.progress import Reporter
from pipeline.prompts import prompt_table
from pipeline.stage_times import recorded_time


def main(report: Reporter) -> None:
    """Write features/<clip.name>/prompts."""
    params = load_params()
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
