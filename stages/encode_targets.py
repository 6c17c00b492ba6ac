"""Run the frozen LLM over the training faces: python -m stages.encode_targets."""

from pipeline.console import orderly
from pipeline.datasets import resolve_root
from pipeline.extract import Job, extract
from pipeline.manifest import read_manifest
from pipeline.params import Params, load_params
from pipeline.paths import manifest_file, target_features
from pipeline.progress import TerminalReporter


def job(params: Params) -> Job:
    """What to encode, with what, into which folder."""
    name = params.train.dataset

    def load():
        from pipeline.encoders.blip2_t5 import load_blip2_t5
        from pipeline.encoders.device import resolve_device

        return load_blip2_t5(params.llm, resolve_device(params.run.device))

    def weights() -> str | None:
        from pipeline.encoders.weights import llm_weights_identity

        return llm_weights_identity(params.llm)

    return Job(
        read_manifest(manifest_file(name)),
        lambda: resolve_root(name, params.datasets[name]),
        params.llm.settings(),
        weights,
        load,
        target_features(params.llm.name, name),
    )


def main() -> None:
    """Fill features/<llm.name>/<train.dataset>."""
    params = load_params()
    extract(job(params), params.cache, params.run, TerminalReporter())


if __name__ == "__main__":
    with orderly():
        main()
