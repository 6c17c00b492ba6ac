"""Sets beyond the paper's list, in the trees in which their makers ship them, in miniature: squares of noise."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from videos import write_video

ITEMS = {
    "jaffe": ["KA.AN1.39.tiff", "NE.SA2.41.tiff", "NA.SU1.7.tiff"],
    "kdef": ["KDEF/AF01/AF01AFS.JPG", "KDEF/BM12/BM12HAS.JPG"],
    "ferg-db": ["FERG_DB_256/aia/aia_joy/aia_joy_12.png", "FERG_DB_256/ray/ray_fear/ray_fear_1.png"],
    "sfew": [f"Val/Val_Aligned_Faces_new/Val_Aligned_Faces/{word}/a.png" for word in ("Sad", "Angry", "Happy")],
    "affectnet-plus": [f"human_annotated/validation_set/images/{number}.jpg" for number in (3, 17, 40)],
    "expw": ["crowd.jpg#0", "crowd.jpg#1", "one.jpg#0"],
    "ck-plus": ["cohn-kanade-images/S005/001/S005_001_00000003.png"],
    "oulu-casia": [f"OriginalImg/VL/Strong/P001/Anger/00{number}.jpeg" for number in (2, 3, 4)],
    "caer": ["test/Anger/0001.avi", "test/Sad/0001.avi"],
    "meld": ["output_repeated_splits_test/dia0_utt0.mp4", "output_repeated_splits_test/dia0_utt1.mp4"],
}
"""The items of each set, by the paths of their rows."""


def write_other_sets(data: Path) -> None:
    """Write each set to a folder of its name."""
    _write_images(data / "jaffe", [*ITEMS["jaffe"], "README.tiff"])
    _write_images(data / "kdef", [*ITEMS["kdef"], "KDEF/AF01/AF01AFHL.JPG", "KDEF/AF31/AF31V.JPG"])
    _write_images(data / "ferg-db", ITEMS["ferg-db"])
    _write_images(data / "sfew", [*ITEMS["sfew"], "Train/Train_Aligned_Faces/Sad/c.png"])
    _write_images(data / "affectnet-plus", ITEMS["affectnet-plus"])
    for item, label in zip(ITEMS["affectnet-plus"], (0, 1, 6), strict=True):
        file = data / "affectnet-plus" / item.replace("images", "annotations").replace(".jpg", ".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"human-label": label, "soft-label": [0.125] * 8, "subset": 0}))
    _write_images(data / "expw/image/origin", ["crowd.jpg", "one.jpg"])
    (data / "expw/label").mkdir()
    lines = ["crowd.jpg 0 2 3 20 20 9.5 3", "crowd.jpg 1 10 15 40 40 8.5 6", "one.jpg 0 0 0 40 40 99 0"]
    (data / "expw/label/label.lst").write_text("\n".join(lines) + "\n")
    frames = [f"cohn-kanade-images/S005/001/S005_001_{number:08}.png" for number in (1, 2, 3)]
    _write_images(data / "ck-plus", [*frames, "cohn-kanade-images/S006/001/S006_001_00000001.png"])
    (data / "ck-plus/Emotion/S005/001").mkdir(parents=True)
    (data / "ck-plus/Emotion/S005/001/S005_001_00000003_emotion.txt").write_text("   3.0000000e+00\n")
    _write_images(data / "oulu-casia", [f"OriginalImg/VL/Strong/P001/Anger/00{number}.jpeg" for number in range(5)])
    for name in ("caer", "meld"):
        for number, item in enumerate(ITEMS[name]):
            file = data / name / item
            file.parent.mkdir(parents=True, exist_ok=True)
            write_video(
                file, list(np.random.default_rng(number).integers(0, 256, (5 + 20 * number, 48, 48, 3), np.uint8))
            )
    (data / "meld/test_sent_emo.csv").write_bytes(
        b"Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\r\n"
        b'1,"Oh, that\x92s great!",A,joy,positive,0,0\r\n2,No.,B,neutral,neutral,0,1\r\n'
    )


def _write_images(root: Path, paths: Iterable[str]) -> None:
    random = np.random.default_rng(7)
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(root / path)
