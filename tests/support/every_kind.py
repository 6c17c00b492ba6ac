"""A study with a backbone of every kind side by side, all tiny and with random weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import tiny_encoders
from expclip_cache.datasets.roots import ROOTS_FILE
from expclip_cache.encoders import ClipSettings
from native_trees import write_shipped
from paper_study import words
from temporal_checkpoints import write_emoclip, write_emotionclip
from tiny_backbones import CLASSES, write_flava, write_siglip
from tiny_itc import write_blip2_itc, write_lavis_itc
from tiny_x_clip import write_x_clip

DRAWING = "pipeline/expclip_cache/demo/drawing"
DEFINITIONS = "pipeline/expclip_cache/datasets/definitions"

PUBLISHED = {
    "lavis-itc": "BLIP2",
    "flava": "FLAVA",
    "x-clip": "X-CLIP",
    "emoclip": "EmoCLIP",
    "emotionclip": "EmotionCLIP",
}
"""Backbone -> the published system that it stands for."""

ENCODED = ("demo-clip", "siglip", "flava", "x-clip", "blip2-itc", "lavis-itc", "emoclip-frames", "emotionclip-frames")
"""The backbones that run an encoder; `emoclip` and `emotionclip` pool the frames that two of these keep."""

WRITERS = {
    "siglip": write_siglip,
    "flava": write_flava,
    "x-clip": write_x_clip,
    "blip2-itc": write_blip2_itc,
    "lavis-itc": write_lavis_itc,
    "emoclip": write_emoclip,
    "emotionclip": write_emotionclip,
}


@contextmanager
def known_words() -> Iterator[None]:
    """The tiny tokenizers that are written meanwhile know the words of the prompts; later ones do not."""
    before = tiny_encoders.WORDS[:]
    # In place: other modules have the same list.
    tiny_encoders.WORDS[:] = list(dict.fromkeys([*before, *words(CLASSES)]))
    try:
        yield
    finally:
        tiny_encoders.WORDS[:] = before


def write_every_kind(folder: Path, roots: Path, items: int = 4) -> None:
    """Write params.yaml, the models, RAF-DB and AFEW as their makers ship them, and where these are.

    Args:
        folder: of the project.
        roots: of the two datasets.
        items: of each class in them.
    """
    with known_words():
        models = {name: write(folder / "models" / name) for name, write in WRITERS.items()}
    backbones: dict[str, dict[str, Any]] = {"demo-clip": {}}
    for name, model in models.items():
        entry = _set(model) | {"preprocess": "clip"}
        if name in ("emoclip", "emotionclip"):
            backbones[f"{name}-frames"] = {**entry, "pool": "none"}
            entry["pool"] = "temporal"
        elif name == "blip2-itc":
            entry["pool"] = "none"
        backbones[name] = entry | ({"published_as": PUBLISHED[name]} if name in PUBLISHED else {})
    tree = {
        "run": {"device": "cpu", "batch_size": 16, "workers": 0},
        "backbones": backbones,
        "teachers": {"demo-llm": {}},
        "cache": {"shard_rows": 32, "dtype": "float32", "on_mismatch": "replace"},
        "prompts": {
            "reference": {"types": [1, 2]},
            "words": {"set": "prompts/words.yaml", "backbones": ["emoclip-frames", "emoclip"]},
        },
        "train": {"dataset": "train"},
        "heads": {
            "contrastive": {"kind": "contrastive", "lr": 0.03, "epochs": 2, "batch_size": 20, "seeds": [1, 2]},
            "ridge": {"kind": "ridge", "choose": "fixed"},
        },
        "statistics": {"resamples": 500},
        "score": {"datasets": ["clean", "clips", "raf-db", "afew"]},
        "datasets": {
            "train": {"source": DRAWING, "draw": {"count": 60, "seed": 1, "labelled": False}, "labelled": False},
            "clean": {"source": DRAWING, "draw": {"count": 35, "seed": 2}},
            "clips": {"source": DRAWING, "draw": {"count": 21, "seed": 4, "kind": "clips"}, "frames": 8},
            "raf-db": {"source": f"{DEFINITIONS}/raf-db.yaml"},
            "afew": {"source": f"{DEFINITIONS}/afew.yaml", "frames": 8},
        },
    }
    for name in ("raf-db", "afew"):
        write_shipped(roots, name, items)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(tree, file)
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts/words.yaml").write_text('templates: ["a {a} face", "the face of {n}"]\n', encoding="utf-8")
    (folder / ROOTS_FILE).write_text("".join(f"{name}: {roots / name}\n" for name in ("raf-db", "afew")))


def _set(settings: ClipSettings) -> dict[str, Any]:
    return settings.model_dump(exclude_defaults=True)
