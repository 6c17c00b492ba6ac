"""Run the frozen LLM over the training faces: python -m stages.encode_targets."""

from pipeline.console import orderly
from pipeline.datasets import resolve_root
from pipeline.extract import extract
from pipeline.llm_job import llm_job
from pipeline.manifest import read_manifest
from pipeline.params import load_params
from pipeline.paths import manifest_file, target_features
from pipeline.progress import TerminalReporter


def main() -> None:
    """Fill features/<llm.name>/<train.dataset>."""
    params = load_params()
    name = params.train.dataset
    job = llm_job(
        read_manifest(manifest_file(name)),
        lambda: resolve_root(name, params.datasets[name]),
        params.llm,
        params.run.device,
        target_features(params.llm.name, name),
    )
    extract(job, params.cache, params.run, TerminalReporter())


if __name__ == "__main__":
    with orderly():
        main()
