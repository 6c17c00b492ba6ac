"""Run the frozen LLM over the training images: python stages/encode_targets.py."""

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import read_manifest, resolve_root
from expclip_cache.extraction import llm_job, run_job
from expclip_cache.settings import load_settings, manifest_file, target_draws


def main(report: Reporter) -> None:
    """Fill features/<llm.name>/<train.dataset>; with dropout, one folder per draw in it."""
    settings = load_settings()
    name = settings.train.dataset
    manifest = read_manifest(manifest_file(name))
    for draw, out in enumerate(target_draws(settings.llm, name)):
        job = llm_job(manifest, lambda: resolve_root(name, settings.datasets[name]), settings.llm, out, draw)
        run_job(job, settings.cache, settings.run, report)


if __name__ == "__main__":
    with handle_errors(), recorded_time("encode-targets") as report:
        main(report)
