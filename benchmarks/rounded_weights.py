"""What `export-model --int8` changes on the demo's test sets: python -m benchmarks.rounded_weights.

Draws the test sets of configs/demo.yaml, encodes them with the exported image tower in float32 and with --int8, and
scores both with the packaged head and without one, under prompt type 5.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.measure import timed_in_turn
from expclip_cache.datasets import sample_indices
from expclip_cache.demo import FRAMES, DemoSetSettings, draw_items, plan_face
from expclip_cache.encoders import ClipSettings, load_clip
from expclip_cache.export import export_features
from expclip_cache.heads import read_head
from expclip_cache.prediction import classes_of, prompts_from
from expclip_cache.prediction.head_choice import DEMO_HEAD
from expclip_cache.scoring import PromptIndex, confusion, uar
from expclip_cache.settings import load_settings

BLOCK = 70
"""Items encoded at once, all their frames together."""

CLIP_FRAMES = 16
"""Frames sampled from a clip, as in configs/demo.yaml."""


class Tower:
    """An exported image tower."""

    def __init__(self, file: Path):
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        self.megabytes = file.stat().st_size / 1e6

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """(b, 3, 64, 64) uint8 -> (b, d) float32."""
        (features,) = self.session.run(None, {"pixels": pixels})
        return np.asarray(features)


def blocks_of_pixels(settings: DemoSetSettings) -> Iterator[np.ndarray]:
    """(b, f, 3, 64, 64) uint8, a block of items at a time."""
    frames = sample_indices(FRAMES, CLIP_FRAMES, "edge") if settings.kind == "clips" else [0]
    for start in range(0, settings.count, BLOCK):
        drawn = draw_items(settings, range(start, min(start + BLOCK, settings.count)))
        yield np.ascontiguousarray(drawn[:, frames].transpose(0, 1, 4, 2, 3))


def mean_features(settings: DemoSetSettings, towers: list[Tower]) -> list[np.ndarray]:
    """(n, d) features for each tower, those of a clip averaged over its frames."""
    parts = [[] for _ in towers]
    for pixels in blocks_of_pixels(settings):
        items, frames = pixels.shape[:2]
        for tower, part in zip(towers, parts, strict=True):
            part.append(tower(pixels.reshape(-1, *pixels.shape[2:])).reshape(items, frames, -1).mean(axis=1))
    return [np.concatenate(part) for part in parts]


def main() -> None:
    clip = ClipSettings()
    with tempfile.TemporaryDirectory() as folder:
        towers = []
        for int8 in (False, True):
            file = Path(folder) / f"{int8}.onnx"
            export_features(file, clip, int8)
            towers.append(Tower(file))
    table = prompts_from(None)
    classes, owners = classes_of(table)
    texts = load_clip(clip, torch.device("cpu")).encode_texts([prompt.text for prompt in table]).numpy()
    heads = {"plain CLIP": None, "with the head": read_head(DEMO_HEAD)}
    print("\n| test set | | float32 | int8 | change | same class | cosine of features, lowest |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, dataset in load_settings(Path("configs/demo.yaml")).datasets.items():
        if dataset.draw is None or not dataset.draw.labelled:
            continue
        truth = np.array([classes.index(plan_face(dataset.draw.seed, k).expression) for k in range(dataset.draw.count)])
        exact, rounded = mean_features(dataset.draw, towers)
        cosines = np.sum(exact * rounded, axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
        for system, head in heads.items():
            index = PromptIndex(texts, owners, head)
            found = [index.classify(features) for features in (exact, rounded)]
            before, after = (float(uar(confusion(truth, guess, len(classes)))) for guess in found)
            same = 100 * np.mean(found[0] == found[1])
            cells = f"{before:.1f} | {after:.1f} | {after - before:+.1f} | {same:.1f} % | {cosines.min():.4f}"
            print(f"| {name} | {system} | {cells} |", flush=True)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, 64, 64), dtype=np.uint8)
    times = timed_in_turn(*(lambda tower=tower: tower(pixels) for tower in towers), repeats=5)
    for kind, tower, seconds in zip(("float32", "int8"), towers, times, strict=True):
        print(f"\nimage tower in {kind}: {tower.megabytes:.1f} MB, {len(pixels) / seconds:.0f} images a second")


if __name__ == "__main__":
    main()
