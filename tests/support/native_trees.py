"""Every benchmark as its makers lay it out, in miniature: native folder names, native numbers, pictures of noise.

What each native word means is written out here a second time; nothing is taken from the definitions.
"""

from collections.abc import Iterable
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
"""Path of an item below its root -> its class."""


def plant(root: Path, name: str, items: int = 2) -> dict[int | None, Truth]:
    """Make one dataset under `root`/`name`.

    Args:
        name: a key of FOLDERS or LISTED, or `ferplus-csv`.
        items: of each class; of each class and fold where there are folds.

    Returns:
        Fold, or None -> the truth of its test items.
    """
    random = np.random.default_rng(sum(name.encode()))
    if name in FOLDERS:
        return {None: _folders(root / name, dict(pair.split("=") for pair in FOLDERS[name].split()), items, random)}
    if name == "ferplus-csv":
        return {None: _votes(root / name, items, random)}
    return _clips(root / name, name, items, random)


def _folders(root: Path, meaning: Truth, items: int, random: np.random.Generator) -> Truth:
    truth = {}
    for word, class_name in meaning.items():
        for item in range(items):
            truth[f"{word}/image_{item:04}.jpg"] = class_name
    return _pictures(root, truth, random)


def _votes(root: Path, items: int, random: np.random.Generator) -> Truth:
    truth, lines = {}, [["Usage", "Image name", *VOTE_COLUMNS]]
    for number, class_name in enumerate(EIGHT * items):
        votes = [8 if column == class_name else 0 for column in VOTE_COLUMNS]
        name = f"fer{number:07}.png"
        lines.append(["PrivateTest", name, *map(str, votes)])
        truth[f"FER2013Test/{name}"] = class_name
    _pictures(root, truth, random)
    (root / "fer2013new.csv").write_text("".join(f"{','.join(line)}\r\n" for line in lines))
    return truth


def _clips(root: Path, name: str, items: int, random: np.random.Generator) -> dict[int | None, Truth]:
    """Clips of 3 and of 18 frames in turn; the lists number classes in canonical order, in every set."""
    file, path, classes = LISTED[name]
    truths: dict[int | None, Truth] = {}
    number = 0
    for fold in range(1, 6) if "{fold}" in file else [None]:
        truth, lines = {}, []
        for label, class_name in enumerate(classes):
            for _ in range(items):
                number += 1
                frames = (3, 18)[number % 2]
                listed = path.format(number=number)
                kept = "/".join(listed.split("/")[-KEPT_PARTS[name] :])
                _pictures(root / kept, [f"{frame:05}.jpg" for frame in range(1, frames + 1)], random)
                lines.append(f"{listed} {frames} {label}\n")
                truth[kept] = class_name
        (root / file.format(fold=fold)).write_text("".join(lines))
        truths[fold] = truth
    return truths


def _pictures(root: Path, paths: Iterable[str], random: np.random.Generator):
    """Noise, wider than high."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (30, 36, 3), dtype=np.uint8)).save(root / path)
    return paths
