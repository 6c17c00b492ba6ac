"""The scores of a study: confusion matrices against plain cosines, and only what is missing is measured."""

import os
import re
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_scores
from expclip_cache.base.errors import CacheError, DataError, SettingsError
from expclip_cache.heads.head_file import read_head, read_record, write_head
from expclip_cache.heads.origin import CLIP
from expclip_cache.prompts.settings import PromptSettings
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.scoring import study
from expclip_cache.scoring.changed_predictions import prediction_changes
from expclip_cache.scoring.measuring import HeadToScore
from expclip_cache.scoring.prediction_file import PredictionFile
from expclip_cache.scoring.results import Classifier
from expclip_cache.scoring.score_file import read_score_file
from expclip_cache.scoring.study import complete_scores
from tiny_scores import CLASSES, ROWS, SKIPPED, again, embedding, texts_of, write_prompts, write_test_set
from tiny_study import RecordingReporter

ROOT = Path(__file__).parents[3]


class Place:
    """Everything that a test set is scored with."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sets = tiny_scores.prompt_sets(folder)
        self.images = write_test_set(folder / "test")
        self.prompts = write_prompts(folder / "prompts", texts_of(self.sets.values()))
        self.heads = tiny_scores.write_heads(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def complete(place):
    """The file with all scores; tests copy it."""
    score(place, place.folder / "scores.json")
    return place.folder / "scores.json"


@pytest.fixture
def path(complete, tmp_path):
    shutil.copy(complete.with_suffix(".parquet"), tmp_path / "scores.parquet")
    return Path(shutil.copy(complete, tmp_path / "scores.json"))


def score(place, path, heads=None, sets=None, images=None, prompts=None):
    """Returns how many confusion matrices were measured, and all of them."""
    report = RecordingReporter()
    found = complete_scores(
        path,
        path.with_suffix(".parquet"),
        images or place.images,
        prompts or place.prompts,
        place.sets if sets is None else sets,
        again(place.heads if heads is None else heads),
        backbone="b32",
        test_set="test",
        report=report,
    )
    measured = [re.fullmatch(r"(.*): (\d+) confusion matrices of 58 items", line) for line in report.lines]
    assert all(match[1] == str(path) for match in measured)
    return sum(int(match[2]) for match in measured), found


def fresh(place, tmp_path, **more) -> tuple[bytes, bytes]:
    """The files that are written if there are none."""
    (tmp_path / "fresh.json").unlink(missing_ok=True)
    score(place, tmp_path / "fresh.json", **more)
    return contents(tmp_path / "fresh.json")


def contents(path) -> tuple[bytes, bytes]:
    """The bytes of the scores and of the predictions."""
    return path.read_bytes(), path.with_suffix(".parquet").read_bytes()


def plain_confusion(classifier, place):
    """By the formulas in float64, one image at a time: the class whose prompts have the best cosines with Wx."""
    head = np.eye(6)
    if classifier.head:
        (file,) = [h.path for h in place.heads if tuple(classifier[2:]) == (h.teacher, h.head, h.seed)]
        head = read_head(file).astype(np.float64)
    own = place.sets[classifier.prompts]
    table = [p for p in prompt_table(own.set, own.types, CLASSES) if p.type == classifier.prompt_type]
    features, labels = tiny_scores.sample_features()
    matrix = np.zeros((3, 3), dtype=np.int64)
    projected = [[head @ embedding(p.text) for p in table if p.class_name == name] for name in CLASSES]
    unit_prompts = [np.stack([t / np.linalg.norm(t) for t in prompts]) for prompts in projected]
    for row in set(range(ROWS)) - set(SKIPPED):
        x = head @ features[row]
        similarities = []
        for units in unit_prompts:
            cosines = units @ x / np.linalg.norm(x)
            if own.aggregation == "nearest":
                similarities.append(cosines.max())
            elif own.aggregation == "mean":
                similarities.append(cosines.mean())
            else:
                similarities.append(cosines.mean() / np.linalg.norm(units.mean(axis=0)))
        matrix[labels[row], np.argmax(similarities)] += 1
    return matrix


@pytest.mark.slow
def test_confusion_matrices_are_those_of_plain_cosines(place, tmp_path):
    measured, found = score(place, tmp_path / "scores.json")
    confusions = dict(found.confusions())
    types = [("reference", 2), ("reference", 5), ("nearest", 4), ("renormed", 1), ("renormed", 5), ("mine", 0)]
    heads = [(head.teacher, head.head, head.seed) for head in place.heads]
    assert len(heads) == 10
    assert list(confusions) == [Classifier(*kind, *head) for kind in types for head in [("", "", None), *heads]]
    assert measured == len(confusions) == 66
    for classifier, matrix in confusions.items():
        assert matrix.dtype == np.int64
        np.testing.assert_array_equal(matrix, plain_confusion(classifier, place), err_msg=str(classifier))
    assert len({matrix.tobytes() for matrix in confusions.values()}) > 30
    assert (found.backbone, found.test_set, found.classes) == ("b32", "test", CLASSES)
    assert found.images == place.images.describe()


def plain_similarities(classifier, place):
    """(58, c) by the formulas in float64, for the aggregation `mean`."""
    head = np.eye(6)
    if classifier.head:
        (file,) = [h.path for h in place.heads if tuple(classifier[2:]) == (h.teacher, h.head, h.seed)]
        head = read_head(file).astype(np.float64)
    own = place.sets[classifier.prompts]
    table = [p for p in prompt_table(own.set, own.types, CLASSES) if p.type == classifier.prompt_type]
    x = np.delete(tiny_scores.sample_features()[0], SKIPPED, axis=0).astype(np.float64) @ head.T
    columns = []
    for name in CLASSES:
        t = np.stack([head @ embedding(p.text) for p in table if p.class_name == name])
        units = t / np.linalg.norm(t, axis=1, keepdims=True)
        columns.append((x @ units.T / np.linalg.norm(x, axis=1, keepdims=True)).mean(axis=1))
    return np.stack(columns, axis=1)


@pytest.mark.slow
def test_the_predictions_are_kept_for_each_item(place, complete):
    file, labels = PredictionFile(complete.with_suffix(".parquet")), tiny_scores.sample_features()[1]
    rows = np.delete(np.arange(ROWS), SKIPPED)
    confusions = dict(read_score_file(complete).confusions())
    assert file.classifiers == list(confusions)
    assert (file.classes, file.logit_scale) == (CLASSES, place.images.logit_scale)
    np.testing.assert_array_equal(file.rows, rows)
    np.testing.assert_array_equal(file.truth, labels[rows])
    assert file.paths == [f"{row}.png" for row in rows]
    for classifier, matrix in confusions.items():
        counted = np.zeros_like(matrix)
        np.add.at(counted, (file.truth, file.predicted(classifier)), 1)
        np.testing.assert_array_equal(counted, matrix)
        similarities = file.similarities(classifier)
        if place.sets[classifier.prompts].aggregation == "mean":
            np.testing.assert_allclose(similarities, plain_similarities(classifier, place), atol=2e-6)
        best = similarities[np.arange(len(rows)), file.predicted(classifier)]
        np.testing.assert_allclose(best, similarities.max(axis=1), atol=2e-6)


def test_the_first_seed_of_a_head_says_what_it_changes(place, complete):
    labels = tiny_scores.sample_features()[1]
    file = PredictionFile(complete.with_suffix(".parquet"))
    rows = np.delete(np.arange(ROWS), SKIPPED)

    def percentages(*classifier):
        logits = place.images.logit_scale * file.similarities(Classifier(*classifier)).astype(np.float64)
        return 100 * np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    for name, found in read_score_file(complete).prompt_sets.items():
        kind = max(found.clip)
        for head, measured in zip(place.heads, found.heads, strict=True):
            if (head.head, head.seed) not in [("slow", 1), ("fast", 3), ("ridge", None)]:
                assert measured.changes is None
                continue
            after = percentages(name, kind, head.teacher, head.head, head.seed)
            paths = [f"{row}.png" for row in rows]
            assert measured.changes == prediction_changes(labels[rows], percentages(name, kind), after, paths)
            assert sum(measured.changes["counts"].values()) == 58


def test_nothing_is_measured_twice(place, path, complete):
    measured, found = score(place, path)
    assert measured == 0
    assert contents(path) == contents(complete)
    assert len(list(found.confusions())) == 66


def test_a_single_run_has_the_same_matrices(place, complete, tmp_path):
    """One head and one prompt set at a time."""
    expected = dict(read_score_file(complete).confusions())
    for head in place.heads:
        for name in place.sets:
            _, alone = score(place, tmp_path / f"{name}.json", [head], {name: place.sets[name]})
            for classifier, matrix in alone.confusions():
                np.testing.assert_array_equal(matrix, expected[classifier])


# -- heads -----------------------------------------------------------------------------------------------------------


def without(heads, *names):
    return [head for head in heads if head.head not in names]


@pytest.mark.parametrize(
    ("before", "after", "measured"),
    [
        (lambda heads: heads, lambda heads: [*heads[5:], *heads[:5]], 0),
        (lambda heads: heads, lambda heads: without(heads, "fast"), 0),
        (lambda heads: heads, lambda heads: [], 0),
        (lambda heads: [], lambda heads: heads[:2], 6 * 2),
        (lambda heads: without(heads, "ridge"), lambda heads: heads, 6 * 2),
        (lambda heads: heads[:5], lambda heads: heads, 6 * 5),
        (lambda heads: heads[:1], lambda heads: heads[:2], 6),
        # Another seed comes first: what it changes follows from its predictions.
        (lambda heads: heads[:2], lambda heads: heads[1::-1], 0),
        (lambda heads: heads[:2], lambda heads: heads[1:2], 0),
        (lambda heads: heads[1:2], lambda heads: heads[:2], 6),
        (lambda heads: heads[1:2], lambda heads: heads[1::-1], 6),
    ],
)
def test_only_heads_that_are_missing_are_measured(place, tmp_path, before, after, measured):
    path, heads = tmp_path / "scores.json", place.heads
    score(place, path, before(heads))
    assert score(place, path, after(heads))[0] == measured
    assert contents(path) == fresh(place, tmp_path, heads=after(heads))


def test_a_new_first_seed_gets_its_changes_and_the_old_one_loses_them(place, tmp_path):
    path, (first, second) = tmp_path / "scores.json", place.heads[:2]
    score(place, path, [first, second])
    _, found = score(place, path, [second, first])
    for measured in found.prompt_sets.values():
        assert [(head.seed, head.changes is None) for head in measured.heads] == [(2, False), (1, True)]


def test_a_head_file_that_changed_is_measured_again_and_no_other(place, path, tmp_path):
    changed = again(place.heads)
    changed[6] = HeadToScore("opt", "slow", 2, tmp_path / "changed.safetensors")
    write_head(changed[6].path, -read_head(place.heads[6].path), {})
    assert score(place, path, changed)[0] == 6
    assert contents(path) == fresh(place, tmp_path, heads=changed)


STEPS = count()


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_after_any_edits_of_the_study_the_file_is_that_of_a_fresh_run(place, tmp_path, data):
    path = tmp_path / f"{next(STEPS)}.json"
    for _ in range(3):
        heads = data.draw(st.lists(st.sampled_from(place.heads), unique=True, max_size=5))
        names = data.draw(st.lists(st.sampled_from(sorted(place.sets)), unique=True, min_size=1))
        sets = {name: place.sets[name] for name in names}
        score(place, path, heads, sets)
        assert contents(path) == fresh(place, tmp_path, heads=heads, sets=sets)


# -- prompts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "measured"),
    [
        (lambda sets: {"clean": PromptSettings(set="clean", types=(2,)), **sets}, 1),
        (lambda sets: dict(reversed(sets.items())), 0),
        (lambda sets: {"nearest": sets["nearest"]}, 0),
        (lambda sets: sets | {"renormed": PromptSettings(set="clean", types=(1, 5), aggregation="mean")}, 2),
        (lambda sets: sets | {"reference": PromptSettings(types=(2, 4, 5))}, 3),
        (lambda sets: sets | {"reference": PromptSettings(types=(5,))}, 1),
        (lambda sets: sets | {"reference": PromptSettings(types=(5, 2))}, 0),
        (lambda sets: sets | {"nearest": sets["mine"]}, 1),
    ],
)
def test_only_prompt_sets_that_changed_are_measured(place, path, tmp_path, change, measured):
    """Although the cache of prompts is another one, for it has the prompts of all sets. `measured` counts types."""
    sets = change(place.sets)
    prompts = write_prompts(tmp_path / "prompts", sorted(texts_of(sets.values())))
    assert score(place, path, sets=sets, prompts=prompts)[0] == 11 * measured
    assert contents(path) == fresh(place, tmp_path, sets=sets, prompts=prompts)


@pytest.mark.parametrize(
    ("text", "measured"),
    [
        ("terrified", 1),
        ("a good photo capturing someone's fear.", 2 + 2),
        ("an expression of fear.", 2 + 1 + 2),
        ("fear.", 2),
        ("an unused prompt", 0),
    ],
)
def test_another_embedding_measures_the_sets_that_use_it(place, path, tmp_path, text, measured):
    texts = [*texts_of(place.sets.values()), "an unused prompt"]
    prompts = write_prompts(tmp_path / "prompts", texts, moved=[text])
    assert score(place, path, prompts=prompts)[0] == 11 * measured
    assert contents(path) == fresh(place, tmp_path, prompts=prompts)


def test_another_prompt_in_the_file_measures_its_set(place, path, tmp_path):
    (tmp_path / "mine.yaml").write_text(tiny_scores.PROMPT_FILE.replace("smiling", "grinning"))
    sets = place.sets | {"mine": PromptSettings(set=str(tmp_path / "mine.yaml"))}
    prompts = write_prompts(tmp_path / "prompts", texts_of(sets.values()))
    assert score(place, path, sets=sets, prompts=prompts)[0] == 11
    assert score(place, path, sets=sets, prompts=prompts)[0] == 0


# -- features, code, damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["identity", "skipped rows", "code"])
def test_what_all_scores_depend_on_measures_them_all(place, path, tmp_path, monkeypatch, change):
    images = place.images
    if change == "identity":
        images = write_test_set(tmp_path / "another")
    elif change == "skipped rows":
        images = write_test_set(tmp_path / "test", bad=(7, 32))
        assert images.identity == place.images.identity
    else:
        monkeypatch.setattr(study, "source_sha256", lambda *packages: "of edited packages")
    assert score(place, path, images=images)[0] == 66
    assert contents(path) == fresh(place, tmp_path, images=images)
    assert score(place, path, images=images)[0] == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "a digit", "a folder's worth of brackets"])
def test_a_damaged_file_is_written_anew(place, path, complete, damage):
    raw = path.read_bytes()
    digit = re.search(rb'"clip": \{"2": \[\[(\d)', raw).start(1)
    path.unlink()
    content = {
        "empty": b"",
        "cut": raw[:-9],
        "text": b"<html>",
        "a digit": raw[:digit] + bytes([raw[digit] ^ 1]) + raw[digit + 1 :],
        "a folder's worth of brackets": b"[" * 200_000,
    }
    if damage in content:
        path.write_bytes(content[damage])
    assert score(place, path)[0] == 66
    assert contents(path) == contents(complete)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "a bit", "of other scores"])
def test_damaged_predictions_are_written_anew(place, path, complete, damage):
    predictions = path.with_suffix(".parquet")
    raw = predictions.read_bytes()
    # A bit within the similarities of the first classifier, which lie before the last page of its row group.
    place_of_bit = pq.ParquetFile(predictions).metadata.row_group(0).column(9).data_page_offset + 60
    predictions.unlink()
    content = {
        "empty": b"",
        "cut": raw[:-9],
        "text": b"<html>",
        "a bit": raw[:place_of_bit] + bytes([raw[place_of_bit] ^ 1]) + raw[place_of_bit + 1 :],
    }
    if damage in content:
        predictions.write_bytes(content[damage])
    if damage == "of other scores":
        score(place, path.with_name("other.json"), heads=place.heads[:1])
        shutil.copy(path.with_name("other.parquet"), predictions)
    if damage == "a bit":
        with pytest.raises(DataError, match=r"scores\.parquet: is not an intact file of predictions.*Delete it"):
            PredictionFile(predictions).similarities(Classifier("reference", 2))
    assert score(place, path)[0] == 66
    assert contents(path) == contents(complete)


KEEP = """
import sys
from pathlib import Path
from test_complete_scores import Place, score
from expclip_cache.cache import FeatureCache
import tiny_scores
place = Place.__new__(Place)
place.folder = Path(sys.argv[1])
place.sets = tiny_scores.prompt_sets(place.folder)
place.images, place.prompts = FeatureCache(place.folder / "test"), FeatureCache(place.folder / "prompts")
place.heads = [tiny_scores.HeadToScore(teacher, name, int(seed) if seed else None, Path(path))
    for teacher, name, seed, path in (word.split("|") for word in sys.argv[2:])]
measured, _ = score(place, place.folder / "scores.json")
print(measured, *{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.slow
def test_scores_that_are_there_need_neither_faiss_nor_torch(place, complete):
    heads = [f"{head.teacher}|{head.head}|{head.seed or ''}|{head.path}" for head in place.heads]
    command = [sys.executable, "-c", KEEP, str(place.folder), *heads]
    path = {**os.environ, "PYTHONPATH": f"{Path(tiny_scores.__file__).parent}:{Path(__file__).parent}"}
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, env=path)
    measured, *modules = done.stdout.split()
    assert measured == "0"
    assert {"numpy", "h5py"} <= set(modules)
    assert not {"faiss", "torch", "transformers", "open_clip"} & set(modules)


# -- refused ---------------------------------------------------------------------------------------------------------


def test_prompts_from_another_clip_are_refused(place, path, complete):
    prompts = write_prompts(path.parent / "prompts", texts_of(place.sets.values()), weights_sha256="v")
    with pytest.raises(CacheError, match=r"different CLIPs.*\n.*weights_sha256 differs: images 'w', prompts 'v'"):
        score(place, path, prompts=prompts)
    assert contents(path) == contents(complete)


def test_a_missing_prompt_is_refused(place, path, complete):
    prompts = write_prompts(path.parent / "prompts", texts_of(place.sets.values())[1:])
    with pytest.raises(CacheError, match=r"the prompt cache has no embedding of 'an expression of happiness\.'"):
        score(place, path, prompts=prompts)
    assert contents(path) == contents(complete)


def test_images_without_labels_are_refused(place, tmp_path):
    images = write_test_set(tmp_path / "test", labels=np.full(ROWS, -1))
    with pytest.raises(DataError, match="has rows without a label"):
        score(place, tmp_path / "scores.json", images=images)
    assert not (tmp_path / "scores.json").exists()


def test_a_prompt_set_without_these_classes_is_refused(place, tmp_path):
    images = write_test_set(tmp_path / "test", classes=("a", "b", "c"))
    with pytest.raises(SettingsError, match="has no prompts for a, b, c"):
        score(place, tmp_path / "scores.json", images=images)


@pytest.mark.parametrize(
    ("problem", "error", "message"),
    [
        ("missing", DataError, r"new\.safetensors: no such head"),
        ("damaged", DataError, r"new\.safetensors: .*damaged"),
        ("of another width", CacheError, "takes features of width 5, but .* has width 6"),
    ],
)
def test_a_head_that_cannot_be_used_is_refused(place, path, complete, tmp_path, problem, error, message):
    file = tmp_path / "new.safetensors"
    if problem == "damaged":
        raw = bytearray(place.heads[0].path.read_bytes())
        raw[-1] ^= 1
        file.write_bytes(raw)
    elif problem == "of another width":
        write_head(file, np.ones((9, 5)), {})
    with pytest.raises(error, match=message):
        score(place, path, [*place.heads, HeadToScore("t5", "new", None, file)])
    assert contents(path) == contents(complete)


def test_a_head_whose_file_is_gone_is_refused(place, path, complete, tmp_path):
    moved = Path(shutil.copy(place.heads[0].path, tmp_path / "moved.safetensors"))
    heads = [HeadToScore("t5", "slow", 1, moved)]
    score(place, path, heads)
    before = path.read_bytes()
    moved.unlink()
    with pytest.raises(DataError, match=r"moved\.safetensors: cannot be read \(No such file"):
        score(place, path, heads)
    assert path.read_bytes() == before


def test_a_head_that_was_fitted_to_another_clip_is_refused(place, tmp_path):
    head = place.heads[0]
    path = tmp_path / "head.safetensors"
    write_head(path, read_head(head.path), read_record(head.path) | {CLIP: {"weights_sha256": "v"}})
    with pytest.raises(DataError, match=r"head\.safetensors: was fitted to features of another CLIP"):
        score(place, tmp_path / "scores.json", heads=[HeadToScore(head.teacher, head.head, head.seed, path)])
    assert not (tmp_path / "scores.json").exists()
