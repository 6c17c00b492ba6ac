"""Typical mistakes of a newcomer: one clear message, no traceback, exit code 1, nothing lost."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tiny_encoders import write_clip

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def run(prepared):
    """Runs a program without its imports."""

    def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
        program = [str(prepared.folder / command[0]), *command[1:]]
        return subprocess.run(program, cwd=cwd, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def extract(run):
    def extract(*arguments: str | Path) -> subprocess.CompletedProcess:
        return run("expclip-cache", "extract", *map(str, arguments))

    return extract


def assert_one_message(done: subprocess.CompletedProcess, *words: str) -> None:
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert "Traceback" not in output
    assert output.count("error:") == 1
    for word in words:
        assert word in output


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((30, 30, 3), 80 * number, dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip")).model


def test_a_missing_folder(extract, tmp_path):
    done = extract(tmp_path / "nowhere", tmp_path / "out")
    assert_one_message(done, "nowhere")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder(extract, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_one_message(extract(tmp_path / "empty", tmp_path / "out"), "empty", "no image")


def test_a_text_file_named_jpg(extract, tmp_path, model):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_text("hello")
    done = extract(tmp_path / "images", tmp_path / "out", "--model", model)
    assert_one_message(done, "a.jpg", "not one of its 1 rows could be read")


def test_a_text_file_among_images_is_skipped_and_recorded(extract, images, tmp_path, model):
    (images / "zz.jpg").write_text("hello")
    done = extract(images, tmp_path / "out", "--model", model)
    assert done.returncode == 0, done.stderr
    assert "1 of 4 rows could not be read" in done.stderr


def test_an_unknown_model(extract, images, tmp_path):
    done = extract(images, tmp_path / "out", "--model", "ViT-B-33", "--weights", "random")
    assert_one_message(done, "ViT-B-33", "ViT-B-32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_a_device(extract, images, tmp_path, model):
    done = extract(images, tmp_path / "out", "--model", model, "--device", "cuda")
    assert_one_message(done, "cuda", "no CUDA device")


def test_an_option_out_of_range(extract, images, tmp_path, model):
    done = extract(images, tmp_path / "out", "--model", model, "--precision", "fp8")
    assert_one_message(done, "precision", "'fp32', 'fp16' or 'bf16'", "fp8")


def test_other_settings_leave_a_finished_cache_unchanged(extract, images, tmp_path, model):
    assert extract(images, tmp_path / "out", "--model", model).returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[!.]*")}
    done = extract(images, tmp_path / "out", "--model", model, "--dtype", "float32")
    assert_one_message(done, "dtype differs: cached 'float16', requested 'float32'", "on_mismatch")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[!.]*")} == before


def test_an_unknown_key_in_params_yaml(run, tmp_path):
    text = (ROOT / "configs/demo.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("    lr:", "    learning_rate:"))
    done = run("python", str(ROOT / "stages/heads.py"), cwd=tmp_path)
    assert_one_message(done, "heads.contrastive.learning_rate: unknown key", "Known keys: ", "lr, momentum")


def test_training_before_encoding(run, tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "configs/demo.yaml").read_text())
    assert_one_message(run("python", str(ROOT / "stages/heads.py"), cwd=tmp_path), "is not a complete feature cache")
