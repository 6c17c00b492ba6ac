"""Run the frozen LLM over the training faces: python -m stages.encode_targets."""

from pipeline.console import orderly
from pipeline.datasets import resolve_root
from pipeline.extraction.extract import extract
from pipeline.extraction.llm_job import llm_job
from pipeline.manifest import read_manifest
from pipeline.params import load_params
from pipeline.paths import manifest_file, target_draws
from pipeline.progress import Reporter
from pipeline.stage_times import recorded_time


def main(report: Reporter) -> None:
    """Fill features/<llm.name>/<train.dataset>, with dropout a folder for each draw."""
    params = load_params()
    name = params.train.dataset
    manifest = read_manifest(manifest_file(name))
    for draw, out in enumerate(target_draws(params.llm, name)):
        job = llm_job(
            manifest,
            lambda: resolve_root(name, params.datasets[name]),
            params.llm,
            out,
            draw,
        )
        extract(job, params.cache, params.run, report)


if __name__ == "__main__":
    with orderly(), recorded_time("encode-targets") as report:
        main(report)
