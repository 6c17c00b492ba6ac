"""How much faster is scoring in CLIP's width than in the LLM's width? python -m benchmarks.scoring."""

import argparse

import numpy as np

from benchmarks.measure import Figure, show, timed_in_turn
from expclip_cache.scoring import PromptIndex


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    x = random.standard_normal((arguments.images, 512), dtype=np.float32)
    prompts = random.standard_normal((110, 512), dtype=np.float32)
    head = random.standard_normal((4096, 512), dtype=np.float32)
    classes = np.repeat(np.arange(11), 10)

    def wide() -> np.ndarray:
        """(n, 11) mean similarities by the definition, everything projected to width 4,096."""
        z = x @ head.T
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        text = prompts @ head.T
        text /= np.linalg.norm(text, axis=1, keepdims=True)
        return (z @ text.T).reshape(len(x), 11, 10).mean(axis=2)

    index = PromptIndex(prompts, classes, head)
    error = np.abs(index.similarities(x) - wide()).max()
    same = (index.classify(x) == wide().argmax(axis=1)).mean()
    slow, classify, similarities = timed_in_turn(
        wide,
        lambda: PromptIndex(prompts, classes, head).classify(x),
        lambda: PromptIndex(prompts, classes, head).similarities(x),
    )
    show(
        f"Scoring {arguments.images:,} images against 110 prompts of 11 classes",
        [
            Figure("NumPy in 4,096 dimensions, by the definition", slow),
            Figure(
                "our similarities, with building the index", similarities, slow / similarities, ">= 5", "times faster"
            ),
            Figure("our classes, with building the index", classify, slow / classify, ">= 5", "times faster"),
            Figure("largest difference between similarities", None, None, "<= 1e-5", f"{error:.1e}"),
            Figure("same predicted class", None, None, "", f"{100 * same:.3f} % of the images"),
        ],
    )


if __name__ == "__main__":
    main()
