"""Every benchmark in its authors' layout, in miniature: native folder names, native numbers, images of noise.

The meaning of each native word is transcribed here independently; nothing is taken from the definitions.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

SEVEN = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
EIGHT = (*SEVEN, "contempt")
ELEVEN = (*EIGHT, "anxiety", "helplessness", "disappointment")
FOLDERS = {
    "caer-s": "Anger=anger Disgust=disgust Fear=fear Happy=happiness Neutral=neutral Sad=sadness Surprise=surprise",
    "raf-db": "1=surprise 2=fear 3=disgust 4=happiness 5=sadness 6=anger 7=neutral",
    "affectnet": "0=neutral 1=happiness 2=sadness 3=surprise 4=fear 5=disgust 6=anger 7=contempt",
    "ferplus": "neutral=neutral happiness=happiness surprise=surprise sadness=sadness anger=anger disgust=disgust "
    "fear=fear contempt=contempt",
    "fer2013": "angry=anger disgust=disgust fear=fear happy=happiness neutral=neutral sad=sadness surprise=surprise",
}
VOTE_COLUMNS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
LISTED = {
    "dfew": ("DFEW_set_{fold}_test.txt", "/data/DFEW_Frame_Face/{number:05}", SEVEN),
    "mafw": ("MAFW_set_{fold}_test.txt", "/data/MAFW/data/faces/{number:05}", ELEVEN),
    "ferv39k": ("FERV39k_test.txt", "/data/FERV39k/2_ClipsforFaceCrop/Daily/Clip/{number:04}", SEVEN),
    "afew": ("AFEW_validation.txt", "/data/AFEW_Face/validation/Clip/{number:09}", SEVEN),
}
KEPT_PARTS = {"dfew": 1, "mafw": 1, "ferv39k": 3, "afew": 2}

Truth = dict[str, str]
"""Path of an item, relative to its root -> its class."""


def write_dataset(root: Path, name: str, items: int = 2) -> dict[int | None, Truth]:
    """Write one dataset to `root`/`name`.

    Args:
        name: a key of FOLDERS or LISTED, or `ferplus-csv`.
        items: per class; for a dataset with folds, per class and fold.

    Returns:
        Fold, or None for a dataset without folds -> the true classes of its test items.
    """
    random = np.random.default_rng(sum(name.encode()))
    if name in FOLDERS:
        class_of = dict(pair.split("=") for pair in FOLDERS[name].split())
        return {None: _write_folders(root / name, class_of, items, random)}
    if name == "ferplus-csv":
        return {None: _write_ferplus_csv(root / name, items, random)}
    return _write_clips(root / name, name, items, random)


def _write_folders(root: Path, class_of: Mapping[str, str], items: int, random: np.random.Generator) -> Truth:
    truth = {}
    for word, class_name in class_of.items():
        for item in range(items):
            truth[f"{word}/image_{item:04}.jpg"] = class_name
    _write_images(root, truth, random)
    return truth


def _write_ferplus_csv(root: Path, items: int, random: np.random.Generator) -> Truth:
    truth: Truth = {}
    lines = [["Usage", "Image name", *VOTE_COLUMNS]]
    for number, class_name in enumerate(EIGHT * items):
        votes = [8 if column == class_name else 0 for column in VOTE_COLUMNS]
        name = f"fer{number:07}.png"
        lines.append(["PrivateTest", name, *map(str, votes)])
        truth[f"FER2013Test/{name}"] = class_name
    _write_images(root, truth, random)
    (root / "fer2013new.csv").write_text("".join(f"{','.join(line)}\r\n" for line in lines))
    return truth


def _write_clips(root: Path, name: str, items: int, random: np.random.Generator) -> dict[int | None, Truth]:
    """Clips of 3 and 18 frames in turn; in every dataset the lists number classes in canonical order."""
    file, path, classes = LISTED[name]
    truths: dict[int | None, Truth] = {}
    number = 0
    for fold in range(1, 6) if "{fold}" in file else [None]:
        truth: Truth = {}
        lines = []
        for label, class_name in enumerate(classes):
            for _ in range(items):
                number += 1
                frames = (3, 18)[number % 2]
                listed = path.format(number=number)
                kept = "/".join(listed.split("/")[-KEPT_PARTS[name] :])
                _write_images(root / kept, [f"{frame:05}.jpg" for frame in range(1, frames + 1)], random)
                lines.append(f"{listed} {frames} {label}\n")
                truth[kept] = class_name
        (root / file.format(fold=fold)).write_text("".join(lines))
        truths[fold] = truth
    return truths


def _write_images(root: Path, paths: Iterable[str], random: np.random.Generator) -> None:
    """Images of noise, wider than they are high."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (30, 36, 3), dtype=np.uint8)).save(root / path)
