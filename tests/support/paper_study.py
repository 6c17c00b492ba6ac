"""The preset `paper` with tiny encoders on a CPU, and all of its stages."""

from collections.abc import Sequence
from pathlib import Path

from expclip_cache.base import SilentReporter
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.settings import load_settings
from stages import crops, heads, images, intervals, manifest, prompts, report, scores, targets

SETTINGS = {
    "weights: openai": "weights: pretrained",
    "precision: fp16": "precision: fp32",
    "precision: reference": "precision: fp32",
    "workers: 8": "workers: 0",
    "device: auto": "device: cpu",
    # Random encoders give lambda nothing to be chosen by.
    "choose: held_out ": "choose: fixed ",
}


def suit_tiny_encoders(batch_size: int) -> None:
    """Set sizes and precisions in params.yaml that suit tiny encoders on a CPU.

    Args:
        batch_size: of the contrastive head; no more than there are images.
    """
    text = Path("params.yaml").read_text()
    for old, new in {**SETTINGS, "batch_size: 512": f"batch_size: {batch_size}"}.items():
        assert old in text
        text = text.replace(old, new)
    Path("params.yaml").write_text(text)


def words(classes: Sequence[str]) -> list[str]:
    """Every word of every prompt, for the vocabulary of the tiny tokenizer."""
    texts = " ".join(prompt.text for prompt in prompt_table("reference", (1, 2, 3, 4, 5), classes))
    return list(dict.fromkeys(texts.replace(".", " .").replace("'", " ' ").split()))


def run_stages() -> None:
    """Every stage, in the current folder and process."""
    for name in load_settings().datasets:
        manifest.main(name, SilentReporter())
    for stage in (crops, images, targets, prompts, heads, scores, intervals):
        stage.main(SilentReporter())
    report.main()
