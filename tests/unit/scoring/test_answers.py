"""Scores of an LLM's own answers: files, what is kept, what is refused."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import confusion_matrix

from answer_caches import write_answers
from expclip_cache.base import CacheError, DataError
from expclip_cache.scoring import RULES, Classifier, PredictionFile, complete_answer_scores, read_answer_scores
from tiny_study import RecordingReporter

NAMES = {"happiness": ["happiness", "joy"], "anger": ["anger"], "neutral": ["no emotion", "neutral", "calm"]}
TOKENS = (4, 2, 3, 3, 2, 2)
STARTS = (0, 2, 3, 6)


@pytest.fixture
def caches(tmp_path):
    random = np.random.default_rng(2)
    truth = np.arange(31) % 3
    seen = random.normal(-12, 2, (31, 6)) + 1.5 * (np.repeat(np.arange(3), [2, 1, 3]) == truth[:, None])
    written = np.eye(7)[random.integers(0, 7, 31)][:, :6]
    items = write_answers(tmp_path / "test", seen, NAMES, tokens=TOKENS, generated=written, labels=truth, bad=(4,))
    faces = random.normal(-12, 2, (20, 6))
    others = write_answers(tmp_path / "calibration", faces, NAMES, tokens=TOKENS, generated=np.zeros((20, 6)), bad=(0,))
    return items, others


def score(caches, folder, **more):
    return complete_answer_scores(
        folder / "s.json", folder / "p.parquet", *caches, name="demo-llm", test_set="demo-clean", **more
    )


def by_hand(caches):
    items, others = (cache[cache.good_rows][:, :6].astype("f8") for cache in caches)

    def raw(rows):
        return np.stack([logsumexp(rows[:, a:b], axis=1) for a, b in pairwise(STARTS)], axis=1)

    per_token = items / TOKENS
    return {
        "raw": raw(items),
        "length-normalised": np.stack([per_token[:, a:b].max(1) for a, b in pairwise(STARTS)], 1),
        "calibrated": raw(items) - raw(others).mean(axis=0),
    }


def test_scores_predictions_and_rows_are_those_of_the_formulas(caches, tmp_path):
    found, truth = score(caches, tmp_path), np.delete(np.arange(31) % 3, 4)
    file = PredictionFile(tmp_path / "p.parquet")
    assert file.classifiers == [Classifier("", 0, "demo-llm", rule) for rule in RULES]
    assert (file.logit_scale, file.classes) == (1.0, tuple(NAMES))
    np.testing.assert_array_equal(file.truth, truth)
    for row, (rule, expected) in zip(found.rows(), by_hand(caches).items(), strict=True):
        classifier = Classifier("", 0, "demo-llm", rule)
        np.testing.assert_allclose(file.similarities(classifier), expected, rtol=1e-6)
        np.testing.assert_array_equal(file.predicted(classifier), expected.argmax(axis=1))
        np.testing.assert_array_equal(found.rules[rule], confusion_matrix(truth, expected.argmax(axis=1)))
        assert (row.backbone, row.teacher, row.head, row.prompts, row.prompt_type) == ("", "demo-llm", rule, "", 0)
        assert (row.items, row.skipped) == (30, 1)
        assert row.war == pytest.approx(100 * (truth == expected.argmax(axis=1)).mean())


def test_agreement_with_what_was_generated_is_counted_by_class(caches, tmp_path):
    items = caches[0]
    written = items[items.good_rows][:, 6:]
    named = [np.repeat(np.arange(3), [2, 1, 3])[row.argmax()] if row.any() else None for row in written]
    raw = by_hand(caches)["raw"].argmax(axis=1)
    found = score(caches, tmp_path).greedy
    assert found.agreement == pytest.approx(100 * np.mean([a == b for a, b in zip(named, raw, strict=True)]))
    assert found.no_name == pytest.approx(100 * np.mean([one is None for one in named]))


def test_without_generation_nothing_is_said_of_it(tmp_path):
    rows = np.zeros((4, 2))
    names = {"a": ["a"], "b": ["b"]}
    caches = (
        write_answers(tmp_path / "test", rows, names, labels=np.array([0, 1, 0, 1])),
        write_answers(tmp_path / "faces", rows, names),
    )
    assert score(caches, tmp_path).greedy is None
    assert read_answer_scores(tmp_path / "s.json").greedy is None


def test_a_file_is_read_as_it_was_written_and_kept(caches, tmp_path):
    found, reporter = score(caches, tmp_path), RecordingReporter()
    before = [(tmp_path / name).stat().st_mtime_ns for name in ("s.json", "p.parquet")]
    again = score(caches, tmp_path, report=reporter)
    assert [(tmp_path / name).stat().st_mtime_ns for name in ("s.json", "p.parquet")] == before
    assert reporter.lines == []
    for one in (again, read_answer_scores(tmp_path / "s.json")):
        assert one.rows() == found.rows()
        assert one.greedy == found.greedy
        assert one.classes == found.classes


@pytest.mark.parametrize("damaged", ["s.json", "p.parquet"])
def test_both_files_are_made_anew_if_one_is_damaged(caches, tmp_path, damaged):
    score(caches, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in ("s.json", "p.parquet")}
    (tmp_path / damaged).write_bytes(before[damaged][:-40])
    reporter = RecordingReporter()
    score(caches, tmp_path, report=reporter)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert reporter.lines == [f"{tmp_path}/s.json: 3 confusion matrices of 30 items"]


def test_other_calibration_faces_change_the_calibrated_answers_alone(caches, tmp_path):
    first = score(caches, tmp_path)
    other = write_answers(tmp_path / "other", np.tile([-3.0, -9, -1, -9, -2, -9], (5, 1)), NAMES, tokens=TOKENS,
                          generated=np.zeros((5, 6)))  # fmt: skip
    second = score((caches[0], other), tmp_path)
    assert second.made_by["answers"] == first.made_by["answers"]
    for rule in RULES:
        assert np.array_equal(first.rules[rule], second.rules[rule]) == (rule != "calibrated")


def test_a_changed_number_is_found(caches, tmp_path):
    score(caches, tmp_path)
    tree = json.loads((tmp_path / "s.json").read_text())
    tree["rules"]["raw"][0][0] += 1
    (tmp_path / "s.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match="does not match its own checksum"):
        read_answer_scores(tmp_path / "s.json")


@pytest.mark.parametrize("change", [{"question": "Another?"}, {"weights": "v"}, {"tokens": (1,) * 6}])
def test_calibration_by_another_model_or_question_is_refused(caches, tmp_path, change):
    more = {"tokens": TOKENS, **change}
    other = write_answers(tmp_path / "other", np.zeros((5, 6)), NAMES, generated=np.zeros((5, 6)), **more)
    with pytest.raises(CacheError, match=r"found another .*dvc repro answers"):
        score((caches[0], other), tmp_path)


def test_features_that_are_no_answers_are_refused(caches, tmp_path):
    shutil.copytree(tmp_path / "test", tmp_path / "copy")
    unlabelled = write_answers(tmp_path / "unlabelled", np.zeros((5, 6)), NAMES)
    with pytest.raises(DataError, match="has no labels"):
        score((unlabelled, caches[1]), tmp_path)
