"""Measure a pair of demo encoders: plain CLIP, the head, linear probes, controls.

    uv run python tools/evaluate_demo_encoders.py --sets validation --try 0.03,20,256 --try 0.1,10,256
    uv run python tools/evaluate_demo_encoders.py --sets test --try 0.03,20,256 --controls

Settings are chosen on the validation sets (seeds 5001 to 5005); the test sets have the seeds in params.yaml.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from demo_captions import APPEARANCE, BACKGROUND, INSTRUCTION
from demo_evaluation import PROMPT_TYPES, blip2_features, clip_features, probe, trained_heads, zero_shot
from demo_training_faces import draw_pixels

from expclip_cache.demo import DemoSetSettings
from expclip_cache.heads import ContrastiveSettings

FIRST_TEST_SEED = {"validation": 5001, "test": 201}
SEEDS = (1, 2, 3, 4, 5)


def main(
    folder: Annotated[Path, typer.Option(help="holds clip/ and blip2/")] = Path("pipeline/expclip_cache/demo"),
    sets: Annotated[str, typer.Option(help="validation or test")] = "validation",
    tries: Annotated[list[str], typer.Option("--try", help="lr,epochs,batch size of a head")] = ["0.03,20,256"],  # noqa: B006
    controls: Annotated[
        bool, typer.Option(help="also evaluate shuffled targets, other instructions and untrained heads")
    ] = False,
    threads: Annotated[int, typer.Option(help="CPU threads")] = 2,
) -> None:
    """Print UAR in percent, prompt type 2 / type 5: mean and standard deviation over five heads."""
    torch.set_num_threads(threads)
    pixels = {name: draw_pixels(settings) for name, settings in _sets(FIRST_TEST_SEED[sets]).items()}
    train = draw_pixels(DemoSetSettings(count=10_000, seed=101))
    images, texts, scale = clip_features(folder / "clip", {**pixels, "train": train}, clips=("clips",))
    faces = images.pop("train")
    targets = blip2_features(folder / "blip2", train, INSTRUCTION)
    stills = {name: part for name, part in pixels.items() if name != "clips"}
    states = {name: blip2_features(folder / "blip2", part, INSTRUCTION) for name, part in stills.items()}
    print(f"linear probe, CLIP:   {_line(probe(faces, images))}")
    print(f"linear probe, BLIP-2: {_line(probe(targets, states))}")

    def show(name: str, heads: Sequence[np.ndarray | None]) -> None:
        columns = []
        for set_name, features in images.items():
            scores = [zero_shot(features, texts, head) for head in heads]
            cells = []
            for kind in PROMPT_TYPES:
                values = [score[kind] for score in scores]
                spread = f"±{np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
                cells.append(f"{np.mean(values):.1f}{spread}")
            columns.append(f"{set_name} {' / '.join(cells)}")
        print(f"{name:28s} {'   '.join(columns)}", flush=True)

    show("plain CLIP", [None])
    recipes = {text: _recipe(text) for text in tries}
    for text, recipe in recipes.items():
        show(f"head {text}", list(trained_heads(faces, targets, scale, recipe)))
    if not controls:
        return
    recipe = recipes[tries[-1]]
    order = np.random.default_rng(0).permutation(len(targets))
    show("targets shuffled", list(trained_heads(faces, targets[order], scale, recipe)))
    for name, instruction in (("no instruction", ""), ("appearance", APPEARANCE), ("background", BACKGROUND)):
        other = blip2_features(folder / "blip2", train, instruction)
        show(f"instruction: {name}", list(trained_heads(faces, other, scale, recipe)))
    untrained = [np.random.default_rng(seed).standard_normal((targets.shape[1], faces.shape[1])) for seed in SEEDS]
    show("untrained head", untrained)


def _recipe(text: str) -> ContrastiveSettings:
    """The settings that `lr,epochs,batch size` stands for."""
    rate, epochs, batch = text.split(",")
    return ContrastiveSettings(lr=float(rate), epochs=int(epochs), batch_size=int(batch), seeds=SEEDS)


def _sets(first_seed: int) -> dict[str, DemoSetSettings]:
    return {
        "clean": DemoSetSettings(count=1400, seed=first_seed),
        "grey": DemoSetSettings(count=1400, seed=first_seed + 1, style="grey"),
        "occluded": DemoSetSettings(count=1400, seed=first_seed + 2, style="occluded"),
        "drawing": DemoSetSettings(count=1400, seed=first_seed + 3, style="drawing"),
        "clips": DemoSetSettings(count=700, seed=first_seed + 4, kind="clips"),
    }


def _line(scores: dict[str, float]) -> str:
    return "   ".join(f"{name} {score:.1f}" for name, score in scores.items())


if __name__ == "__main__":
    typer.run(main)
