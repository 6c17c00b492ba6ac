"""Every command and the three lines of Python in docs/predict.md run."""

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
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.faces.detector import can_find_faces
from expclip_cache.heads.head_file import write_head

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "tests/data/astronaut.jpg"
PAGE = (ROOT / "docs/predict.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.M | re.S)
COMMANDS = [line.removeprefix("uv run expclip-cache ") for line in "".join(BLOCKS).splitlines()]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_find_faces(), reason="needs dlib (the extra `face`)"),
]


@pytest.fixture(scope="module")
def folder_of_the_page(tmp_path_factory):
    """A folder with every file that the page names."""
    folder = tmp_path_factory.mktemp("photos")
    photo = Image.open(PHOTO)
    shutil.copy(PHOTO, folder / "photo.jpg")
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
    import torch

    from expclip_cache.encoders.clip import load_clip

    width = load_clip(ClipSettings(), torch.device("cpu")).width
    head = np.random.default_rng(5).standard_normal((192, width), dtype=np.float32)
    write_head(folder / "heads/seed-1.safetensors", head, {})
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_runs(command, folder_of_the_page, monkeypatch):
    if "openai" in command:
        pytest.skip("needs weights from the model hub")
    monkeypatch.chdir(folder_of_the_page)
    done = CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "%" in done.stdout or '"expclip"' in done.stdout


def test_the_three_lines_of_python_run(folder_of_the_page, monkeypatch, capsys):
    (lines,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
    assert len(lines.splitlines()) == 3
    monkeypatch.chdir(folder_of_the_page)
    exec(lines, {})
    assert capsys.readouterr().out.strip() in CANONICAL[:7]
