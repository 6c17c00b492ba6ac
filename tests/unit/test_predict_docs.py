"""Every command and every line of Python in docs/predict.md run."""

import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.base.classes import CANONICAL
from expclip_cache.commands.app import app
from expclip_cache.faces.detector import can_find_faces
from expclip_cache.prediction.head_choice import DEMO_HEAD

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "tests/data/astronaut.jpg"
PAGE = (ROOT / "docs/predict.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.M | re.S)
COMMANDS = [line.removeprefix("uv run expclip-cache ") for line in "".join(BLOCKS).splitlines()]

PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_find_faces(), reason="needs dlib (the extra `face`)"),
]


@pytest.fixture(scope="module")
def folder_of_the_page(tmp_path_factory):
    """A folder with every file that the page names."""
    folder = tmp_path_factory.mktemp("photos")
    photo = Image.open(PHOTO)
    for name in ("photo.jpg", "group.jpg"):
        shutil.copy(PHOTO, folder / name)
    for name in ("holiday/day-1", "clips/a", "heads"):
        (folder / name).mkdir(parents=True)
    shutil.copy(PHOTO, folder / "holiday/day-1/a.jpg")
    photo.save(folder / "holiday/b.png")
    video = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, photo.size)
    for number in range(3):
        photo.save(folder / f"clips/a/{number}.jpg")
        video.write(np.asarray(photo)[:, :, ::-1])
    video.release()
    (folder / "my-prompts.yaml").write_text("classes:\n  calm: ['a calm face.']\n  tense: ['a tense face.']\n")
    shutil.copy(DEMO_HEAD, folder / "heads/seed-1.safetensors")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_runs(command, folder_of_the_page, monkeypatch):
    if re.search("exp-clip|laion|openai", command):
        pytest.skip("needs weights from the model hub")
    monkeypatch.chdir(folder_of_the_page)
    done = CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "%" in done.stdout or '"expclip"' in done.stdout


@pytest.mark.parametrize("block", PYTHON)
def test_a_block_of_python_runs(block, folder_of_the_page, monkeypatch, capsys):
    monkeypatch.chdir(folder_of_the_page)
    # There is no camera: the video takes its place.
    exec(block.replace("VideoCapture(0)", 'VideoCapture("clip.mp4")'), {})
    assert any(name in capsys.readouterr().out for name in CANONICAL[:7])


def test_the_shortest_program_has_three_lines():
    assert len(PYTHON[0].splitlines()) == 3
