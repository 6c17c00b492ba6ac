"""Run the frozen LLM over the training faces: python stages/encode_targets.py."""

from expclip_cache.base import Reporter, orderly, recorded_time
from expclip_cache.datasets import read_manifest, resolve_root
from expclip_cache.extraction import extract, llm_job
from expclip_cache.settings import load_settings, manifest_file, target_draws


def main(report: Reporter) -> None:
    """Fill features/<llm.name>/<train.dataset>, with dropout a folder for each draw."""
    params = load_settings()
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
