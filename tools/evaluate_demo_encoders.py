"""Measure a pair of demo encoders: plain CLIP, heads from each instruction's targets, own answers, linear probes.

    uv run python tools/evaluate_demo_encoders.py --sets validation --try 0.03,20 --try 0.1,20
    uv run python tools/evaluate_demo_encoders.py --sets test --controls

Settings are chosen on the validation sets (seeds 5001 to 5005); the test sets have the seeds in params.yaml.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from demo_answers import AnsweringBlip2
from demo_evaluation import (
    PROMPT_TYPES,
    blip2_features,
    clip_features,
    probe,
    ridge_head,
    trained_heads,
    truth,
    zero_shot,
)
from demo_instructions import HELD_OUT_QUESTION, INSTRUCTIONS, QUESTIONS
from demo_training_faces import SAMPLED_FRAMES, draw_pixels

from expclip_cache.demo import EXPRESSIONS, DemoSetSettings
from expclip_cache.heads import ContrastiveSettings, RidgeSettings
from expclip_cache.scoring import confusion, uar

FIRST_TEST_SEED = {"validation": 5001, "test": 201}
SEEDS = (1, 2, 3, 4, 5)


def main(
    folder: Annotated[Path, typer.Option(help="holds clip/ and blip2/")] = Path("pipeline/expclip_cache/demo"),
    sets: Annotated[str, typer.Option(help="validation or test")] = "validation",
    tries: Annotated[list[str], typer.Option("--try", help="lr,epochs of contrastive heads")] = ["0.03,20"],  # noqa: B006
    controls: Annotated[bool, typer.Option(help="also evaluate shuffled targets and untrained heads")] = False,
    threads: Annotated[int, typer.Option(help="CPU threads")] = 2,
) -> None:
    """Print UAR in percent, prompt type 2 / type 5: mean and standard deviation over five heads, and over the sets."""
    torch.set_num_threads(threads)
    pixels = {name: draw_pixels(settings) for name, settings in _sets(FIRST_TEST_SEED[sets]).items()}
    train = draw_pixels(DemoSetSettings(count=10_000, seed=101))
    images, texts, scale = clip_features(folder / "clip", {**pixels, "train": train}, clips=("clips",))
    faces = images.pop("train")
    main_instruction = INSTRUCTIONS["action"].main
    targets = blip2_features(folder / "blip2", train, main_instruction)
    stills = {name: part for name, part in pixels.items() if name != "clips"}
    states = {name: blip2_features(folder / "blip2", part, main_instruction) for name, part in stills.items()}
    print(f"linear probe, CLIP:   {_line(probe(faces, images))}")
    print(f"linear probe, BLIP-2: {_line(probe(targets, states))}")

    def show(name: str, heads: Sequence[np.ndarray | None]) -> None:
        columns, means = [], []
        for set_name, features in images.items():
            scores = [zero_shot(features, texts, head) for head in heads]
            cells = []
            for kind in PROMPT_TYPES:
                values = [score[kind] for score in scores]
                spread = f"±{np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
                cells.append(f"{np.mean(values):.1f}{spread}")
                means.append(np.mean(values))
            columns.append(f"{set_name} {' / '.join(cells)}")
        print(f"{name:34s} mean {np.mean(means):.1f}   {'   '.join(columns)}", flush=True)

    def show_heads(name: str, targets: np.ndarray) -> None:
        for text in tries:
            show(f"{name}, contrastive {text}", list(trained_heads(faces, targets, scale, _recipe(text))))
        show(f"{name}, ridge", list(ridge_head(faces, targets, scale, RidgeSettings())))

    show("plain CLIP", [None])
    for topic, wordings in INSTRUCTIONS.items():
        show_heads(topic, blip2_features(folder / "blip2", train, wordings.main))
        if wordings.held_out:
            show_heads(f"{topic}, new wording", blip2_features(folder / "blip2", train, wordings.held_out))
    answering = AnsweringBlip2(folder / "blip2")
    for name, question in (("own answer", QUESTIONS[0]), ("own answer, new wording", HELD_OUT_QUESTION)):
        scores = {}
        for set_name, part in pixels.items():
            frames = len(SAMPLED_FRAMES) if set_name == "clips" else 1
            chosen = answering.name_scores(part, question, frames).argmax(axis=1)
            scores[set_name] = float(uar(confusion(truth(len(chosen)), chosen, len(EXPRESSIONS))))
        print(f"{name:34s} mean {np.mean(list(scores.values())):.1f}   {_line(scores)}", flush=True)
    if controls:
        shuffled = targets[np.random.default_rng(0).permutation(len(targets))]
        show("targets shuffled, contrastive", list(trained_heads(faces, shuffled, scale, _recipe(tries[0]))))
        shape = targets.shape[1], faces.shape[1]
        show("untrained head", [np.random.default_rng(seed).standard_normal(shape) for seed in SEEDS])


def _recipe(text: str) -> ContrastiveSettings:
    """The settings that `lr,epochs` stands for."""
    rate, epochs = text.split(",")
    return ContrastiveSettings(lr=float(rate), epochs=int(epochs), batch_size=256, seeds=SEEDS)


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
