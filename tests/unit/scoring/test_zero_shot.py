"""`score` and `expclip-cache score`: any head on cached features, against the formulas."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from expclip_cache.base.errors import CacheError, DataError, SettingsError
from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.origin import CLIP
from expclip_cache.prompts.settings import PromptSettings
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.scoring.zero_shot import score
from expclip_cache.statistics.own_predictions import difference_intervals, score_intervals
from labelled_caches import write_labelled, write_prompts

CLASSES = ("happiness", "sadness", "fear")
TABLE = prompt_table("reference", (1, 2), CLASSES)
TEXTS = list(dict.fromkeys(prompt.text for prompt in TABLE))
RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.standard_normal((40, 6)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 40)
EMBEDDINGS = RANDOM.standard_normal((len(TEXTS), 6)).astype(np.float32)
SKIPPED = 7
HEADS = {"a": RANDOM.standard_normal((9, 6)), "b": RANDOM.standard_normal((9, 6))}


@pytest.fixture
def place(tmp_path):
    """A cache of 40 images, one of them skipped, a cache of the prompts of types 1 and 2, and two heads."""
    write_labelled(tmp_path / "faces", IMAGES, LABELS, [f"{n}.png" for n in range(40)], CLASSES, skipped=(SKIPPED,))
    write_prompts(tmp_path / "prompts", EMBEDDINGS, TEXTS)
    for name, weights in HEADS.items():
        write_head(tmp_path / f"{name}.safetensors", weights, {})
    return tmp_path


def plain_scores(kind: int, head: np.ndarray | None) -> tuple[float, float]:
    """UAR and WAR by the formulas, one image at a time: cos(Wx, Wt), argmax over the prompts (one per class)."""
    project = np.eye(6) if head is None else head
    prompts = {prompt.class_name: EMBEDDINGS[TEXTS.index(prompt.text)] for prompt in TABLE if prompt.type == kind}
    right = {0: [], 1: [], 2: []}
    for row in range(40):
        if row == SKIPPED:
            continue
        x = project @ IMAGES[row]
        similarity = {
            name: (x @ (project @ t)) / np.linalg.norm(x) / np.linalg.norm(project @ t) for name, t in prompts.items()
        }
        right[LABELS[row]].append(max(similarity, key=similarity.get) == CLASSES[LABELS[row]])
    hits = [hit for hits in right.values() for hit in hits]
    return 100 * float(np.mean([np.mean(hits) for hits in right.values()])), 100 * float(np.mean(hits))


def test_scores_equal_the_formulas(place):
    heads = {name: place / f"{name}.safetensors" for name in HEADS}
    rows = score(place / "faces", place / "prompts", heads, PromptSettings(types=(1, 2)))
    assert [row.prompt_type for row in rows] == [1, 2]
    for row in rows:
        assert (row.skipped, row.clip.items) == (1, 39)
        assert (row.clip.uar, row.clip.war) == pytest.approx(plain_scores(row.prompt_type, None))
        for name, head in HEADS.items():
            assert (row.heads[name].uar, row.heads[name].war) == pytest.approx(plain_scores(row.prompt_type, head))


def test_opened_caches_and_matrices_give_the_same_scores(place):
    settings = PromptSettings(types=(1, 2))
    opened = score(FeatureCache(place / "faces"), FeatureCache(place / "prompts"), HEADS, settings)
    files = {name: str(place / f"{name}.safetensors") for name in HEADS}
    assert opened == score(str(place / "faces"), str(place / "prompts"), files, settings)


def test_without_heads_plain_clip_is_scored(place):
    (row,) = score(place / "faces", place / "prompts", settings=PromptSettings(types=(2,)))
    assert (row.clip.uar, row.clip.war) == pytest.approx(plain_scores(2, None))
    assert row.heads == {}


def test_a_head_that_is_not_a_matrix_is_refused(place):
    with pytest.raises(DataError, match=r"head flat: expected a matrix \(t, d\), found an array of shape \(6,\)"):
        score(place / "faces", place / "prompts", {"flat": np.ones(6)}, PromptSettings(types=(2,)))


def test_images_without_labels_are_refused(place):
    write_labelled(place / "unlabelled", IMAGES, np.full(40, -1), [f"{n}.png" for n in range(40)], CLASSES)
    with pytest.raises(DataError, match="unlabelled: has rows without a label"):
        score(place / "unlabelled", place / "prompts", settings=PromptSettings(types=(2,)))
    write_labelled(place / "plain", IMAGES, np.full(40, -1), [f"{n}.png" for n in range(40)], ())
    with pytest.raises(
        DataError, match=r"plain: the test set has no labels.*Extract it .* with --layout image-folders"
    ):
        score(place / "plain", place / "prompts", settings=PromptSettings(types=(2,)))


def run(place, *arguments):
    return CliRunner().invoke(
        app, ["score", str(place / "faces"), "--prompt-features", str(place / "prompts"), *map(str, arguments)]
    )


def test_the_command_scores_every_encoded_type_and_prints_json(place):
    result = run(place, "--head", place / "a.safetensors", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert (found["items"], found["skipped"]) == (39, 1)
    assert list(found["prompt_types"]) == ["1", "2"]
    (uar, war), clip = plain_scores(2, HEADS["a"]), plain_scores(2, None)
    own = found["prompt_types"]["2"]["heads"]["a"]
    assert (own["uar"], own["war"]) == (round(uar, 3), round(war, 3))
    assert own["uar_gain"] == pytest.approx(uar - clip[0], abs=6e-4)
    for name in ("uar", "war", "uar_gain", "war_gain"):
        low, high = own[f"{name}_interval"]
        assert low <= own[name] <= high
        assert 5 < high - low < 60
    assert found["prompt_types"]["2"]["clip"].keys() == {"uar", "uar_interval", "war", "war_interval"}


def test_intervals_are_those_of_the_predictions(place):
    (row,) = score(place / "faces", place / "prompts", HEADS, PromptSettings(types=(2,)))
    (found,) = json.loads(run(place, "--types", "2", "--head", place / "a.safetensors", "--json").stdout)
    truth, before, after = row.predictions.truth, row.predictions.clip[2], row.predictions.expclip[2]["a"]
    clip, head = found["prompt_types"]["2"]["clip"], found["prompt_types"]["2"]["heads"]["a"]
    # The same up to the draws, which depend on the name of the test set.
    own = score_intervals(truth, before, len(CLASSES)).uar
    assert clip["uar_interval"] == pytest.approx([own.low, own.high], abs=1)
    gain = difference_intervals(truth, after, before, len(CLASSES)).uar
    assert head["uar_gain_interval"] == pytest.approx([gain.low, gain.high], abs=1)
    text = " ".join(run(place, "--types", "2", "--head", place / "a.safetensors").stdout.split())
    assert "[{:.1f}, {:.1f}]".format(*clip["uar_interval"]) in text
    assert "{:+.1f} [{:.1f}, {:.1f}]".format(head["uar_gain"], *head["uar_gain_interval"]) in text
    assert "95 % intervals of UAR over the test items, and of the gain (+) over plain CLIP." in text


def test_the_command_prints_a_table_without_heads(place):
    result = run(place, "--types", "2")
    assert result.exit_code == 0, result.output
    uar, war = plain_scores(2, None)
    assert f"{uar:.2f} / {war:.2f}" in result.stdout
    assert "39 items" in result.stdout
    assert "+1 skipped" in result.stdout
    assert "type 1" not in result.stdout
    assert "mean" not in result.stdout


def test_several_test_sets_get_a_mean(place):
    shutil.copytree(place / "faces", place / "again")
    result = run(place, place / "again", "--types", "2", "--head", place / "a.safetensors")
    assert result.exit_code == 0, result.output
    uar, war = plain_scores(2, HEADS["a"])
    assert result.stdout.count(f"{uar:.2f} / {war:.2f}") == 3, "two identical sets and their mean"
    assert result.stdout.count("mean") == 1
    both = json.loads(run(place, place / "again", "--json").stdout)
    assert [found["features"] for found in both] == [str(place / "faces"), str(place / "again")]


def test_many_test_sets_fill_further_tables_of_80_columns(place):
    more = [shutil.copytree(place / "faces", place / f"faces-from-another-laboratory-{number}") for number in range(5)]
    output = run(place, *more, "--types", "1,2").stdout
    assert max(len(line.rstrip()) for line in output.splitlines()) <= 80
    assert output.count("UAR / WAR in percent, continued") == 2
    for kind in (1, 2):
        uar, war = plain_scores(kind, None)
        assert output.count(f"{uar:.2f} / {war:.2f}") == 7, "six identical sets and their mean"


def test_heads_with_the_same_file_name_are_named_by_their_paths(place):
    write_head(place / "other/a.safetensors", HEADS["b"], {})
    heads = [place / "a.safetensors", place / "other/a.safetensors"]
    result = run(place, "--types", "2", "--json", "--head", heads[0], "--head", heads[1])
    (found,) = json.loads(result.stdout)
    assert list(found["prompt_types"]["2"]["heads"]) == [str(head) for head in heads]


def test_prompts_from_another_clip_are_refused(place):
    write_prompts(place / "other", EMBEDDINGS, TEXTS, weights="v")
    with pytest.raises(CacheError, match=r"different CLIPs.*\n.*weights_sha256 differs: images 'w', prompts 'v'"):
        score(place / "faces", place / "other")


def test_missing_prompts_are_refused(place):
    result = run(place, "--types", "5")
    assert result.exit_code == 1
    assert "the prompt cache has no embedding of" in result.output
    write_prompts(place / "few", EMBEDDINGS[:1], TEXTS[:1])
    with pytest.raises(SettingsError, match=r"at least one type of the set 'clean'.*no type is complete"):
        score(place / "faces", place / "few", settings=PromptSettings(set="clean"), every_type=True)


def test_a_head_of_another_width_is_refused(place):
    write_head(place / "wide.safetensors", np.ones((9, 8)), {})
    result = run(place, "--head", place / "wide.safetensors")
    assert result.exit_code == 1
    assert "takes features of width 8" in result.output


def test_a_head_that_was_fitted_to_another_clip_is_refused(place):
    path = place / "other.safetensors"
    write_head(path, HEADS["a"], {CLIP: {"model": "x", "weights_sha256": "v"}})
    with pytest.raises(
        DataError, match=r"other\.safetensors: was fitted to features of another CLIP(.|\n)*'v', here 'w'"
    ):
        score(place / "faces", place / "prompts", {"a": path}, PromptSettings(types=(2,)))
    write_head(path, HEADS["a"], {CLIP: {"model": "x", "weights_sha256": "w"}})
    assert "names no CLIP" not in run(place, "--types", "2", "--head", path).output
    assert f"{place / 'a.safetensors'}: names no CLIP" in run(
        place, "--types", "2", "--head", place / "a.safetensors"
    ).stderr.replace("\n", " ")
