"""Every benchmark in its authors' layout, in miniature: native folder names, native numbers, images of noise.

The meaning of each native word is transcribed here independently; nothing is taken from the definitions.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from videos import moving_frames, write_video

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

WORDS = {
    "dfew": (".Happy", ".Sad", ".Neutral", ".Angry", ".Surprise", ".Disgust", ".Fear"),
    "ferv39k": ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"),
    "mafw": ELEVEN,
    "caer": ("Happy", "Sad", "Neutral", "Anger", "Surprise", "Disgust", "Fear"),
    "afew": ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"),
}
"""How the makers of the video datasets call the classes, in canonical order; DFEW numbers them from 1."""

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


def write_shipped(root: Path, name: str, items: int = 2) -> dict[int | None, Truth]:
    """Write one dataset to `root`/`name` as its makers ship it.

    Args:
        name: `raf-db`, `affectnet`, `affectnet-csv` (its first release), `ferplus-csv`, `caer`, a key of LISTED, or
            `afew-videos` or `mafw-videos`, with videos in place of folders of frames.
        items: per class; for a dataset with folds, per class and fold.

    Returns:
        As `write_dataset`.
    """
    random = np.random.default_rng(sum(name.encode()))
    write = {
        "raf-db": _ship_raf_db,
        "affectnet": _ship_affectnet,
        "affectnet-csv": _ship_affectnet_csv,
        "ferplus-csv": _ship_ferplus,
        "caer": _ship_caer,
    }.get(name)
    return {None: write(root / name, items, random)} if write else _ship_clips(root / name, name, items, random)


def _ship_raf_db(root: Path, items: int, random: np.random.Generator) -> Truth:
    """One list and one folder for both splits."""
    truth, lines, trained = {}, [], []
    for number, class_name in dict(pair.split("=") for pair in FOLDERS["raf-db"].split()).items():
        for item in range(items):
            stem = f"{int(number) * 100 + item:04}"
            lines += [f"train_0{stem}.jpg {number}", f"test_{stem}.jpg {number}"]
            trained.append(f"Image/aligned/train_0{stem}_aligned.jpg")
            truth[f"Image/aligned/test_{stem}_aligned.jpg"] = class_name
    _write_images(root, [*truth, *trained], random)
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return truth


def _ship_affectnet(root: Path, items: int, random: np.random.Generator) -> Truth:
    """An array with one text for each image, beside those with valence, arousal and landmarks; ids have gaps."""
    truth = {}
    (root / "val_set/annotations").mkdir(parents=True)
    for word, class_name in dict(pair.split("=") for pair in FOLDERS["affectnet"].split()).items():
        for item in range(items):
            number = 7 * item + 100 * int(word)
            for kind, value in {"exp": np.array(word), "val": np.array("-0.2"), "lnd": np.zeros(136)}.items():
                np.save(root / f"val_set/annotations/{number}_{kind}.npy", value)
            truth[f"val_set/images/{number}.jpg"] = class_name
    _write_images(root, truth, random)
    return truth


def _ship_affectnet_csv(root: Path, items: int, random: np.random.Generator) -> Truth:
    """A table with a box for each image, and images in numbered folders; 8 none, 9 uncertain and 10 no face."""
    truth, others = {}, []
    lines = ["subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"]
    class_of = dict(pair.split("=") for pair in FOLDERS["affectnet"].split())
    for word in [*class_of, "8", "9", "10"]:
        for item in range(items):
            name = f"{100 + item}/{int(word):02}{random.bytes(13).hex()}.jpg"
            box = "NULL,NULL,NULL,NULL" if word == "10" else "3,2,24,25"
            lines.append(f"{name},{box},3.5;4.25;9.0;11.75,{word},-0.015873,0.325397")
            if word in class_of:
                truth[f"Manually_Annotated_Images/{name}"] = class_of[word]
            else:
                others.append(f"Manually_Annotated_Images/{name}")
    _write_images(root, [*truth, *others], random)
    (root / "Manually_Annotated_file_lists").mkdir()
    (root / "Manually_Annotated_file_lists/validation.csv").write_text("\n".join(lines) + "\n")
    (root / "Manually_Annotated_file_lists/training.csv").write_text(lines[0] + "\n1/a.jpg,0,0,9,9,1;1,1,0,0\n")
    return truth


def _ship_caer(root: Path, items: int, random: np.random.Generator) -> Truth:
    """Videos of 18 frames, whose names begin again in each class."""
    truth = {}
    for split in ("train", "validation", "test"):
        for word, class_name in zip(WORDS["caer"], SEVEN, strict=True):
            for item in range(1, (items if split == "test" else 1) + 1):
                path = f"{split}/{word}/{item:04}.avi"
                _write_video(root / path, 18, random)
                if split == "test":
                    truth[path] = class_name
    return truth


def _ship_ferplus(root: Path, items: int, random: np.random.Generator) -> Truth:
    """Ten votes and a box for each image, without a header; some images have no majority, or none for a class."""
    truth, lines = {}, []
    undecided = [{"anger": 5, "fear": 5}, {"NF": 10}, {"unknown": 6, "anger": 2, "fear": 2}]
    decided = [{name: 6, "NF": 2, "unknown": 1, "fear" if name != "fear" else "anger": 1} for name in EIGHT * items]
    for number, votes in enumerate(decided + undecided):
        name = f"fer{32220 + number:07}.png"
        counts = [str(votes.get(column, 0)) for column in VOTE_COLUMNS]
        lines.append(f'{name},"(0, 0, 48, 48)",{",".join(counts)}')
        if number < len(decided):
            truth[f"data/FER2013Test/{name}"] = (EIGHT * items)[number]
    _write_images(root, truth, random)
    (root / "data/FER2013Test/label.csv").write_text("\n".join(lines) + "\n")
    return truth


def _ship_clips(root: Path, name: str, items: int, random: np.random.Generator) -> dict[int | None, Truth]:
    """Clips of 3 and 18 frames in turn, in the folders, with the lists and by the names that the makers chose."""
    truths: dict[int | None, Truth] = {}
    videos, name = name.endswith("-videos"), name.removesuffix("-videos")
    number = 0
    for fold in range(1, 6) if "{fold}" in LISTED[name][0] else [None]:
        truth, lines = {}, []
        for label, (word, class_name) in enumerate(zip(WORDS[name], LISTED[name][2], strict=True)):
            for _ in range(items):
                number += 1
                folder, line, frame = {
                    "dfew": (f"Clip/clip_224x224/{number:05}", f"{number},{label + 1}", "{}.jpg"),
                    "ferv39k": (
                        f"2_ClipsforFaceCrop/Daily/{word}/{number:04}",
                        f"Daily/{word}/{number:04} {word}",
                        "{:03}.jpg",
                    ),
                    "mafw": (f"data/frames/{number:05}", f"{number:05}.mp4 {word}", "{:04}.png"),
                    "afew": (f"Val_AFEW/{word}/{number:09}", "", "{:05}.jpg"),
                }[name]
                frames = (3, 18)[number % 2]
                if videos:
                    folder = f"data/clips/{number:05}.mp4" if name == "mafw" else f"{folder}.avi"
                    _write_video(root / folder, frames, random)
                else:
                    _write_images(root / folder, [frame.format(k) for k in range(1, frames + 1)], random)
                lines.append(line)
                truth[folder] = class_name
        header = ["video_name,label"] if name == "dfew" else []
        if name != "afew":
            file = {
                "dfew": f"EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv",
                "ferv39k": "4_setups/All_scenes/test_All.csv",
                "mafw": f"Train & Test Set/single/no_caption/set_{fold}/test.txt",
            }[name]
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes("\r\n".join([*header, *lines, ""]).encode())
        truths[fold] = truth
    return truths


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


def _write_video(path: Path, frames: int, random: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, moving_frames(frames, int(random.integers(1 << 30)), 32, 32))
