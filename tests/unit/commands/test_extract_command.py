"""`expclip-cache extract` of images and targets of a folder of photos, and a head trained on them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from expclip_cache.datasets import build_manifest, write_manifest

IMAGES = 24


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """photos/ with two folders of images, one of which cannot be read."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        folder = Path("photos", ("happy", "sad")[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{number:02}.png")
    Path("photos/sad/broken.jpg").write_text("no image")
    return Path("photos")


def run(*words: str, fails: bool = False) -> str:
    result = CliRunner().invoke(app, words)
    assert (result.exit_code == 1) is fails, result.output
    return " ".join(result.output.split())


def extract(out: str, *words: str, fails: bool = False) -> str:
    return run("extract", "photos", out, "--workers", "0", *words, fails=fails)


TRAIN = ("train", "img", "head.safetensors", "--targets", "llm", "--batch-size", "8", "--epochs", "1")


@pytest.mark.slow
def test_a_head_for_a_folder_of_photos(photos):
    """Labels in one extraction alone do not matter, nor an unreadable image; a new one does until both have it."""
    extract("img", "--layout", "image-folders")
    extract("llm", "--encoder", "llm")
    assert f"on {IMAGES} images" in run(*TRAIN)
    shutil.copy(photos / "sad/01.png", photos / "sad/new.png")
    extract("llm", "--encoder", "llm", "--on-mismatch", "replace")
    failure = run(*TRAIN, fails=True)
    assert "only llm has 'sad/new.png'. Make img again from the images of llm" in failure
    assert "--manifest llm/manifest.arrow --on-mismatch replace" in failure
    extract("img", "--manifest", "llm/manifest.arrow", "--on-mismatch", "replace")
    assert f"on {IMAGES + 1} images" in run(*TRAIN)


def test_a_list_needs_no_layout(photos):
    write_manifest(build_manifest(photos), Path("list.arrow"))
    failure = extract("img", "--manifest", "list.arrow", "--layout", "image-folders", fails=True)
    assert "--layout says how to list a folder, but --manifest is a list; remove one." in failure


def test_a_list_with_boxes_is_not_cropped_again(photos):
    whole = build_manifest(photos)
    rows = tuple(replace(row, boxes=((0, 0, 9, 9),)) for row in whole.rows)
    write_manifest(replace(whole, rows=rows), Path("list.arrow"))
    failure = extract("img", "--manifest", "list.arrow", "--crops", "boxes.jsonl", fails=True)
    assert "--crops: the images of list.arrow are cropped already; remove --crops." in failure
    assert not Path("boxes.jsonl").exists()


def test_what_is_no_list_is_refused_and_kept(photos):
    failure = extract("img", "--manifest", "photos/sad/broken.jpg", fails=True)
    assert "photos/sad/broken.jpg: is not a manifest" in failure
    assert "Delete" not in failure
