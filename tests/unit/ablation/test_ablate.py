"""An ablation of a real, tiny study: its cells are the study's own scores, and those of independent fits."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from expclip_cache.ablation import AblationOptions, ablate
from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.faces import drawn_rows
from expclip_cache.base import CacheError, DataError, SettingsError, SilentReporter, build
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import ContrastiveSettings, fit_contrastive, fit_ridge, head_path, head_seeds
from expclip_cache.prompts import PromptSettings
from expclip_cache.scoring import HeadToScore, PredictionFile, complete_scores, score, scores_csv
from expclip_cache.settings import head_folder, image_features, prompt_features
from expclip_cache.statistics import Row, System, read_answers, study_statistics
from tiny_ablation import TREE, StoppingReporter, study, write_project
from tiny_study import ROWS, RecordingReporter, write_images

KEY = ["test_set", "backbone", "prompts", "prompt_type", "aggregation", "teacher", "head", "seed"]
LEFT_OUT = "prompt type 1 of reference cannot be compared: 6 prompts are not cached for large, small; add 1 to prompts."
TYPE_5 = PromptSettings(types=(5,))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_project(study())
    return folder


@pytest.fixture
def project(written, tmp_path, monkeypatch):
    """The study in a copy of the project, which is the current folder."""
    shutil.copytree(written, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return study()


def run(settings, report=None, out="ablations", **options):
    """The two tables of an ablation."""
    ablate(settings, build(AblationOptions, **options), Path(out), report or SilentReporter())
    return tuple(pd.read_csv(f"{out}/{name}.csv", keep_default_na=False) for name in ("ablation", "axes"))


def study_scores(settings) -> pd.DataFrame:
    """results/scores.csv, as the stage makes it."""
    found = []
    for backbone in settings.backbones:
        heads = [
            HeadToScore(teacher, name, seed, head_path(head_folder(backbone, teacher), name, seed))
            for of_backbone, teacher, heads in settings.pairs()
            if of_backbone == backbone
            for name, head in heads.items()
            for seed in head_seeds(head)
        ]
        found += [
            complete_scores(
                Path(f"scores/{backbone}/{name}.json"),
                Path(f"predictions/{backbone}/{name}.parquet"),
                FeatureCache(image_features(backbone, name)),
                FeatureCache(prompt_features(backbone)),
                settings.prompts,
                heads,
                backbone=backbone,
                test_set=name,
            )
            for name in settings.score.datasets
        ]
    Path("scores.csv").write_text(scores_csv(found))
    return pd.read_csv("scores.csv", keep_default_na=False)


def images_of(rows, backbone, folder="some") -> FeatureCache:
    """Training features in which no row but these has any."""
    others = tuple({*range(ROWS)} - {*rows.tolist()})
    return write_images(Path(folder, "train"), bad=others, weights_sha256=backbone)


def scored(backbone, test_set, weights) -> tuple[float, float]:
    """UAR and WAR of a head by `score`, as a csv has them."""
    (found,) = score(image_features(backbone, test_set), prompt_features(backbone), {"": weights}, TYPE_5)
    return round(found.heads[""].uar, 3), round(found.heads[""].war, 3)


def test_the_cells_of_the_study_have_its_scores_to_the_digit(project):
    cells, _ = run(project, full=True, faces=["all"])
    scores = study_scores(project)
    # The entry `twin` is the set of `reference` with another aggregation.
    scores["aggregation"] = scores.prompts.map({"reference": "mean", "twin": "nearest", "mine": "mean"})
    scores["prompts"] = scores.prompts.replace("twin", "reference")
    both = scores.merge(cells, on=KEY, suffixes=("", "_ablation"))
    assert len(both) == len(scores) == 2 * 5 * (3 * 4 + 2)
    for column in ("items", "skipped", "uar", "war"):
        assert both[column].tolist() == both[f"{column}_ablation"].tolist(), column


def test_one_axis_at_a_time_is_varied_around_the_first_of_everything(project):
    report = RecordingReporter()
    cells, axes = run(project, report, faces=[40, "all"], draws=2)
    values = {axis: rows.value.drop_duplicates().tolist() for axis, rows in axes.groupby("axis", sort=False)}
    assert values == {
        "prompt-type": ["2", "3", "4", "5"],
        "aggregation": ["mean", "renorm_mean", "nearest"],
        "prompts": ["reference", "mine"],
        "backbone": ["small"],
        "teacher": ["t5", "opt"],
        "instruction": ["Describe the face.", "Which expression?"],
        "head": ["sgd", "ridge"],
        "faces": ["40", "117"],
    }
    assert report.lines[0].startswith(LEFT_OUT)
    assert report.lines[1].startswith("backbone large is left out of its axis: the study has no head sgd for backbone")
    heads = cells[cells["head"] != ""]
    choices = heads.drop_duplicates(["prompts", "prompt_type", "aggregation", "teacher", "head", "faces"])
    assert len(choices) == 1 + 3 + 2 + 1 + 1 + 1 + 1 + 1
    assert len(heads) == 2 * (9 * 2 + 1 + 2), "two test sets; seeds, ridge, two draws with one seed"
    assert len(cells) - len(heads) == 2 * 7, "plain CLIP with every kind of prompts"
    text = Path("ablations/index.html").read_text()
    assert "Which expression?" in text
    assert LEFT_OUT in text


def test_every_combination_is_a_product_of_what_the_study_has(project):
    axes = ["teacher", "instruction", "head", "aggregation"]
    cells, _ = run(project, full=True, axes=axes)
    heads = cells[cells["head"] != ""]
    found = set(zip(heads.teacher, heads["head"], heads.aggregation, strict=True))
    assert len(found) == 3 * 2 * 3
    assert (set(heads.prompt_type), set(heads.backbone)) == ({5}, {"small"})


def test_ridge_heads_of_a_draw_are_those_of_a_cache_of_these_faces(project):
    cells, _ = run(project, axes=["faces"], centre={"head": "ridge", "backbone": "large"}, faces=[30, 80], draws=2)
    every_row = CachedStudy(project).training_rows("large", "t5")
    drawn = cells[cells.draw != ""]
    assert len(drawn) == 2 * 2 * 2
    for row in drawn.itertuples():
        chosen = drawn_rows(every_row, int(row.faces), int(row.draw))
        targets = FeatureCache("features/targets/t5/train")
        some = images_of(chosen, "large", f"{row.test_set}-{row.faces}-{row.draw}")
        weights = fit_ridge(some, targets, project.heads["ridge"]).weights
        assert (row.uar, row.war) == scored("large", row.test_set, weights)


def test_contrastive_heads_are_really_trained_on_the_draw(project):
    cells, _ = run(project, axes=["faces"], faces=[60], draws=1, seeds=2)
    chosen = drawn_rows(CachedStudy(project).training_rows("small", "t5"), 60, 1)
    settings, targets = project.heads["sgd"], FeatureCache("features/targets/t5/train")
    assert isinstance(settings, ContrastiveSettings)
    heads = fit_contrastive(images_of(chosen, "small"), targets, settings, device="cpu")
    drawn = cells[cells.draw != ""]
    assert len(drawn) == 2 * 2
    for row in drawn.itertuples():
        weights = heads.weights[settings.seeds.index(int(row.seed))]
        assert (row.uar, row.war) == scored("small", row.test_set, weights)


def test_heads_that_cannot_be_fitted_are_named_and_left_out(project):
    report = RecordingReporter()
    cells, _ = run(project, report, axes=["faces", "head"], faces=[20, 60], draws=2, full=True)
    assert [line.split(":")[0] for line in report.lines if "batch_size" in line] == [
        f"sgd on draw {draw} of 20 faces is left out" for draw in (1, 2)
    ]
    assert set(cells[cells["head"] == "sgd"].faces) == {"60", "117"}
    assert set(cells[cells["head"] == "ridge"].faces) == {"20", "60", "117"}
    with pytest.raises(SettingsError, match="the head at the centre cannot be fitted"):
        run(project, axes=["faces"], centre={"faces": "20"})


def test_a_run_that_is_stopped_goes_on_and_gives_the_same_files(project):
    options = {"axes": ["head", "faces"], "faces": [40, 60], "draws": 2}
    expected = run(project, out="whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(project, StoppingReporter(after=4), **options)
    assert not Path("ablations/ablation.csv").exists()
    kept = set(Path("ablations/kept").iterdir())
    assert len(kept) == 5
    report = RecordingReporter()
    found = run(project, report, **options)
    assert f"{len(kept)} are kept" in " ".join(report.lines)
    assert report.bars[0] == ("ablation", len(expected[0]) // 2 - len(kept))
    for name in ("ablation.csv", "axes.csv", "index.html"):
        assert Path("whole", name).read_bytes() == Path("ablations", name).read_bytes()
    assert all(a.equals(b) for a, b in zip(expected, found, strict=True))
    again = RecordingReporter()
    run(project, again, **options)
    assert "0 heads to fit" in " ".join(again.lines)
    assert "ablation" not in [title for title, _ in again.bars]


def test_a_damaged_cell_is_made_again(project):
    run(project, axes=["head"])
    first, *_ = sorted(Path("ablations/kept").iterdir())
    whole = first.read_bytes()
    first.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    report = RecordingReporter()
    run(project, report, axes=["head"])
    assert report.bars[0] == ("ablation", 1)
    assert first.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "made_again"),
    [
        ({"prompts": {"reference": {"types": [5]}}}, 0),
        ({"heads": {"ridge": {"kind": "ridge", "held_out": 0.2, "batch_size": 20}}}, 0),
        ({"score": {"datasets": ["second"]}}, 1 + 1 + 4),
    ],
    ids=["other types", "another head", "fewer test sets"],
)
def test_only_what_determines_a_cell_makes_it_again(project, change, made_again):
    options = {"axes": ["faces"], "faces": [60], "centre": {"head": "ridge", "backbone": "small"}, "draws": 4}
    run(project, **options)
    report = RecordingReporter()
    run(study(TREE | change), report, **options)
    assert sum(total for title, total in report.bars if title == "ablation") == made_again


def test_what_is_not_cached_is_left_out_with_what_to_do(project):
    shutil.rmtree("features/targets/opt")
    shutil.rmtree("heads/small/t5-short/ridge")
    report = RecordingReporter()
    _, axes = run(project, report, axes=["teacher", "instruction", "head", "aggregation"], centre={"head": "ridge"})
    assert set(axes[axes.axis == "teacher"].value) == {"t5"}
    assert set(axes[axes.axis == "instruction"].value) == {"Describe the face."}
    lines = "\n".join(report.lines)
    assert "teacher opt is left out: features/targets/opt/train" in lines
    assert "`dvc repro` makes it." in lines
    assert "heads/small/t5-short/ridge/closed-form.safetensors: this head of the study is missing" in lines


def test_what_is_asked_for_has_to_be_cached(project):
    with pytest.raises(SettingsError, match="--prompt-types: prompt type 1 of reference cannot be compared"):
        run(project, prompt_types=[1, 5])
    shutil.rmtree("features/targets/opt")
    with pytest.raises(CacheError, match="features/targets/opt/train"):
        run(project, teachers=["t5", "opt"])
    shutil.rmtree("heads")
    with pytest.raises(DataError, match="there is no head to compare"):
        run(project)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"centre": {"head": "none"}}, "nothing can be compared with head none"),
        ({"centre": {"head": "sgd", "backbone": "large"}}, "head sgd, backbone large"),
        ({"centre": {"prompt-type": "1"}}, "expected prompt-type to be one of 2, 3, 4, 5, found '1'"),
        ({"centre": {"aggregation": "median"}}, "expected aggregation to be one of mean, renorm_mean, nearest"),
        ({"centre": {"faces": "many"}}, "a number of faces or all"),
        ({"centre": {"instruction": "Hello"}}, "name that: --centre teacher=NAME"),
        ({"faces": [1000]}, "1,000 are asked for, but 117"),
        ({"heads": ["none"]}, "names 'none', which is not in heads: sgd, ridge"),
        ({"axes": ["backbone"]}, "nothing is varied: there is one value alone of backbone"),
    ],
)
def test_an_option_that_names_nothing_is_refused(project, options, message):
    with pytest.raises(SettingsError, match=message):
        run(project, **options)


def test_a_change_is_the_difference_to_the_centre(project):
    _, axes = run(project, axes=["backbone"], centre={"head": "ridge"})
    of_first = axes[axes.test_set == "first"].set_index("value")
    assert of_first.index.tolist() == ["small", "large"]
    assert of_first.uar_change["small"] == ""
    change = float(of_first.uar_change["large"])
    assert change == pytest.approx(of_first.uar["large"] - of_first.uar["small"], abs=2e-3)
    assert float(of_first.uar_change_low["large"]) < change < float(of_first.uar_change_high["large"])
    of_large = axes[axes.value == "large"]
    assert of_large[of_large.test_set == ""].uar.item() == pytest.approx(
        of_large[of_large.test_set != ""].uar.mean(), abs=2e-3
    )


def test_intervals_and_changes_are_those_of_the_stage(project):
    """Of what the stage `intervals` has as well: the same scores, and the same pairs."""
    _, axes = run(project, axes=["head", "prompt-type", "teacher"])
    study_scores(project)
    files = {
        name: {
            backbone: PredictionFile(Path(f"predictions/{backbone}/{name}.parquet")) for backbone in ("small", "large")
        }
        for name in project.score.datasets
    }
    sets = {name: project.datasets[name] for name in project.score.datasets}
    answers = {name: read_answers(of_backbone) for name, of_backbone in files.items()}
    expected = study_statistics(answers, sets, project.statistics)
    centre = Row(System("small", "t5", "sgd", "reference"), 5)
    rows = {
        ("head", "sgd"): centre,
        ("head", "ridge"): Row(System("small", "t5", "ridge", "reference"), 5),
        ("prompt-type", "2"): Row(System("small", "t5", "sgd", "reference"), 2),
        ("teacher", "opt"): Row(System("small", "opt", "sgd", "reference"), 5),
    }
    scored = {(line.row, line.test_set): line for line in expected.rows}
    differences = {(line.row, line.against, line.test_set): line for line in expected.differences}
    found = axes.set_index(["axis", "value", "test_set"])
    for (axis, value), row in rows.items():
        for name in ("first", "second", ""):
            ours, line = found.loc[axis, value, name], scored[row, name]
            assert [float(ours[key]) for key in SCORED] == pytest.approx(
                [getattr(line, key) for key in SCORED], abs=6e-4
            )
            if row != centre:
                sign, pair = 1, differences.get((row, centre, name))
                if pair is None:
                    sign, pair = -1, differences[centre, row, name]
                assert float(ours.uar_change) == pytest.approx(sign * pair.uar, abs=6e-4)
                if sign == 1:
                    ends = [float(ours.uar_change_low), float(ours.war_change_high)]
                    assert ends == pytest.approx([pair.uar_low, pair.war_high], abs=6e-4)


SCORED = ("uar", "uar_low", "uar_high", "uar_std", "war", "war_low", "war_high", "war_std")
