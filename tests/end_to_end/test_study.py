"""A study of two backbones, teachers, heads, prompt sets and three test sets, and what runs when it grows.

The encoders are tiny, of the real classes. Each addition is compared with the table in docs/architecture.md.
"""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from end_to_end.conftest import COMMIT, ROOT, Checkout, code_checkout, stages_run, work_of
from ruamel.yaml import YAML

import tiny_encoders
from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.prompts import TYPES, prompt_table
from expclip_cache.scoring import RULES
from stages import heads, images, manifest, prompts, scores, targets

pytestmark = pytest.mark.slow

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
DRAWING = "pipeline/expclip_cache/demo/drawing"
CONTRASTIVE = {"kind": "contrastive", "lr": 0.1, "epochs": 2, "batch_size": 16, "seeds": [1, 2]}
RIDGE = {"kind": "ridge", "batch_size": 10}
STUDY = {
    "run": {"device": "cpu", "batch_size": 16, "workers": 0},
    "backbones": {"a": {"model": "models/a"}, "b": {"model": "models/b"}},
    "teachers": {"x": {"model": "models/x", "instruction": "describe the face"}, "y": {"model": "models/y"}},
    "answers": {"v": {"model": "models/x", "orders": 2, "calibration_images": 20}},
    "cache": {"shard_rows": 16},
    "prompts": {"reference": {"types": [2, 5]}, "own": {"set": "prompts/example.yaml", "aggregation": "nearest"}},
    "train": {"dataset": "train"},
    "heads": {"contrastive": CONTRASTIVE, "ridge": RIDGE},
    "statistics": {"resamples": 200},
    "score": {"datasets": ["clean", "grey", "clips"]},
    "datasets": {
        "train": {"source": DRAWING, "draw": {"count": 60, "seed": 1, "labelled": False}, "labelled": False},
        "clean": {"source": DRAWING, "draw": {"count": 21, "seed": 2}},
        "grey": {"source": DRAWING, "draw": {"count": 14, "seed": 3, "style": "grey"}},
        "clips": {"source": DRAWING, "draw": {"count": 7, "seed": 4, "kind": "clips"}, "frames": 4},
    },
}
IMAGES = {"train": 60, "clean": 21, "grey": 14, "clips": 7}
"""Items of each dataset."""
SCORED_SETS = ("clean", "grey", "clips")


def write_models(folder: Path) -> None:
    """Three CLIPs and three BLIP-2s of different widths, whose tokenizers know every word of the prompts."""
    texts = " ".join(
        prompt.text
        for prompt_set, types in (("reference", TYPES), (str(ROOT / "prompts/example.yaml"), TYPES))
        for prompt in prompt_table(prompt_set, types, EXPRESSIONS)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_encoders, "WORDS", words(texts))
        for number, name in enumerate("abc"):
            config = {**tiny_encoders.CLIP_MODEL, "embed_dim": 24 + 8 * number}
            config["text_cfg"] = {**config["text_cfg"], "context_length": 24, "vocab_size": 256}
            tiny_encoders.write_clip(folder / name, config)
        for number, name in enumerate("xyz"):
            tiny_encoders.write_blip2(folder / name, d_model=40 + 8 * number, vocab_size=256)


def words(texts: str) -> list[str]:
    return list(dict.fromkeys([*tiny_encoders.WORDS, *re.findall(r"\w+|[^\w\s]", texts)]))


def write_params(folder: Path, study: dict) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(study, file)


def change_params(checkout: Checkout, change: Callable[[dict], None]) -> None:
    tree = YAML(typ="safe").load((checkout.folder / "params.yaml").read_text())
    change(tree)
    write_params(checkout.folder, tree)


@pytest.fixture(scope="module")
def study(tmp_path_factory, prepared) -> Checkout:
    """The finished study."""
    folder = tmp_path_factory.mktemp("study") / "checkout"
    checkout = code_checkout(folder, prepared.folder)
    write_models(folder / "models")
    write_params(folder, STUDY)
    checkout.run("git", "init", "-q")
    checkout.run("git", "add", "-A")
    checkout.run(*COMMIT, "study")
    checkout.repro()
    return checkout


@pytest.fixture
def grown(study, tmp_path) -> Checkout:
    """A copy of the finished study, to change."""
    shutil.copytree(study.folder, tmp_path / "grown", symlinks=True)
    return Checkout(tmp_path / "grown", study.programs)


def score_rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results/scores.csv").read_text().splitlines()))


def made(folder: Path) -> dict[str, tuple[int, int]]:
    """Every shard and head: path -> inode and time, which change when it is made again."""
    files = [*folder.glob("features/**/shard-*.h5"), *folder.glob("heads/**/*.safetensors")]
    return {path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def new_since(before: dict[str, tuple[int, int]], folder: Path) -> set[str]:
    """The folders of the features and heads that were made since; nothing that was there may be gone."""
    after = made(folder)
    assert before.keys() <= after.keys()
    return {path.rpartition("/")[0] for path, state in after.items() if before.get(path) != state}


def test_every_combination_has_a_row(study):
    rows = score_rows(study.folder)
    found = {tuple(row[key] for key in ("test_set", "backbone", "teacher", "head", "seed", "prompts")) for row in rows}
    systems = [("", "", "")] + [
        (t, *h) for t in "xy" for h in (("contrastive", "1"), ("contrastive", "2"), ("ridge", ""))
    ]
    assert found == {
        (name, backbone, *system, prompt_set)
        for name in ("clean", "grey", "clips")
        for backbone in "ab"
        for system in systems
        for prompt_set in ("reference", "own")
    } | {(name, "", "v", rule, "", "") for name in ("clean", "grey", "clips") for rule in RULES}
    with_clip = [row for row in rows if row["backbone"]]
    assert len(with_clip) == 3 * 2 * 7 * 3, "the reference's prompts have two types, one's own a single one"
    assert len(rows) == len(with_clip) + 3 * len(RULES)


def test_the_llms_answers_are_on_the_page_and_read_from_one_load_of_the_model(study):
    page = (study.folder / "report/index.html").read_text()
    assert "v, an LLM that sees images, also classifies by its own answers" in page
    bars = {what.partition(" on ")[0]: count for what, count in work_of(study, "answers").items()}
    calibration = next(name for name in bars if "calibration-" in name)
    assert bars == {**{f"features/answers/v/{name}": IMAGES[name] for name in SCORED_SETS}, calibration: 20}
    assert {FeatureCache(study.folder / place).dtype.name for place in bars} == {"float32"}


@pytest.mark.parametrize(
    ("backbone", "teacher", "head", "prompt_set"),
    [("a", "x", "ridge", "reference"), ("b", "y", "contrastive", "own"), ("a", "y", "contrastive", "reference")],
)
def test_a_single_run_gives_the_same_rows_bit_for_bit(
    study, tmp_path, monkeypatch, backbone, teacher, head, prompt_set
):
    single = STUDY | {
        section: {name: STUDY[section][name]}
        for section, name in (
            ("backbones", backbone),
            ("teachers", teacher),
            ("heads", head),
            ("prompts", prompt_set),
        )
    }
    single["answers"] = {}
    for name in ("models", "pipeline", "prompts"):
        (tmp_path / name).symlink_to(study.folder / name)
    (tmp_path / "data").symlink_to(study.folder / "data")
    write_params(tmp_path, single)
    monkeypatch.chdir(tmp_path)
    for name in STUDY["datasets"]:
        manifest.main(name, SilentReporter())
    for stage in (images, targets, prompts):
        stage.main(SilentReporter())
    heads.main(SilentReporter())
    scores.main(SilentReporter())
    wanted = [
        row
        for row in score_rows(study.folder)
        if (row["backbone"], row["prompts"]) == (backbone, prompt_set)
        and (row["teacher"], row["head"]) in (("", ""), (teacher, head))
    ]
    assert score_rows(tmp_path) == wanted
    for path in tmp_path.glob("features/[it]*/*/*/shard-*.h5"):
        assert path.read_bytes() == (study.folder / path.relative_to(tmp_path)).read_bytes()
    for path in tmp_path.glob("heads/**/*.safetensors"):
        assert path.read_bytes() == (study.folder / path.relative_to(tmp_path)).read_bytes()


def documented() -> dict[str, tuple[set[str], str]]:
    """Addition -> the stages that run, and what they make, as the page says."""
    page = (ROOT / "docs/architecture.md").read_text()
    table = page[page.index("| addition |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {addition: (set(stages.split(", ")), work) for addition, stages, work in rows}


def add(section: str, name: str, entry: dict) -> Callable[[dict], None]:
    def change(study: dict) -> None:
        study[section][name] = entry
        if section == "datasets":
            study["score"]["datasets"].append(name)

    return change


ADDITIONS = {
    "a test set": add("datasets", "drawing", {"source": DRAWING, "draw": {"count": 14, "seed": 5, "style": "drawing"}}),
    "a backbone": add("backbones", "c", {"model": "models/c"}),
    "a teacher": add("teachers", "z", {"model": "models/z"}),
    "an LLM that answers": add("answers", "w", {"model": "models/y", "generate": False, "calibration_images": 5}),
    "a head": add("heads", "fixed", {"kind": "ridge", "choose": "fixed", "fixed": 0.1}),
    "a prompt set": add("prompts", "clean", {"set": "clean", "types": [2, 3]}),
}
ENCODED = {
    "a test set": {
        "images": {"features/images/a/drawing": 14, "features/images/b/drawing": 14},
        "answers": {"features/answers/v/drawing": 14},
    },
    "a backbone": {"images": {f"features/images/c/{name}": count for name, count in IMAGES.items()}},
    "a teacher": {"targets": {"features/targets/z/train": 60}},
    "an LLM that answers": {
        "answers": {f"features/answers/w/{name}": IMAGES[name] for name in SCORED_SETS}
        | {"features/answers/w/calibration-CLASSES": 5}
    },
    "a head": {},
    "a prompt set": {},
}
FITTED = {
    "a test set": set(),
    "a backbone": {f"heads/c/{teacher}/{head}" for teacher in "xy" for head in ("contrastive", "ridge")},
    "a teacher": {f"heads/{backbone}/z/{head}" for backbone in "ab" for head in ("contrastive", "ridge")},
    "an LLM that answers": set(),
    "a head": {f"heads/{backbone}/{teacher}/fixed" for backbone in "ab" for teacher in "xy"},
    "a prompt set": set(),
}
SCORED = {
    "a test set": (2, 7, 3, 1),
    "a backbone": (3, 7, 3, 0),
    "a teacher": (6, 3, 3, 0),
    "an LLM that answers": (0, 0, 0, 3),
    "a head": (6, 2, 3, 0),
    "a prompt set": (6, 7, 2, 0),
}
"""Files of scores x classifiers x prompt types that are measured, and files of scores of answers."""


def test_the_table_lists_exactly_the_additions_made_here():
    assert documented().keys() == ADDITIONS.keys()


@pytest.mark.parametrize("addition", ADDITIONS)
def test_an_addition_makes_what_is_new_and_nothing_else(grown, addition):
    before, rows = made(grown.folder), score_rows(grown.folder)
    shutil.rmtree(grown.folder / "times")
    change_params(grown, ADDITIONS[addition])
    done = grown.run("dvc", "repro")
    ran = stages_run(done.stdout)
    assert {name.partition("@")[0] for name in ran} == documented()[addition][0]
    assert {name for name in ran if "@" in name} == ({"manifest@drawing"} if addition == "a test set" else set())
    encoded = {}
    for stage in {"images", "targets", "answers"} & ran:
        bars = work_of(grown, stage)
        encoded[stage] = {
            re.sub(r"(?<=calibration-)\w+", "CLASSES", what.partition(" on ")[0]): count
            for what, count in bars.items()
            if " on " in what and not what.startswith("features/prompts")
        }
    assert {stage: work for stage, work in encoded.items() if work} == ENCODED[addition]
    new = {re.sub(r"(?<=calibration-)\w+", "CLASSES", place) for place in new_since(before, grown.folder)}
    of_encoders = {place for work in ENCODED[addition].values() for place in work}
    assert {place for place in new if not place.startswith("features/prompts")} == of_encoders | FITTED[addition]
    measured = [int(count) for count in re.findall(r"json: (\d+) confusion matrices", done.stdout + done.stderr)]
    files, classifiers, types, of_answers = SCORED[addition]
    assert len(measured) == files + of_answers
    assert sum(measured) == files * classifiers * types + of_answers * len(RULES)
    now = score_rows(grown.folder)
    assert [row for row in now if row in rows] == rows
    assert len(now) > len(rows)


def test_a_study_that_shrinks_and_grows_again_encodes_nothing(grown):
    before = {path: state for path, state in made(grown.folder).items() if path.startswith("features/i")}
    rows, params = score_rows(grown.folder), (grown.folder / "params.yaml").read_text()

    def remove(tree: dict) -> None:
        del tree["backbones"]["b"]

    change_params(grown, remove)
    grown.repro()
    assert {row["backbone"] for row in score_rows(grown.folder)} == {"a", ""}
    assert {path.name for path in (grown.folder / "heads").iterdir()} == {"a"}
    (grown.folder / "params.yaml").write_text(params)
    grown.repro()
    assert {path: state for path, state in made(grown.folder).items() if path.startswith("features/i")} == before
    assert score_rows(grown.folder) == rows
