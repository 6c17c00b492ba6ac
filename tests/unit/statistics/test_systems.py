"""Seeds are averaged per system and compared with the plain CLIP of the same backbone and prompts."""

import numpy as np
import pytest

from expclip_cache.base.errors import DataError
from expclip_cache.reporting.sections import sections_of
from expclip_cache.reporting.system_names import system_names
from expclip_cache.statistics.system import System
from expclip_cache.statistics.systems import mean_scores, system_scores, under_highest_type
from score_rows import made_up_statistics, scores_of, study_rows


def test_means_and_deviations_equal_a_plain_computation():
    rows = study_rows(backbones=("b32", "b16"), teachers=("t", "u"), prompts=("reference", "clean"))
    found = scores_of(rows)
    assert len(found) == 2 * 3 * 2 * 2 * (1 + 2 * 2)
    for system in found:
        key = (system.test_set, system.backbone, system.teacher, system.head, system.prompts, system.prompt_type)
        mine = [
            row
            for row in rows
            if (row.test_set, row.backbone, row.teacher, row.head, row.prompts, row.prompt_type) == key
        ]
        clip = [
            row
            for row in rows
            if (row.test_set, row.backbone, row.prompts, row.prompt_type) == (*key[:2], *key[4:]) and not row.head
        ]
        uar, war = (np.array([getattr(row, kind) for row in mine]) for kind in ("uar", "war"))
        assert system.seeds == {"": 0, "ridge": 1, "contrastive": 3}[system.head]
        assert (system.uar, system.war) == (pytest.approx(uar.mean()), pytest.approx(war.mean()))
        deviations = [np.sqrt(((x - x.mean()) ** 2).sum() / (len(x) - 1)) if len(x) > 1 else 0 for x in (uar, war)]
        assert (system.uar_std, system.war_std) == (pytest.approx(deviations[0]), pytest.approx(deviations[1]))
        assert (system.clip_uar, system.clip_war) == (clip[0].uar, clip[0].war)
        assert system.gain == pytest.approx(uar.mean() - clip[0].uar)
        assert system.intervals.uar.covers(system.uar)
        assert (system.gain_interval is None) == (system.head == "")
        assert system.gain_interval is None or system.gain_interval.covers(system.gain)
        assert (system.items, system.skipped) == (mine[0].items, mine[0].skipped)


def test_a_head_without_its_plain_clip_is_an_error():
    rows = [row for row in study_rows() if row.head]
    with pytest.raises(KeyError):
        system_scores(rows, made_up_statistics(study_rows()))


def test_two_rows_of_plain_clip_are_an_error():
    rows = study_rows()
    with pytest.raises(ValueError, match="too many values"):
        system_scores([*rows, rows[0]], made_up_statistics(rows))


def test_the_means_over_the_test_sets_are_those_of_the_statistics():
    rows = study_rows(teachers=("t", "u"))
    scores = scores_of(rows)
    means = mean_scores(scores, made_up_statistics(rows))
    assert len(means) == 2 * (1 + 2 * 2)
    for mean in means:
        of_sets = [one for one in scores if (one.system, one.prompt_type) == (mean.system, mean.prompt_type)]
        assert len(of_sets) == 3
        assert mean.uar == pytest.approx(np.mean([one.uar for one in of_sets]))
        assert mean.gain == pytest.approx(np.mean([one.gain for one in of_sets]))
    rows = study_rows(test_sets=("raf-db",))
    assert mean_scores(scores_of(rows), made_up_statistics(rows)) == []


def test_statistics_of_another_study_are_refused():
    rows = study_rows(heads=("ridge",))
    with pytest.raises(DataError, match=r"results/statistics: expected demo-clean with .*contrastive.*run `dvc repro`"):
        system_scores(study_rows(), made_up_statistics(rows))


def test_the_highest_type_is_that_of_each_prompt_set():
    rows = scores_of([*study_rows(prompts=("own",), types=(0,)), *study_rows(prompts=("reference",), types=(2, 5))])
    assert {(row.prompts, row.prompt_type) for row in under_highest_type(rows)} == {("own", 0), ("reference", 5)}


def test_names_tell_systems_apart():
    several = scores_of(study_rows(backbones=("b32", "b16"), teachers=("t", "u"), prompts=("reference", "clean")))
    names = system_names(row.system for row in several)
    assert len(set(names.values())) == len(names) == 2 * 2 * (1 + 2 * 2)
    assert names["b16", "u", "ridge", "clean"] == "ridge / b16 / u / clean"
    assert names["b16", "", "", "clean"] == "plain CLIP / b16 / clean"
    one = system_names(row.system for row in scores_of(study_rows()))
    assert list(one.values()) == ["plain CLIP", "contrastive", "ridge"]


def test_every_system_is_in_one_section():
    heads = [System("b32", "t", "a", "p"), System("b32", "t", "b", "p"), System("b16", "u", "a", "p")]
    plain = [System(backbone, "", "", "p") for backbone in ("b32", "b16", "l14")]
    found = sections_of([plain[0], *heads[:2], plain[1], heads[2], plain[2]])
    assert [(section.clip, section.heads) for section in found] == [
        (plain[0], tuple(heads[:2])),
        (plain[1], (heads[2],)),
        (plain[2], ()),
    ]
    assert [section.title for section in found] == [
        "backbone b32, teacher t",
        "backbone b16, teacher u",
        "backbone l14",
    ]
