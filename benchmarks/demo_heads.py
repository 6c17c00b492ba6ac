"""Contrastive heads, ridge heads and controls side by side: python -m benchmarks.demo_heads [--path | --recipes].

Reads the caches that `dvc repro` made for the params.yaml of the current folder, and encodes the training faces again
for each control instruction. `--path` prints held-out loss and scores for every lambda instead, `--recipes` contrastive
heads with twenty settings. Use both with a params.yaml whose test sets are validation sets: nothing may be chosen on
test sets.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from expclip_cache.base import TerminalReporter
from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.datasets import dataset_root, read_manifest
from expclip_cache.extraction import llm_job
from expclip_cache.heads import (
    ContrastiveSettings,
    HeldOutLosses,
    Moments,
    RidgePath,
    RidgeSettings,
    choose_lambda,
    even_batches,
    held_out_losses,
    is_held_out,
    stack_heads,
    train_heads,
)
from expclip_cache.prompts import prompt_table
from expclip_cache.scoring import PromptIndex, confusion, embeddings_by_text, uar
from expclip_cache.settings import (
    Settings,
    image_features,
    load_settings,
    manifest_file,
    prompt_features,
    target_draws,
)

BACKBONE, TEACHER, PROMPTS = "demo-clip", "demo-llm", "reference"
"""The names that configs/demo.yaml gives them."""

CONTROLS = {
    "appearance": "Please describe the appearance of the person in the image.",
    "background": "Please describe the background of the image.",
}


@dataclass(frozen=True)
class TestSet:
    """A labelled set and the prompts of its classes.

    Attributes:
        features: (n, d) float32.
        truth: (n,) classes.
        texts: prompt type -> (p, d) embeddings and the (p,) class of each.
        classes: c, the number of classes.
    """

    features: np.ndarray
    truth: np.ndarray
    texts: dict[int, tuple[np.ndarray, np.ndarray]]
    classes: int

    def uar(self, kind: int, head: np.ndarray | None) -> float:
        """UAR in percent."""
        found = PromptIndex(*self.texts[kind], head).classify(self.features)
        return float(uar(confusion(self.truth, found, self.classes)))


def fits_of(params: Settings) -> tuple[ContrastiveSettings, RidgeSettings]:
    """The demo's two heads."""
    contrastive, ridge = params.heads["contrastive"], params.heads["ridge"]
    assert isinstance(contrastive, ContrastiveSettings)
    assert isinstance(ridge, RidgeSettings)
    return contrastive, ridge


def training_caches(params: Settings) -> tuple[FeatureCache, FeatureCache]:
    """Image features and targets of the training faces."""
    name = params.train.dataset
    (targets,) = target_draws(TEACHER, params.teachers[TEACHER], name)
    return FeatureCache(image_features(BACKBONE, name)), FeatureCache(targets)


def load_sets(params: Settings) -> dict[str, TestSet]:
    """The sets of `score.datasets`."""
    embeddings = embeddings_by_text(FeatureCache(prompt_features(BACKBONE)))
    sets = {}
    for name in params.score.datasets:
        cache = FeatureCache(image_features(BACKBONE, name))
        texts = {}
        for kind in params.prompts[PROMPTS].types:
            prompts = prompt_table(params.prompts[PROMPTS].set, [kind], cache.classes)
            owners = np.array([cache.classes.index(prompt.class_name) for prompt in prompts])
            texts[kind] = np.stack([embeddings[prompt.text] for prompt in prompts]), owners
        rows = cache.good_rows
        sets[name] = TestSet(cache[rows].astype(np.float32), cache.labels[rows], texts, len(cache.classes))
    return sets


def control_targets(params: Settings, instruction: str, out: Path) -> FeatureCache:
    """Targets of the training faces with another instruction; encoded only if the cache is missing."""
    from expclip_cache.extraction import run_job

    name, report = params.train.dataset, TerminalReporter()
    llm = params.teachers[TEACHER].model_copy(update={"instruction": instruction})
    manifest = read_manifest(manifest_file(name))
    job = llm_job(manifest, lambda: dataset_root(name, params.datasets[name], report), llm, out)
    finished = run_job(job, params.cache.model_copy(update={"on_mismatch": "replace"}), params.run, report)
    assert finished is not None
    return finished


def ridge_path(x: np.ndarray, y: np.ndarray, ridge: RidgeSettings, scale: float) -> tuple[RidgePath, HeldOutLosses]:
    """The ridge path for arrays and its held-out losses."""
    mask = is_held_out(np.arange(len(x)), ridge.held_out)
    moments = Moments(x.shape[1], y.shape[1])
    moments.add_rows(x[~mask], y[~mask])
    path = RidgePath(moments)
    batches = ((x[rows], y[rows]) for rows in even_batches(np.flatnonzero(mask), ridge.batch_size))
    return path, held_out_losses(path, ridge.lambdas, batches, scale)


def chosen_head(x: np.ndarray, y: np.ndarray, ridge: RidgeSettings, scale: float) -> tuple[np.ndarray, float]:
    """The ridge head that the rule chooses, and its lambda."""
    path, losses = ridge_path(x, y, ridge, scale)
    value = choose_lambda(losses, ridge.tolerance)
    return path.head(value), value


def fixed_head(x: np.ndarray, y: np.ndarray, value: float) -> np.ndarray:
    """The ridge head of one lambda, fitted on all rows."""
    moments = Moments(x.shape[1], y.shape[1])
    moments.add_rows(x, y)
    return RidgePath(moments).head(value)


class Table:
    """Prints UARs, one row per head and one column per set."""

    def __init__(self, sets: Mapping[str, TestSet], kinds: tuple[int, ...]):
        self.sets, self.kinds = sets, kinds
        names = [name.removeprefix("demo-") for name in sets]
        print(f"\n| faces | head | {' | '.join(names)} | mean |\n| --- | --- {'| --- ' * (len(names) + 1)}|")

    def row(self, faces: str, name: str, heads: Sequence[np.ndarray | None]) -> None:
        """One row: mean and standard deviation over the heads, for each prompt type."""
        scores = np.array([[[s.uar(kind, h) for kind in self.kinds] for s in self.sets.values()] for h in heads])
        cells = [
            " / ".join(_cell(scores[:, place, k]) for k in range(len(self.kinds))) for place in range(len(self.sets))
        ]
        mean = " / ".join(_cell(scores.mean(axis=1)[:, k]) for k in range(len(self.kinds)))
        print(f"| {faces} | {name} | {' | '.join(cells)} | {mean} |", flush=True)


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.1f}" + (f" ±{values.std(ddof=1):.1f}" if len(values) > 1 else "")


def compare(params: Settings, counts: list[int], skip: int) -> None:
    """All heads and controls, for each number of training faces."""
    (train, ridge), sets = fits_of(params), load_sets(params)
    images, action = training_caches(params)
    targets = {"action": action}
    for name, instruction in CONTROLS.items():
        targets[name] = control_targets(params, instruction, Path("features/controls") / name)
    scale, device = images.logit_scale, torch.device("cpu")
    rows = paired_rows(images, targets["action"])[skip:]
    order = np.random.default_rng(0).permutation(len(rows))
    table = Table(sets, params.prompts[PROMPTS].types)
    table.row("0", "plain CLIP", [None])
    for count in counts:
        part = rows[:count]
        x = images[part].astype(np.float32)
        shuffled = order[order < len(part)]
        ys = {name: cache[part].astype(np.float32) for name, cache in targets.items()}
        ys["shuffled"] = ys["action"][shuffled]
        faces = f"{len(part):,}"
        equal = train.model_copy(update={"epochs": round(train.epochs * len(rows) / len(part))})
        heads, value = {}, 0.0
        for name, y in ys.items():
            if name == "shuffled":
                # The rule refuses targets that do not follow from the images, so take the last teacher's lambda.
                table.row(faces, f"ridge {value:.2g}, {name} targets", [fixed_head(x, y, value)])
            else:
                heads[name], value = chosen_head(x, y, ridge, scale)
            if name == "action":
                table.row(faces, "contrastive, the recipe", list(train_heads(x, y, scale, train, device).weights))
                if equal != train:
                    many = list(train_heads(x, y, scale, equal, device).weights)
                    table.row(faces, f"contrastive, {equal.epochs} epochs", many)
                table.row(faces, "ridge 0.1, all faces", [fixed_head(x, y, 0.1)])
                table.row(faces, f"**ridge, rule ({value:.2g})**", [heads[name]])
                continue
            if name in CONTROLS:
                table.row(faces, f"ridge, rule ({value:.2g}), {name} targets", [heads[name]])
            if count == max(counts):
                control = list(train_heads(x, y, scale, train, device).weights)
                table.row(faces, f"contrastive, {name} targets", control)
        for other in CONTROLS:
            both = [heads["action"], heads[other]]
            table.row(faces, f"ridge, action + {other}", [stack_heads(both, [1.0, 1.0])])


def study(params: Settings, counts: list[int], skip: int) -> None:
    """Held-out loss and scores for every lambda, for each number of training faces."""
    (_, ridge), sets = fits_of(params), load_sets(params)
    images, targets = training_caches(params)
    scale, rows = images.logit_scale, paired_rows(images, targets)[skip:]
    for count in counts:
        x, y = (cache[rows[:count]].astype(np.float32) for cache in (images, targets))
        path, found = ridge_path(x, y, ridge, scale)
        rule = choose_lambda(found, ridge.tolerance)
        print(f"\n{len(x):,} faces; logit scale {found.logit_scale:.3g}, chance {found.chance:.3f} nats; ", end="")
        print(f"the rule (tolerance {ridge.tolerance:g}) takes {rule:.2g}\n")
        print("| lambda | held-out loss | share of the best gain | mean UAR, one prompt | ten prompts |\n", end="")
        print("| --- " * 5 + "|")
        best = found.chance - found.losses.min()
        for value, loss in zip(found.lambdas, found.losses, strict=True):
            head = path.head(value)
            means = [np.mean([s.uar(kind, head) for s in sets.values()]) for kind in params.prompts[PROMPTS].types]
            cells = " | ".join(f"{mean:.1f}" for mean in means)
            print(f"| {value:.2g} | {loss:.4f} | {(found.chance - loss) / best:.3f} | {cells} |")
        if count == counts[-1]:
            print_spectrum(path, sets)


def print_spectrum(path: RidgePath, sets: Mapping[str, TestSet]) -> None:
    """How much of the images and of the prompts lies in directions that images hardly use."""
    texts = np.concatenate([s.texts[kind][0] for s in sets.values() for kind in s.texts])
    low = path.values < 0.1 * path.mean_value
    of_images = path.values[low].sum() / path.values.sum()
    of_prompts = np.square(texts @ path.vectors)[:, low].sum() / np.square(texts).sum()
    print(f"\n{low.sum()} of {len(low)} directions have an eigenvalue below a tenth of the mean: they hold ", end="")
    print(f"{of_images:.1%} of the squared length of images, {of_prompts:.1%} of that of prompts")


def recipes(params: Settings, counts: list[int], skip: int) -> None:
    """Contrastive heads with twenty settings, and the ridge head, for each number of training faces."""
    (train, ridge), table = fits_of(params), Table(load_sets(params), params.prompts[PROMPTS].types)
    images, targets = training_caches(params)
    scale, rows = images.logit_scale, paired_rows(images, targets)[skip:]
    for count in counts:
        x, y = (cache[rows[:count]].astype(np.float32) for cache in (images, targets))
        head, value = chosen_head(x, y, ridge, scale)
        table.row(f"{len(x):,}", f"**ridge, rule ({value:.2g})**", [head])
        for lr, epochs, decay in product((0.01, 0.03, 0.1, 0.3, 1.0), (20, 60), (1e-4, 1e-2)):
            recipe = train.model_copy(update={"lr": lr, "epochs": epochs, "weight_decay": decay})
            heads = list(train_heads(x, y, scale, recipe, torch.device("cpu")).weights)
            table.row(f"{len(x):,}", f"lr {lr:g}, {epochs} epochs, weight decay {decay:g}", heads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--path", action="store_true", help="every lambda, for validation sets")
    choice.add_argument("--recipes", action="store_true", help="twenty contrastive settings, for validation sets")
    parser.add_argument(
        "--faces", type=int, nargs="+", default=[1_000, 3_000, 10_000], help="numbers of training faces"
    )
    parser.add_argument("--skip", type=int, default=0, help="skip the first faces")
    options = parser.parse_args()
    (study if options.path else recipes if options.recipes else compare)(load_settings(), options.faces, options.skip)


if __name__ == "__main__":
    main()
