"""Exported files run by onnxruntime give the answers of `Predictor` and of the encoder, and say what they are."""

import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from expclip_cache.base.errors import DataError, EncoderError
from expclip_cache.commands.app import app
from expclip_cache.demo.drawing.sets import draw_items
from expclip_cache.demo.settings import DemoSetSettings
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.preprocess import to_square
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.export import run as export_run
from expclip_cache.export.int8 import quantised
from expclip_cache.export.onnx_graph import refuse_disagreement, to_onnx
from expclip_cache.export.pixels_to_classes import EXACT
from expclip_cache.export.run import export_classifier, export_features
from expclip_cache.heads.head_file import write_head
from expclip_cache.prediction.head_choice import DEMO_HEAD
from expclip_cache.prediction.predictor import Predictor
from tiny_encoders import SIZE, random_pixels, write_clip

PAGE = (Path(__file__).parents[3] / "docs/export.md").read_text()
WORDS = "happiness, anger, a face in the image."
CPU = torch.device("cpu")


def run(file: Path, pixels: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(file).run(None, {"pixels": pixels})


def facts_of(file: Path) -> dict[str, str]:
    return onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map


def export(*arguments: object):
    return CliRunner().invoke(app, ["export-model", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The exported demo."""
    file = tmp_path_factory.mktemp("demo") / "new" / "model.onnx"
    done = export(file)
    assert done.exit_code == 0, done.output
    assert "drawn faces only" in done.output
    return file


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A vision transformer with random weights, normalised and cropped as CLIP was trained."""
    return write_clip(tmp_path_factory.mktemp("clip")).model_copy(update={"preprocess": "clip"})


@pytest.fixture(scope="module")
def plain(tmp_path_factory, clip):
    """That transformer, exported without a head."""
    file = tmp_path_factory.mktemp("plain") / "plain.onnx"
    words = WORDS.replace(",", ";")
    done = export(file, "--model", clip.model, "--preprocess", "clip", "--head", "none", "--prompts", words)
    assert done.exit_code == 0, done.output
    return file


@pytest.fixture(scope="module")
def features(tmp_path_factory, clip):
    """Its image tower alone."""
    file = tmp_path_factory.mktemp("features") / "features.onnx"
    export_features(file, clip)
    return file


def answers(predictor: Predictor, images: list[Path], kind: str) -> np.ndarray:
    """(n, c) probabilities by a predictor, in the order of its classes."""
    ranked = [dict(getattr(predictor(image).answers[0], kind)) for image in images]
    return np.array([[found[name] / 100 for name in predictor.classes] for found in ranked])


def squares(predictor: Predictor, images: list[Path]) -> np.ndarray:
    how = predictor._encoder.preprocess
    return np.stack([to_square(Image.open(image).convert("RGB"), how) for image in images])


def write_faces(folder: Path, count: int = 7) -> list[Path]:
    """Drawn faces, enlarged to an upright rectangle, so that there is something to resize and to crop."""
    files = [folder / f"{number}.png" for number in range(count)]
    drawn = draw_items(DemoSetSettings(count=count, seed=9), range(count))
    for file, (image,) in zip(files, drawn, strict=True):
        Image.fromarray(image).resize((90, 120)).save(file)
    return files


@pytest.mark.slow
def test_the_demo_answers_as_predictor_does(demo, tmp_path):
    predictor, faces = Predictor(crop=False), write_faces(tmp_path)
    probabilities, similarities = run(demo, squares(predictor, faces))
    np.testing.assert_allclose(probabilities, answers(predictor, faces, "expclip"), rtol=0, atol=1e-4)
    assert len(set(probabilities.argmax(axis=1))) > 3
    assert probabilities.shape == similarities.shape == (7, 7)
    logits = predictor._encoder.logit_scale * (similarities - similarities.max(axis=1, keepdims=True))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_transformer_with_random_weights_and_no_head_answers_as_plain_clip(plain, clip, tmp_path):
    write_head(tmp_path / "any.safetensors", np.ones((2, 24), dtype=np.float32), {})
    predictor = Predictor(clip, tmp_path / "any.safetensors", WORDS.split(", "), crop=False)
    faces = write_faces(tmp_path)
    probabilities, _ = run(plain, squares(predictor, faces))
    np.testing.assert_allclose(probabilities, answers(predictor, faces, "clip"), rtol=0, atol=1e-4)
    assert probabilities.std(axis=0).max() > 0.01


@pytest.mark.slow
def test_the_feature_extractor_gives_the_features_that_are_cached(features, clip):
    (found,) = run(features, random_pixels().numpy())
    expected = load_clip(clip, CPU).encode_images(random_pixels())
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-4)
    assert found.std() > 0.1
    assert "classes" not in facts_of(features)


@pytest.mark.slow
def test_int8_comes_close_on_every_processor_and_leaves_the_classes_exact(plain, tmp_path):
    """Signed weights would saturate on processors without VNNI, and differ by 0.06."""
    graph = quantised(onnx.load(plain), EXACT)
    onnx.save(graph, tmp_path / "int8.onnx")
    exact, rounded = (run(file, random_pixels(8).numpy())[1] for file in (plain, tmp_path / "int8.onnx"))
    assert 1e-5 < np.abs(rounded - exact).max() < 0.02
    kinds = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    matrices = [node.input[1] for node in graph.graph.node if node.op_type == "MatMulInteger"]
    assert len(matrices) == 2 * 4 + 1, "four in each of the two blocks, and the projection"
    assert {kinds[name] for name in matrices} == {onnx.TensorProto.UINT8}
    assert kinds["vectors"] == onnx.TensorProto.FLOAT


@pytest.mark.slow
def test_a_file_says_what_it_is(plain, demo, clip):
    facts = facts_of(plain)
    assert facts["made_by"].startswith("expclip-cache ")
    assert json.loads(facts["classes"]) == ["happiness", "anger", "a face in the image"]
    assert json.loads(facts["prompts"])[2] == ["a face in the image", "a face in the image."]
    assert facts["head"] == "none"
    assert json.loads(facts_of(demo)["head"])["sha256"] == sha256(DEMO_HEAD.read_bytes()).hexdigest()
    assert json.loads(facts["clip"])["model"] == clip.model
    how = json.loads(facts["preprocess"])
    assert (how["size"], how["resize"], how["interpolation"]) == (SIZE, "crop", "bicubic")
    assert f"(n, 3, {SIZE}, {SIZE})" in facts["input"]
    onnx.checker.check_model(onnx.load(plain), full_check=True)
    assert b".py" not in plain.read_bytes(), "names a source file of the machine that made it"


@pytest.mark.slow
def test_the_program_of_the_page_answers_without_torch_and_this_package(demo, tmp_path):
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
    (tmp_path / "model.onnx").write_bytes(demo.read_bytes())
    face = write_faces(tmp_path, 1)[0]
    Image.open(face).save(tmp_path / "face.jpg")
    absent = "import sys\nassert not {'torch', 'open_clip', 'expclip_cache'} & set(sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", program + absent], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = {name: float(percent.rstrip("%")) for name, percent in map(str.split, done.stdout.splitlines())}
    expected = dict(Predictor(crop=False)(tmp_path / "face.jpg").answers[0].expclip)
    assert found == pytest.approx(expected, abs=0.06)


@pytest.mark.slow
def test_a_file_whose_answers_differ_is_refused(features, clip):
    content = features.read_bytes()
    tower = load_clip(clip, CPU, packed=False).pixels_to_features
    assert refuse_disagreement(content, tower, SIZE) < 1e-5
    with torch.no_grad():
        tower.model.visual.proj *= 1.001
    with pytest.raises(EncoderError, match=r"differ from torch's by .* so nothing is written"):
        refuse_disagreement(content, tower, SIZE)


@pytest.mark.slow
def test_a_tower_that_torch_cannot_export_is_named(tmp_path):
    class Odd(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().mean((1, 2, 3)) if int(pixels.sum()) % 2 else pixels.float()

    with pytest.raises(EncoderError, match="cannot export this image tower"):
        to_onnx(Odd(), 8, ["features"])


def test_a_head_of_another_clip_is_refused(tmp_path):
    with pytest.raises(DataError, match="was fitted to features of another CLIP"):
        export_classifier(tmp_path / "model.onnx", ClipSettings(preprocess="clip"), DEMO_HEAD)
    assert not list(tmp_path.iterdir())


def test_a_tower_that_does_not_fit_into_one_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export_run, "MOST_BYTES", 1_000_000)
    with pytest.raises(EncoderError, match=r"image tower of demo has .* GB of weights"):
        export_features(tmp_path / "model.onnx", ClipSettings())


@pytest.mark.parametrize("words", [["--head", "none"], ["--prompts", "joy, anger"]])
def test_features_have_neither_head_nor_prompts(tmp_path, words):
    done = export(tmp_path / "model.onnx", "--features", *words)
    assert done.exit_code == 1
    assert f"{words[0]} has no effect on features" in done.output


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch, library):
    for name in [name for name in sys.modules if name.startswith("expclip_cache.export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    done = export(tmp_path / "model.onnx")
    assert done.exit_code == 1
    assert f"the library {library} is not installed" in done.output
    assert "pip install 'expclip-cache[onnx]'" in done.output
