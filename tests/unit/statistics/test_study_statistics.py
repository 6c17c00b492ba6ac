"""The statistics of a study from predictions: what is computed for which test sets, folds and pairs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from answers import answers_of
from expclip_cache.base.classes import CANONICAL
from expclip_cache.base.errors import DataError
from expclip_cache.datasets.definition import builtin_definitions
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.scoring.metrics import confusion
from expclip_cache.scoring.prediction_file import PredictionFile
from expclip_cache.scoring.score_file import read_score_file
from expclip_cache.settings.paths import STATISTICS, prediction_file, score_file
from expclip_cache.statistics.bootstrap import intervals, mean_draws, score_draws
from expclip_cache.statistics.items import Answers, common_items, controlled_pairs, read_answers
from expclip_cache.statistics.outcomes import item_outcomes, paired_outcomes
from expclip_cache.statistics.settings import StatisticsSettings
from expclip_cache.statistics.significance import holm, mcnemar
from expclip_cache.statistics.study import study_statistics
from expclip_cache.statistics.system import Row, System
from expclip_cache.statistics.tables import read_statistics, write_statistics
from sample_results import study, write_results

SETTINGS = StatisticsSettings(resamples=400)
CLIP = Row(System("b32", "", "", "reference"), 2)
HEAD = Row(System("b32", "t", "h", "reference"), 2)


def simulated(c: int, n: int, seeds: int, accuracy: float, seed: int, truth: np.ndarray | None = None) -> Answers:
    random = np.random.default_rng(seed)
    truth = random.integers(0, c, n) if truth is None else truth
    predicted = np.where(random.random((seeds, len(truth))) < accuracy, truth, (truth + 1) % c)
    confusions = tuple(confusion(truth, one, c) for one in predicted)
    return Answers(np.arange(len(truth)), truth, predicted == truth, confusions, CANONICAL[:c])


def pair_of(c: int, n: int, seed: int) -> dict[Row, Answers]:
    clip = simulated(c, n, 1, 0.5, seed)
    return {CLIP: clip, HEAD: simulated(c, n, 3, 0.6, seed + 1, clip.truth)}


def limits(found) -> list[float]:
    """Of a row, a difference or intervals."""
    own = getattr(found, "intervals", found)
    return [own.uar.low, own.uar.high, own.war.low, own.war.high]


def plain_set(name: str) -> DatasetSettings:
    return DatasetSettings(source=name, layout="image-folders")


def test_every_number_of_a_row_and_a_pair():
    answers = {"a": pair_of(3, 60, 1), "b": pair_of(3, 90, 5)}
    found = study_statistics(answers, {name: plain_set(name) for name in answers}, SETTINGS)
    assert [(row.test_set, row.part, row.row) for row in found.rows] == [
        (name, part, row) for name, part in (("a", "whole"), ("b", "whole"), ("", "mean")) for row in (CLIP, HEAD)
    ]
    for row in found.rows[:4]:
        own = answers[row.test_set][row.row]
        uars = [100 * np.mean([right[own.truth == k].mean() for k in range(3)]) for right in own.right]
        wars = [100 * right.mean() for right in own.right]
        assert (row.uar, row.war) == (pytest.approx(np.mean(uars)), pytest.approx(np.mean(wars)))
        if row.head:
            assert (row.uar_std, row.war_std) == (
                pytest.approx(np.std(uars, ddof=1)),
                pytest.approx(np.std(wars, ddof=1)),
            )
        assert (row.seeds, row.items) == (3 * (row.head != ""), len(own.truth))
        draws = score_draws(item_outcomes(own.truth, own.right.mean(axis=0), 3), SETTINGS, row.test_set)
        assert limits(row) == pytest.approx(limits(intervals(draws, SETTINGS)))
    for one in found.differences[:2]:
        clip, head = (answers[one.test_set][row] for row in (CLIP, HEAD))
        outcomes = paired_outcomes(clip.truth, head.right.mean(axis=0), clip.right.mean(axis=0), 3)
        draws = score_draws(outcomes, SETTINGS, one.test_set)
        assert limits(one) == pytest.approx(limits(intervals(draws, SETTINGS)))
        tested = mcnemar(head.right, clip.right)
        assert (one.only_this_right, one.only_other_right, one.mcnemar_p) == tested
        assert one.uar == pytest.approx(
            found.scored(one.test_set, "whole", HEAD).uar - found.scored(one.test_set, "whole", CLIP).uar
        )
    assert [one.holm_p for one in found.differences[:2]] == holm([one.mcnemar_p for one in found.differences[:2]])
    mean = found.difference("", "mean", HEAD, CLIP)
    assert mean.uar == pytest.approx(np.mean([one.uar for one in found.differences[:2]]))
    assert (mean.mcnemar_p, mean.holm_p, mean.items) == (None, None, 150)


@pytest.mark.parametrize("row", [CLIP, HEAD])
def test_the_recall_of_a_class_has_the_interval_of_a_beta_distribution(row):
    """With one head, or several that are right about the same items; a class without items has none."""
    settings = StatisticsSettings(resamples=100_000)
    matrix = np.array([[7, 1, 2, 0], [10, 20, 10, 0], [0, 0, 25, 0], [0, 0, 0, 0]])
    own = answers_of([matrix] * (3 if row.system.head else 1))
    found = study_statistics({"a": {row: own}}, {"a": plain_set("a")}, settings)
    assert [(one.class_name, one.items) for one in found.recalls] == list(
        zip(CANONICAL[:4], (10, 40, 25, 0), strict=True)
    )
    for one, correct in zip(found.recalls[:3], (7, 20, 25), strict=True):
        assert one.recall == pytest.approx(100 * correct / one.items)
        of_class = beta(correct + 1 / 3, one.items - correct + 1 / 3)
        away = of_class.ppf([0.025, 0.975]) - of_class.mean()
        expected = np.clip(one.recall + 100 * away * np.sqrt((one.items + 5 / 3) / one.items), 0, 100)
        assert (one.interval.low, one.interval.high) == pytest.approx(expected, abs=0.35)
        assert one.interval.covers(one.recall)
    assert (found.recalls[3].recall, found.recalls[3].interval) == (None, None)
    assert found.recall_intervals("a", row) == tuple(one.interval for one in found.recalls)
    with pytest.raises(DataError, match="results/statistics: expected b with"):
        found.recall_intervals("b", row)


def test_the_mean_of_independent_sets_has_a_narrower_interval():
    answers = {f"set-{k}": pair_of(3, 60, 10 * k) for k in range(4)}
    found = study_statistics(answers, {name: plain_set(name) for name in answers}, SETTINGS)
    draws = [
        score_draws(item_outcomes(own[CLIP].truth, own[CLIP].share_right, 3), SETTINGS, name)
        for name, own in answers.items()
    ]
    assert limits(found.scored("", "mean", CLIP)) == pytest.approx(limits(intervals(mean_draws(draws), SETTINGS)))
    widths = [row.uar_high - row.uar_low for row in found.rows if row.row == CLIP]
    assert widths[-1] == pytest.approx(np.mean(widths[:-1]) / 2, rel=0.2)


def test_folds_are_drawn_within_themselves_and_count_once_for_holm():
    dfew = str(builtin_definitions()["dfew"])
    names = {f"dfew-{fold}": DatasetSettings(source=dfew, fold=fold) for fold in (1, 2, 3, 4, 5)}
    answers = {name: pair_of(7, 140, 20 + k) for k, name in enumerate([*names, "other"])}
    found = study_statistics(answers, names | {"other": plain_set("other")}, SETTINGS)
    parts = [(row.test_set, row.part) for row in found.rows if row.row == HEAD]
    assert parts == [(name, "fold") for name in names] + [
        ("dfew", "fold mean"),
        ("dfew", "pooled"),
        ("other", "whole"),
        ("", "mean"),
    ]
    mean, pooled = (found.scored("dfew", part, HEAD) for part in ("fold mean", "pooled"))
    single = [found.scored(name, "fold", HEAD) for name in names]
    assert mean.uar == pytest.approx(np.mean([row.uar for row in single]))
    total = [sum(answers[name][HEAD].confusions[seed] for name in names) for seed in range(3)]
    assert pooled.uar == pytest.approx(np.mean([100 * np.mean(m.diagonal() / m.sum(axis=1)) for m in total]))
    assert mean.uar_high - mean.uar_low < 0.6 * min(row.uar_high - row.uar_low for row in single)
    lines = {(one.test_set, one.part): one for one in found.differences}
    assert lines["dfew", "fold mean"].mcnemar_p is None
    right = [np.concatenate([answers[name][row].right for name in names], axis=1) for row in (HEAD, CLIP)]
    tested = lines["dfew", "pooled"]
    assert (tested.only_this_right, tested.only_other_right, tested.mcnemar_p) == mcnemar(*right)
    assert [one.holm_p for one in found.differences if one.part == "fold"] == [None] * 5
    # In the mean over all sets DFEW counts once.
    assert found.scored("", "mean", HEAD).uar == pytest.approx(
        (mean.uar + found.scored("other", "whole", HEAD).uar) / 2
    )
    family = [lines["dfew", "pooled"], lines["other", "whole"]]
    assert [one.holm_p for one in family] == holm([one.mcnemar_p for one in family])


def test_without_all_folds_every_fold_counts():
    mafw = str(builtin_definitions()["mafw"])
    names = {f"mafw-{fold}": DatasetSettings(source=mafw, fold=fold) for fold in (1, 2)}
    found = study_statistics({name: pair_of(11, 110, k) for k, name in enumerate(names)}, names, SETTINGS)
    folds = [one for one in found.differences if one.part == "fold"]
    assert [one.holm_p for one in folds] == holm([one.mcnemar_p for one in folds])


def rows_of(backbones, heads, types) -> list[Row]:
    return [
        Row(System(backbone, teacher, head, "reference"), kind)
        for backbone in backbones
        for kind in types
        for teacher, head in (("", ""), *heads)
    ]


def test_pairs_differ_in_one_thing_and_later_rows_are_compared_with_earlier_ones():
    rows = rows_of(("b32", "b16"), (("t", "a"), ("t", "b"), ("u", "a"), ("u", "b")), (2, 5))
    pairs = controlled_pairs(rows)
    assert len(set(pairs)) == len(pairs)
    for row, other in pairs:
        assert rows.index(other) < rows.index(row)
        (system, kind), (against, other_kind) = row, other
        changed = [
            system.backbone != against.backbone,
            (system.teacher, system.head) != (against.teacher, against.head),
            kind != other_kind,
        ]
        assert sum(changed) == 1
        if changed[1] and against.head:
            assert (system.teacher != against.teacher) + (system.head != against.head) == 1
    # Of 5 classifiers under one type: 4 heads against CLIP, and 4 of the 6 pairs of heads.
    assert len(pairs) == 2 * 2 * (4 + 4) + 2 * 5 + 2 * 5


def test_calibrated_answers_are_paired_with_every_system_under_the_highest_types():
    """A head that is called as a rule is is no answer."""
    rows = rows_of(("b32", "b16"), (("t", "calibrated"),), (2, 5))
    own = [Row(System("", llm, rule, ""), 0) for llm in ("x", "y") for rule in ("raw", "calibrated")]
    pairs = [pair for pair in controlled_pairs([*rows, *own]) if pair not in controlled_pairs(rows)]
    (x_raw, x), (y_raw, y) = own[:2], own[2:]
    highest = [row for row in rows if row.prompt_type == 5]
    of_answers = {(x, x_raw), (y, y_raw), (y, x), (y_raw, x_raw)}
    assert set(pairs) == {(one, row) for one in (x, y) for row in highest} | of_answers
    assert len(pairs) == 2 * 4 + 4


def test_other_prompt_sets_are_other_prompts():
    first, second = Row(System("b32", "", "", "reference"), 5), Row(System("b32", "", "", "own"), 0)
    assert controlled_pairs([first, second]) == [(second, first)]


def test_items_that_one_encoder_skipped_are_left_out_of_its_pairs():
    own = pair_of(3, 50, 3)
    kept = np.delete(np.arange(50), [4, 30])
    head = own[HEAD].of_rows(kept)
    first, second = common_items(head, own[CLIP])
    np.testing.assert_array_equal(first.rows, kept)
    np.testing.assert_array_equal(second.right, own[CLIP].right[:, kept])
    np.testing.assert_array_equal(second.truth, own[CLIP].truth[kept])


def test_two_truths_for_an_item_are_refused():
    own = answers_of([np.array([[3, 1], [0, 2]])])
    with pytest.raises(DataError, match="two backbones have different true classes"):
        common_items(own, replace(own, truth=own.truth[::-1]))


def test_the_files_hold_what_was_computed_to_three_decimals(tmp_path):
    answers = {"a": pair_of(3, 60, 1), "b": pair_of(3, 90, 5)}
    found = study_statistics(answers, {name: plain_set(name) for name in answers}, SETTINGS)
    write_statistics(found, tmp_path)
    read = read_statistics(tmp_path, SETTINGS)
    for kind in ("rows", "recalls", "differences"):
        for written, one in zip(getattr(found, kind), getattr(read, kind), strict=True):
            for name, value in vars(written).items():
                if isinstance(value, float):
                    close = pytest.approx(value, rel=5e-3) if name.endswith("_p") else pytest.approx(value, abs=5e-4)
                    assert getattr(one, name) == close
                else:
                    assert getattr(one, name) == value
                assert type(getattr(one, name)) is type(value)


@pytest.mark.parametrize("damage", ["missing", "cut", "a word", "another column"])
def test_damaged_files_are_refused(tmp_path, damage):
    answers = {"a": pair_of(3, 60, 1)}
    file = tmp_path / "intervals.csv"
    write_statistics(study_statistics(answers, {"a": plain_set("a")}, SETTINGS), tmp_path)
    text = file.read_text()
    changed = {
        "cut": text[: len(text) - 30],
        "a word": text.replace("whole,b32,,,reference,2", "whole,b32,,,reference,two"),
        "another column": text.replace("uar_std", "uar_sd"),
    }
    file.unlink()
    if damage in changed:
        file.write_text(changed[damage])
    with pytest.raises(DataError, match=r"intervals\.csv: (is damaged|cannot be read).*dvc repro"):
        read_statistics(tmp_path, SETTINGS)


@pytest.mark.slow
def test_the_predictions_of_a_study_give_the_scores_of_its_files(tmp_path):
    settings = write_results(tmp_path, study(test_sets=("demo-grey", "demo-clips"), seeds=2), items=70)
    answers = {
        name: read_answers({"demo-clip": PredictionFile(tmp_path / prediction_file("demo-clip", name))})
        for name in ("demo-grey", "demo-clips")
    }
    for name, own in answers.items():
        for one, matrix in read_score_file(tmp_path / score_file("demo-clip", name)).confusions():
            row = Row(System("demo-clip", one.teacher, one.head, one.prompts), one.prompt_type)
            number = (one.seed or 1) - 1
            np.testing.assert_array_equal(own[row].confusions[number], matrix)
            assert own[row].right[number].sum() == np.trace(matrix)
    found = read_statistics(tmp_path / STATISTICS, settings.statistics)
    assert {row.row for row in found.rows} == {row for own in answers.values() for row in own}
