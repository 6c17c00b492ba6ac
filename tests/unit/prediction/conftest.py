"""The demo encoder with a random head that names it, and drawn faces."""

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.cache.format import Identity
from expclip_cache.commands.app import app
from expclip_cache.demo.drawing.sets import draw_items
from expclip_cache.demo.settings import DemoSetSettings
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.origin import CLIP, clip_of
from expclip_cache.prediction.predictor import Predictor


@pytest.fixture(scope="session")
def encoder():
    return load_clip(ClipSettings(), torch.device("cpu"))


@pytest.fixture(scope="session")
def head(tmp_path_factory, encoder):
    file = tmp_path_factory.mktemp("head") / "head.safetensors"
    clip = clip_of(Identity(ClipSettings().image_settings(), encoder.describe()))
    write_head(file, np.random.default_rng(5).standard_normal((192, encoder.width), dtype=np.float32), {CLIP: clip})
    return file


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for number in range(6):
        Image.fromarray(draw_items(DemoSetSettings(count=6, seed=9), [number])[0, 0]).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def predictor(head):
    return Predictor(head=head, crop=False)


@pytest.fixture
def run(head):
    def command(*arguments: object, crop: str = "--no-crop"):
        given = ["predict", "--head", str(head), "--device", "cpu", crop, *map(str, arguments)]
        return CliRunner().invoke(app, given, catch_exceptions=False)

    return command
