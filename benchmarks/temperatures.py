"""Can a temperature be found without labels? python -m benchmarks.temperatures.

Reads the features and heads that `dvc repro` made for configs/demo.yaml in the current folder, and draws 700 faces that
it shows in seven further ways. Every rule gives one temperature; the tables have the expected calibration error (ECE)
under it. docs/calibration.md describes the rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.optimize import brentq, minimize_scalar

from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.demo import DemoSetSettings, draw_items, plan_face
from expclip_cache.encoders import ClipSettings, load_clip, to_square
from expclip_cache.heads import is_held_out, read_head
from expclip_cache.prompts import Prompt, prompt_table
from expclip_cache.scoring import PromptIndex, embeddings_by_text, softmax_percent
from expclip_cache.settings import head_folder, image_features, load_settings, prompt_features, target_draws
from expclip_cache.statistics import calibration, fitted_temperature

BACKBONE, TEACHER, TRAINING = "demo-clip", "demo-llm", "demo-train"
"""The names that configs/demo.yaml gives them."""

DRAWN = DemoSetSettings(count=700, seed=901)
BATCH = 256
"""Of the contrastive loss, as in configs/demo.yaml."""

WAYS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), 3),
    "dark": lambda image: (image * 0.3).astype(np.uint8),
    "noisy": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 45, image.shape), 0, 255).astype(
        np.uint8
    ),
    "tilted": lambda image: _moved(image, cv2.getRotationMatrix2D((32, 32), 25, 1)),
    "nearer": lambda image: _moved(image, np.float32([[1.25, 0, -14], [0, 1.25, -2]])),
    "20 pixels": lambda image: cv2.resize(cv2.resize(image, (20, 20), interpolation=cv2.INTER_AREA), (64, 64)),
    "negative": lambda image: 255 - image,
}


def _moved(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(image, matrix, (64, 64), borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True, eq=False)
class Faces:
    """(n, d) features and (n,) true classes; the training faces have no classes."""

    features: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, eq=False)
class Study:
    """What the rules may look at, and what they are judged by.

    Attributes:
        training: unlabelled faces.
        targets: (n, t) the teacher's features of these.
        judged: name of a set -> its faces.
        table: the prompts of type 5.
        texts: (p, d) their embeddings.
        classes: c names.
        logit_scale: CLIP's.
        heads: name -> W (t, d), None for plain CLIP.
    """

    training: Faces
    targets: np.ndarray
    judged: Mapping[str, Faces]
    table: Sequence[Prompt]
    texts: np.ndarray
    classes: tuple[str, ...]
    logit_scale: float
    heads: Mapping[str, np.ndarray | None]

    def similarities(self, head: str, features: np.ndarray, prompts: slice = slice(None)) -> np.ndarray:
        """(n, c), with all prompts or every second one."""
        owners = np.array([self.classes.index(prompt.class_name) for prompt in self.table])
        return PromptIndex(self.texts[prompts], owners[prompts], self.heads[head]).similarities(features)


def read_study() -> Study:
    settings = load_settings()
    caches = {name: FeatureCache(image_features(BACKBONE, name)) for name in settings.score.datasets}
    first = next(iter(caches.values()))
    table = prompt_table("reference", (5,), first.classes)
    embeddings = embeddings_by_text(FeatureCache(prompt_features(BACKBONE)))
    images = FeatureCache(image_features(BACKBONE, TRAINING))
    (targets,) = (FeatureCache(folder) for folder in target_draws(TEACHER, settings.teachers[TEACHER], TRAINING))
    rows = paired_rows(images, targets)
    folder = head_folder(BACKBONE, TEACHER)
    contrastive = {
        f"contrastive {seed}": read_head(folder / f"contrastive/seed-{seed}.safetensors") for seed in range(1, 6)
    }
    return Study(
        training=Faces(images[rows].astype(np.float32), np.empty(0)),
        targets=targets[rows].astype(np.float32),
        judged={name: Faces(each[each.good_rows].astype(np.float32), each.labels[each.good_rows].astype(int))
                for name, each in caches.items()} | draw_further(first.classes),
        table=table,
        texts=np.stack([embeddings[prompt.text] for prompt in table]),
        classes=first.classes,
        logit_scale=first.logit_scale,
        heads={"CLIP": None, **contrastive, "ridge": read_head(folder / "ridge/closed-form.safetensors")},
    )  # fmt: skip


def draw_further(classes: tuple[str, ...]) -> dict[str, Faces]:
    """The same faces in every way, encoded."""
    encoder = load_clip(ClipSettings(), torch.device("cpu"))
    images = draw_items(DRAWN, range(DRAWN.count))[:, 0]
    truth = np.array([classes.index(plan_face(DRAWN.seed, item).expression) for item in range(DRAWN.count)])
    found = {}
    for name, way in WAYS.items():
        squares = np.stack([to_square(Image.fromarray(way(image)), encoder.preprocess) for image in images])
        found[name] = Faces(encoder.encode_images(torch.from_numpy(squares)).numpy(), truth)
    return found


def matching(similarities: np.ndarray, scale: float, share: float) -> float:
    """The temperature under which the mean confidence is a share of 1."""

    def excess(log: float) -> float:
        return float(softmax_percent(similarities, scale / np.exp(log)).max(axis=1).mean()) - 100 * share

    return float(np.exp(brentq(excess, -9, 6)))


def agreement(answers: Sequence[np.ndarray]) -> float:
    """How often two of several predictors give the same class, on average over the pairs."""
    return float(np.mean([(a.argmax(axis=1) == b.argmax(axis=1)).mean() for a, b in combinations(answers, 2)]))


def retrieval_loss(study: Study, head: str) -> float:
    """The temperature under which the held-out contrastive loss between images and targets is lowest."""
    weights = study.heads[head]
    assert weights is not None
    kept = is_held_out(np.arange(len(study.targets)), 0.1)
    images, targets = study.training.features[kept] @ weights.T, study.targets[kept]
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (images, targets)]
    batches = [unit[0][k : k + BATCH] @ unit[1][k : k + BATCH].T for k in range(0, len(images), BATCH)]

    def loss(log: float) -> float:
        return sum(
            calibration(softmax_percent(part, study.logit_scale / np.exp(log)), np.arange(len(part))).nll
            for batch in batches
            for part in (batch, batch.T)
        )

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4)).x))


def rules(study: Study, head: str) -> dict[str, float]:
    """Temperatures without labels, from training faces."""
    features, scale = study.training.features, study.logit_scale
    own = study.similarities(head, features)
    halves = [study.similarities(head, features, slice(start, None, 2)) for start in (0, 1)]
    found = {"none": 1.0, "halves of the prompts agree": matching(own, scale, agreement(halves))}
    if head == "CLIP":
        return found
    of_kind = {name: study.similarities(name, features) for name in study.heads if name != "CLIP"}
    if head != "ridge":
        seeds = [each for name, each in of_kind.items() if name != "ridge"]
        found["seeds agree"] = matching(own, scale, agreement(seeds))
    kinds = [agreement([of_kind["ridge"], each]) for name, each in of_kind.items() if name != "ridge"]
    found["kinds of head agree"] = matching(own, scale, float(np.mean(kinds)))
    teacher = _teacher_similarities(study, head)
    found["head agrees with teacher"] = matching(own, scale, agreement([own, teacher]))
    found["teacher's answers as labels"] = fitted_temperature(own, scale, teacher.argmax(axis=1))
    found["held-out contrastive loss"] = retrieval_loss(study, head)
    return found


def _teacher_similarities(study: Study, head: str) -> np.ndarray:
    """(n, c) of the teacher's own features to the prompts that the head projects."""
    weights = study.heads[head]
    assert weights is not None
    texts = study.texts @ weights.T
    owners = np.array([study.classes.index(prompt.class_name) for prompt in study.table])
    return PromptIndex(texts, owners).similarities(study.targets)


def error(study: Study, head: str, faces: Faces, temperature: float) -> float:
    percent = softmax_percent(study.similarities(head, faces.features), study.logit_scale / temperature)
    return calibration(percent, faces.truth).ece


def fitted_on(study: Study, head: str, names: Sequence[str]) -> float:
    faces = [study.judged[name] for name in names]
    similarities = np.concatenate([study.similarities(head, each.features) for each in faces])
    return fitted_temperature(similarities, study.logit_scale, np.concatenate([each.truth for each in faces]))


def half(faces: Faces, start: int) -> Faces:
    return Faces(faces.features[start::2], faces.truth[start::2])


def of_own_half(study: Study, head: str, faces: Faces) -> float:
    """The error on one half of a set with a temperature fitted to the labels of the other half."""
    errors = []
    for start in (0, 1):
        other = half(faces, 1 - start)
        temperature = fitted_temperature(study.similarities(head, other.features), study.logit_scale, other.truth)
        errors.append(error(study, head, half(faces, start), temperature))
    return float(np.mean(errors))


def table_of(study: Study, heads: Sequence[str], title: str) -> None:
    """Print the mean over some heads of the error under every rule."""
    drawn = [name for name in study.judged if name not in WAYS]
    rows: dict[str, list[tuple[float, list[float]]]] = {}
    for head in heads:
        for rule, temperature in rules(study, head).items():
            errors = [error(study, head, faces, temperature) for faces in study.judged.values()]
            rows.setdefault(rule, []).append((temperature, errors))
        others = {name: fitted_on(study, head, [each for each in drawn if each != name]) for name in study.judged}
        errors = [error(study, head, faces, others[name]) for name, faces in study.judged.items()]
        rows.setdefault("labels of the other demo sets", []).append((float(np.mean(list(others.values()))), errors))
        errors = [of_own_half(study, head, faces) for faces in study.judged.values()]
        rows.setdefault("labels of the other half of the set", []).append((float("nan"), errors))
    print(f"\n### {title}\n\n| temperature from | is | ECE | {' | '.join(study.judged)} |")
    print(f"| --- | --- | --- | {' | '.join('---' for _ in study.judged)} |")
    for rule, found in rows.items():
        temperature = np.mean([one for one, _ in found])
        errors = np.mean([each for _, each in found], axis=0)
        shown = "-" if np.isnan(temperature) else f"{temperature:.2f}"
        print(f"| {rule} | {shown} | {errors.mean():.1f} | {' | '.join(f'{each:.1f}' for each in errors)} |")


def main() -> None:
    study = read_study()
    contrastive = [name for name in study.heads if name.startswith("contrastive")]
    table_of(study, ["CLIP"], "Plain CLIP")
    table_of(study, contrastive, "Contrastive heads, mean over five seeds")
    table_of(study, ["ridge"], "Ridge head")


if __name__ == "__main__":
    main()
