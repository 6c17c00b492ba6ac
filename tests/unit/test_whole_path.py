"""The paper's experiment in miniature: `init`, then every stage, on every benchmark in its native form."""

import csv
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import tiny_encoders
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.encoders.clip import ClipEncoder, load_clip
from expclip_cache.heads.current import head_path
from expclip_cache.heads.head_file import read_head
from expclip_cache.prompts import Prompt
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.scoring import read_score_file
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.paths import head_folder, image_features, score_file, target_draws
from native_trees import EIGHT, ELEVEN, SEVEN, write_dataset, write_shipped
from paper_study import run_stages, suit_tiny_encoders, words
from stages import crops, heads, images, manifest, prompts, scores, targets

ROOT = Path(__file__).parents[2]
ROOTS = {
    name: name.replace("affectnet-7", "affectnet").replace("affectnet-8", "affectnet")
    for name in (
        *("caer-s", "raf-db", "affectnet-7", "affectnet-8", "ferplus", "ferplus-csv", "fer2013"),
        *("dfew", "mafw", "ferv39k", "afew"),
    )
}
SHIPPED = ("raf-db", "affectnet", "ferplus-csv", "dfew", "mafw", "afew")
"""Read as their makers ship them; the others as folders by class, FERV39k by the list of the reference."""

CLASSES = {"affectnet-8": EIGHT, "ferplus": EIGHT, "ferplus-csv": EIGHT, "mafw": ELEVEN}
TEACHER = "blip2-flan-t5-xxl"
BACKBONES = {"clip-b32": 24, "clip-b16": 32}
"""Backbones of the run -> the width of the tiny CLIP that stands for each."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A repository after `init --preset paper --backbones b32,b16` and all stages; the models are tiny local folders.

    Yields (its folder, dataset of ROOTS -> fold -> truth).
    """
    top = tmp_path_factory.mktemp("whole")
    truths = {
        name: (write_shipped if name in SHIPPED else write_dataset)(top / "data", name, 4 if name == "caer-s" else 2)
        for name in dict.fromkeys(ROOTS.values())
    }
    folder = top / "repository"
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.MonkeyPatch.context() as other_words:
            other_words.setattr(tiny_encoders, "WORDS", words(ELEVEN))
            for number, model in enumerate(("ViT-B-32-quickgelu", "ViT-B-16-quickgelu")):
                config = {**tiny_encoders.CLIP_MODEL, "embed_dim": 24 + 8 * number}
                config["text_cfg"] = {**config["text_cfg"], "context_length": 16}
                tiny_encoders.write_clip(folder / model, config)
            tiny_encoders.write_blip2(folder / "Salesforce/blip2-flan-t5-xxl")
        run_init("b32,b16", top / "data", ROOTS)
        run_stages()
        yield folder, {name: truths[root] for name, root in ROOTS.items()}


@pytest.fixture
def copied_run(finished_run, tmp_path, monkeypatch):
    """A copy of the finished run, to modify: (its folder, the folder of the datasets, truths)."""
    folder, truths = finished_run
    shutil.copytree(folder, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(tmp_path / "repository")
    return tmp_path / "repository", folder.parent / "data", truths


def run_init(backbones: str, data: Path, roots: dict[str, str]) -> None:
    """Run `init`, then set sizes and precisions that suit tiny encoders on a CPU."""
    given = [part for name, folder in roots.items() for part in ("--root", f"{name}={data / folder}")]
    run = CliRunner().invoke(app, ["init", "--preset", "paper", "--backbones", backbones, "--force", *given])
    assert run.exit_code == 0, run.output
    assert "no folder on this machine" not in run.output
    assert "read as shipped: EmoLabel/list_patition_label.txt" in run.output or "raf-db" not in roots
    suit_tiny_encoders(batch_size=16)
    # The tiny folders stand for OpenAI's CLIPs, whose weights would say so by themselves.
    text = Path("params.yaml").read_text()
    for size in ("B-32", "B-16"):
        model = f"    model: ViT-{size}-quickgelu\n"
        text = text.replace(model, f"{model}    published_as: CLIP {size.replace('-', '/')}\n")
    Path("params.yaml").write_text(text)


def sampled_files(path: Path) -> list[Path]:
    """The image itself, or the reference's 16 frames of a clip: int(N / 16 (k + 1/2)), or 16 copies of the first."""
    if path.is_file():
        return [path]
    files = sorted(path.iterdir(), key=lambda file: int(file.stem))
    n = len(files)
    return [files[0]] * 16 if n <= 16 else [files[int(n / 16 * (k + 0.5))] for k in range(16)]


def expected_confusion(
    items: list[tuple[str, np.ndarray]],
    table: Sequence[Prompt],
    texts: np.ndarray,
    classes: tuple[str, ...],
    head: np.ndarray | None,
) -> np.ndarray:
    """The confusion matrix item by item as in the paper: project each frame, mean, normalise, mean similarity.

    Args:
        items: class and (f, d) features of the frames of each.
        texts: (p, d) features of the prompts of `table`.
    """
    project = np.eye(texts.shape[1]) if head is None else head.astype(np.float64)
    texts = texts @ project.T
    texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    matrix = np.zeros((len(classes), len(classes)), dtype=int)
    for class_name, frames in items:
        item = (frames @ project.T).mean(axis=0)
        similar = texts @ (item / np.linalg.norm(item))
        by_class = [np.mean([s for s, p in zip(similar, table, strict=True) if p.class_name == c]) for c in classes]
        matrix[classes.index(class_name), int(np.argmax(by_class))] += 1
    return matrix


def encoded_frames(clip: ClipEncoder, item: Path) -> np.ndarray:
    """(f, d) features of an image or of the sampled frames of a clip."""
    frames = [
        np.asarray(Image.open(file).convert("RGB").resize((28, 28), Image.Resampling.BILINEAR))
        for file in sampled_files(item)
    ]
    return clip.encode_images(torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2).copy())).numpy()


def check_scores(backbone: str, name: str, truth: dict[str, str], root: Path, classes: tuple[str, ...]) -> None:
    """Compare one scored test set with its true classes and with the paper's formulas."""
    cache = FeatureCache(image_features(backbone, name))
    assert cache.classes == classes
    rows = cache.good_rows
    found = {path: classes[label] for path, label in zip(cache.paths(rows), cache.labels[rows], strict=True)}
    assert found == truth
    results = read_score_file(score_file(backbone, name)).prompt_sets["reference"]
    fitted = {(head.head, head.seed): head.confusions for head in results.heads}
    assert fitted.keys() == {("reference", 1), ("ridge", None)}
    clip = load_clip(load_settings().backbones[backbone], torch.device("cpu"))
    items = [(class_name, encoded_frames(clip, root / path)) for path, class_name in truth.items()]
    for kind in (1, 5):
        table = prompt_table("reference", (kind,), classes)
        texts = clip.encode_texts([prompt.text for prompt in table]).numpy()
        assert results.clip[kind].tolist() == expected_confusion(items, table, texts, classes, None).tolist()
        for (head, seed), confusions in fitted.items():
            weights = read_head(head_path(head_folder(backbone, TEACHER), head, seed))
            assert confusions[kind].tolist() == expected_confusion(items, table, texts, classes, weights).tolist()


TEST_SETS = [name for name in ROOTS if name not in ("caer-s", "dfew", "mafw")] + [
    f"{name}-{fold}" for name in ("dfew", "mafw") for fold in range(1, 6)
]


@pytest.mark.parametrize("name", TEST_SETS)
def test_every_benchmark_in_its_native_form(finished_run, name):
    folder, truths = finished_run
    base, fold = (name[:4], int(name[-1])) if name[:4] in ("dfew", "mafw") else (name, None)
    truth, classes = truths[base][fold], CLASSES.get(base, SEVEN)
    if name == "affectnet-7":
        truth = {path: class_name for path, class_name in truth.items() if class_name != "contempt"}
    for backbone in BACKBONES:
        check_scores(backbone, name, truth, folder.parent / "data" / ROOTS[base], classes)


@pytest.mark.usefixtures("finished_run")
def test_all_test_sets_are_checked():
    assert set(TEST_SETS) == set(load_settings().score.datasets)


@pytest.mark.usefixtures("finished_run")
def test_the_table_has_every_test_set_beside_the_published_scores():
    lines = list(csv.DictReader(Path("report/comparison.csv").read_text().splitlines()))
    every = [row for row in lines if row["backbone"]]
    # The study has none of the paper's other systems.
    assert {"FaRL", "FLAVA", "VideoCLIP"} <= {row["published_backbone"] for row in lines if not row["backbone"]}
    systems = {(row["backbone"], row["head"]) for row in every}
    assert systems == {(backbone, head) for backbone in BACKBONES for head in ("reference", "ridge")}
    for backbone, head in systems:
        rows = [row for row in every if (row["backbone"], row["head"]) == (backbone, head)]
        parts = Counter(row["part"] for row in rows)
        assert parts == {"whole": 8 * 5, "fold": 10 * 5, "fold mean": 2 * 5, "pooled": 2 * 5, "mean": 5}
    rows = [row for row in every if (row["backbone"], row["head"]) == ("clip-b32", "reference")]
    row_of = {(row["test_set"], row["part"], row["prompt_type"]): row for row in rows}
    raf = row_of["raf-db", "whole", "2"]
    assert (raf["items"], raf["published_items"], raf["log_uar"], raf["log_war"]) == ("14", "3068", "42.000", "51.270")
    mafw = row_of["mafw", "fold mean", "5"]
    assert (mafw["items"], mafw["log_uar"], mafw["paper_clip_war"]) == ("110", "18.750", "15.480")
    folds = [float(row_of[f"mafw-{fold}", "fold", "5"]["expclip_uar"]) for fold in range(1, 6)]
    assert float(mafw["expclip_uar"]) == pytest.approx(np.mean(folds), abs=0.001)
    assert row_of["ferplus-csv", "whole", "1"]["log_uar"] == "25.750"
    assert row_of["fer2013", "whole", "1"]["log_uar"] == ""
    of_b16 = [row for row in every if (row["backbone"], row["head"]) == ("clip-b16", "reference")]
    raf = next(row for row in of_b16 if (row["test_set"], row["prompt_type"]) == ("raf-db", "2"))
    assert (raf["log_uar"], raf["log_war"]) == ("57.010", "60.720")


@pytest.mark.parametrize(
    ("definition", "right", "wrong"),
    [
        ("raf-db", "{1: surprise, 2: fear", "{1: fear, 2: surprise"),
        ("ferv39k", "{0: happiness, 1: sadness", "{0: sadness, 1: happiness"),
    ],
)
def test_a_wrong_class_mapping_fails_these_checks(copied_run, definition, right, wrong):
    folder, data, truths = copied_run
    text = (ROOT / f"pipeline/expclip_cache/datasets/definitions/{definition}.yaml").read_text()
    assert right in text
    (folder / "wrong.yaml").write_text(text.replace(right, wrong))
    params = (folder / "params.yaml").read_text()
    params = params.replace("\nscore:\n", "  wrong: {source: wrong.yaml, short_clip: first}\n\nscore:\n")
    (folder / "params.yaml").write_text(params.replace("  - raf-db\n", "  - wrong\n  - raf-db\n"))
    manifest.main("wrong", SilentReporter())
    images.main(SilentReporter(), ["clip-b32"], ["wrong"])
    images.main(SilentReporter(), ["clip-b16"], ["wrong"])
    scores.main(SilentReporter())
    with pytest.raises(AssertionError):
        check_scores("clip-b32", "wrong", truths[definition][None], data / definition, SEVEN)
    check_scores("clip-b32", definition, truths[definition][None], data / definition, SEVEN)


def test_a_second_backbone_does_not_encode_the_targets_again(copied_run):
    folder, data, truths = copied_run
    (kept,) = target_draws(TEACHER, load_settings().teachers[TEACHER], "caer-s")
    # As if the second backbone had not been there.
    for place in ("features/images", "features/prompts", "heads", "results/scores"):
        target = folder / place / "clip-b16"
        shutil.rmtree(target)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in made_of("clip-b32", kept)}
    # Without its weights, the LLM cannot encode anything.
    shutil.rmtree(folder / "Salesforce")
    for stage in (crops, images, targets, prompts, heads, scores):
        stage.main(SilentReporter())
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in made_of("clip-b32", kept)} == before
    assert read_head(head_path(head_folder("clip-b16", TEACHER), "reference", 1)).shape == (40, BACKBONES["clip-b16"])
    check_scores("clip-b16", "raf-db", truths["raf-db"][None], data / "raf-db", SEVEN)
    assert FeatureCache(image_features("clip-b32", "raf-db")).width == BACKBONES["clip-b32"]


def made_of(backbone: str, targets: Path) -> list[Path]:
    """The files of the targets, and of the features and heads of a backbone."""
    folders = (targets, *(Path(place) / backbone for place in ("features/images", "features/prompts", "heads")))
    return [path for folder in folders for path in folder.rglob("[!.]*") if path.is_file()]
