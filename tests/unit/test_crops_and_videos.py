"""From archives of scenes, videos and boxes to the report: `init`, then every stage, with tiny encoders."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

import tiny_encoders
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.datasets.sampling import sample_indices
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.preprocess import to_square
from expclip_cache.faces.detector import FaceFinder, can_find_faces
from expclip_cache.scoring import read_score_file
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.paths import crop_file, image_features, score_file
from native_trees import ELEVEN, write_shipped
from other_sets import ITEMS, write_other_sets
from paper_study import run_stages, suit_tiny_encoders, words
from stages import crops, images, targets
from videos import read_with_opencv, write_video

ROOT = Path(__file__).parents[2]
PHOTO = Path(__file__).parents[1] / "data/astronaut.jpg"
WORDS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_find_faces(), reason="needs dlib (the extra `face`)"),
]


def scene(seed: int, wide: int, high: int) -> np.ndarray:
    """A head of 100 pixels somewhere in a dull scene, (high, wide, 3) uint8."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(90, 120, (high, wide, 3), dtype=np.uint8))
    head = Image.open(PHOTO).crop((140, 40, 300, 200)).resize((100, 100))
    image.paste(head, (int(random.integers(0, wide - 100)), int(random.integers(0, high - 100))))
    return np.asarray(image)


def write_archives(data: Path) -> None:
    """CAER-S as scenes, AFEW as videos, AffectNet's first release as whole photos with boxes in a table."""
    for number, word in enumerate(word.replace("Angry", "Anger") for word in WORDS * 2):
        file = data / f"CAER-S/train/{word}/{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(number, 400, 224)).save(file)
    for number, word in enumerate(WORDS):
        file = data / f"AFEW/Val_AFEW/{word}/{number:09}.avi"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_video(file, [scene(100 * number + frame // 3, 320, 176) for frame in range(18)])
    lines = ["subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"]
    random = np.random.default_rng(3)
    for number in range(14):
        name = f"{number % 3}/{number:05}.jpg"
        file = data / "AffectNet/Manually_Annotated_Images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(file)
        lines.append(f"{name},{10 + number},{5 + number},30,32,1;2;3,{number % 7},0.1,-0.2")
    (data / "AffectNet/validation.csv").write_text("\n".join(lines) + "\n")
    write_shipped(data, "ferv39k", 1)
    write_shipped(data, "mafw-videos", 1)
    write_other_sets(data)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """(The repository after every stage, the folder of the archives, the output of `init`)."""
    top = tmp_path_factory.mktemp("archives")
    data, folder = top / "data", top / "repository"
    write_archives(data)
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.MonkeyPatch.context() as other_words:
            other_words.setattr(tiny_encoders, "WORDS", words(ELEVEN))
            config = {
                **tiny_encoders.CLIP_MODEL,
                "text_cfg": {**tiny_encoders.CLIP_MODEL["text_cfg"], "context_length": 16},
            }
            tiny_encoders.write_clip(folder / "ViT-B-32-quickgelu", config)
            tiny_encoders.write_blip2(folder / "Salesforce/blip2-flan-t5-xxl")
        given = ["init", "--preset", "paper", "--backbones", "b32", "--data", str(data)]
        init = CliRunner().invoke(app, given)
        assert init.exit_code == 0, init.output
        suit_tiny_encoders(batch_size=4)
        run_stages()
        yield folder, data, init.output


def test_init_recognises_scenes_and_crops_them(finished_run):
    folder, _, output = finished_run
    datasets = YAML(typ="safe").load((folder / "params.yaml").read_text())["datasets"]
    assert {name for name, dataset in datasets.items() if dataset.get("crop") == "detect"} == {"caer-s", "afew"}
    assert output.count("these look like whole scenes") == 2
    assert "so params.yaml has crop: detect (crop: none for whole images)" in output
    assert "7 of 7 clips are videos, whose frames are sampled when they are decoded" in output
    assert "read as shipped: validation.csv" in output
    assert "images are cropped to the boxes of the table" in output


def test_every_set_is_found_and_scored_on_its_own_items(finished_run, monkeypatch):
    folder, _, output = finished_run
    monkeypatch.chdir(folder)
    scored = set(load_settings().score.datasets)
    folds = {f"mafw-{fold}" for fold in range(1, 6)}
    assert scored == {"afew", "affectnet-7", "affectnet-8", "ferv39k", *folds, *ITEMS}
    for name, items in ITEMS.items():
        assert f"{name}: {len(items)} items in " in output
        cache = FeatureCache(image_features("clip-b32", name))
        assert sorted(cache.paths()) == sorted(items)
        assert len(cache.good_rows) == len(items), cache.skipped
        (prompts_scored,) = read_score_file(score_file("clip-b32", name)).prompt_sets.values()
        for head in prompts_scored.heads:
            assert {int(np.sum(matrix)) for matrix in head.confusions.values()} == {len(items)}


def encoded(clip, crops: list[np.ndarray]) -> np.ndarray:
    squares = np.stack([to_square(Image.fromarray(crop), clip.preprocess) for crop in crops])
    return clip.encode_images(torch.from_numpy(squares)).mean(dim=0).numpy()


def test_features_are_those_of_crops_made_by_hand(finished_run, monkeypatch):
    folder, data, _ = finished_run
    monkeypatch.chdir(folder)
    settings = load_settings()
    clip = load_clip(settings.backbones["clip-b32"], torch.device("cpu"))
    finder = FaceFinder()

    def cut(pixels: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
        left, top, right, bottom = box
        return pixels[top:bottom, left:right]

    def found(pixels: np.ndarray) -> np.ndarray:
        return cut(pixels, finder.find(Image.fromarray(pixels)).box)

    caer = FeatureCache(image_features("clip-b32", "caer-s"))
    for row in caer.good_rows[:4]:
        pixels = np.asarray(Image.open(data / "CAER-S" / caer.paths([row])[0]))
        np.testing.assert_allclose(caer[[row]][0], encoded(clip, [found(pixels)]), atol=2e-3)
    afew = FeatureCache(image_features("clip-b32", "afew"))
    assert len(afew.good_rows) == 7
    frames = read_with_opencv(data / "AFEW" / afew.paths([2])[0])
    expected = encoded(clip, [found(frames[index]) for index in sample_indices(len(frames), 16, "edge")])
    np.testing.assert_allclose(afew[[2]][0], expected, atol=2e-3)
    affectnet = FeatureCache(image_features("clip-b32", "affectnet-7"))
    for path, feature in zip(affectnet.paths(), affectnet[:], strict=True):
        number = int(Path(path).stem)
        pixels = np.asarray(Image.open(data / "AffectNet" / path))
        box = 10 + number, 5 + number, min(80, 40 + number), min(60, 37 + number)
        np.testing.assert_allclose(feature, encoded(clip, [cut(pixels, box)]), atol=2e-3)


def test_the_report_and_the_scores_count_what_was_found(finished_run):
    folder, _, _ = finished_run
    caer = json.loads((folder / crop_file("caer-s")).read_text().splitlines()[0])
    assert caer["detector"]["name"] == "dlib frontal faces"
    assert sorted(path.name for path in (folder / "crops").glob("[!.]*")) == ["afew.jsonl", "caer-s.jsonl"]
    scored = json.loads((folder / score_file("clip-b32", "afew")).read_text())
    assert scored["test_set"] == "afew"
    assert "afew" in (folder / "report/index.html").read_text()


def test_a_second_run_searches_nothing(finished_run, monkeypatch):
    folder, _, _ = finished_run
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in (folder / "crops").glob("*.jsonl")}
    monkeypatch.setattr("expclip_cache.faces.find.FaceFinder", None)
    for stage in (crops, images, targets):
        stage.main(SilentReporter())
    assert {path: path.read_bytes() for path in (folder / "crops").glob("*.jsonl")} == before


def test_missing_boxes_name_the_stage_that_makes_them(finished_run, tmp_path, monkeypatch):
    folder, _, _ = finished_run
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    crop_file("afew").unlink()
    with pytest.raises(
        Exception, match=r"crops/afew\.jsonl: the boxes of the faces are missing\. Run `dvc repro crops`"
    ):
        images.main(SilentReporter(), datasets=["afew"])
