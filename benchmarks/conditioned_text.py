"""What does it cost to compare clips with texts that they change (X-CLIP)? python -m benchmarks.conditioned_text."""

import argparse
from functools import partial

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn
from transformers import XCLIPConfig, XCLIPModel

from benchmarks.measure import Figure, show, timed_in_turn
from expclip_cache.scoring.conditioned_text import ConditionedTextIndex
from expclip_cache.scoring.text_conditioning import TextConditioning

CLASSES, BATCH = 7, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--patch", type=int, default=32, help="side of a patch in pixels, of images of 224")
    parser.add_argument("--prompts", type=int, nargs="+", default=[CLASSES, 10 * CLASSES])
    arguments = parser.parse_args()
    config = XCLIPConfig()
    d, m = config.projection_dim, (224 // arguments.patch) ** 2
    generator = XCLIPModel(config).prompts_generator.eval().requires_grad_(False)
    for parameter in generator.parameters():
        if parameter.ndim > 1:  # the library's own are so large that rounding in the softmax shows
            nn.init.normal_(parameter, std=d**-0.5)
    conditioning = _conditioning(generator, config)
    random = np.random.default_rng(0)
    rows = random.standard_normal((arguments.clips, (1 + m) * d), dtype=np.float32)
    figures = []
    for p in arguments.prompts:
        texts = random.standard_normal((p, d), dtype=np.float32)
        index = ConditionedTextIndex(conditioning, texts, np.arange(p) % CLASSES)
        ours = partial(index.similarities, rows)
        theirs = partial(_by_transformers, generator, torch.from_numpy(rows).unflatten(1, (-1, d)), texts)
        seconds, peer = timed_in_turn(ours, theirs)
        error = np.abs(ours() - theirs()).max()
        rate = f"{arguments.clips / seconds:.0f} clips/s; similarities differ by {error:.0e}"
        figures += [
            Figure(f"transformers, {p} prompts", peer),
            Figure(f"from cached rows in NumPy, {p} prompts", seconds, seconds / peer, "<= 1.5, > 50 clips/s", rate),
        ]
    show(f"Comparing {arguments.clips} clips of {m} patches with the prompts of {CLASSES} classes", figures)


def _conditioning(generator: nn.Module, config: XCLIPConfig) -> TextConditioning:
    weights = {name: tensor.numpy() for name, tensor in generator.state_dict().items()}
    numbers = {"heads": config.prompt_num_attention_heads, "visual_eps": 1e-5, "text_eps": 1e-5}
    return TextConditioning(save(weights | {name: np.array([value], np.float32) for name, value in numbers.items()}))


def _by_transformers(generator: nn.Module, items: torch.Tensor, texts: np.ndarray) -> np.ndarray:
    """(n, 7) mean cosines of items (n, 1 + m, d), a batch at a time."""
    found = []
    with torch.inference_mode():
        for batch in items.split(BATCH):
            raw = torch.from_numpy(texts).expand(len(batch), -1, -1)
            changed = raw + generator(raw, batch[:, 1:])
            found.append(torch.nn.functional.cosine_similarity(batch[:, :1], changed, dim=-1))
    cosines = torch.cat(found).numpy()
    return np.stack([cosines[:, label::CLASSES].mean(axis=1) for label in range(CLASSES)], axis=1)


if __name__ == "__main__":
    main()
