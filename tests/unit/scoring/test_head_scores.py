"""Any head, scored on cached features without a training stage."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from expclip_cache.base.errors import CacheError, SettingsError
from expclip_cache.commands.app import app
from expclip_cache.heads.head_file import write_head
from expclip_cache.prompts.settings import PromptSettings
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.scoring.head_scores import score_cache
from labelled_caches import write_labelled, write_prompts

CLASSES = ("happiness", "sadness", "fear")
TABLE = prompt_table("reference", (1, 2), CLASSES)
TEXTS = list(dict.fromkeys(prompt.text for prompt in TABLE))
RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.standard_normal((40, 6)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 40)
EMBEDDINGS = RANDOM.standard_normal((len(TEXTS), 6)).astype(np.float32)
BAD = 7
HEADS = {"a": RANDOM.standard_normal((9, 6)), "b": RANDOM.standard_normal((9, 6))}


@pytest.fixture
def place(tmp_path):
    """Caches of 40 faces, one of them unreadable, and of the prompts of types 1 and 2; two heads."""
    write_labelled(tmp_path / "faces", IMAGES, LABELS, [f"{n}.png" for n in range(40)], CLASSES, bad=(BAD,))
    write_prompts(tmp_path / "prompts", EMBEDDINGS, TEXTS)
    for name, weights in HEADS.items():
        write_head(tmp_path / f"{name}.safetensors", weights, {})
    return tmp_path


def plain_scores(kind: int, head: np.ndarray | None) -> tuple[float, float]:
    """UAR and WAR by the formulas, one face at a time: cos(Wx, Wt), the best prompt of all (one prompt a class)."""
    project = np.eye(6) if head is None else head
    prompts = {prompt.class_name: EMBEDDINGS[TEXTS.index(prompt.text)] for prompt in TABLE if prompt.type == kind}
    right = {0: [], 1: [], 2: []}
    for row in range(40):
        if row == BAD:
            continue
        x = project @ IMAGES[row]
        likeness = {
            name: (x @ (project @ t)) / np.linalg.norm(x) / np.linalg.norm(project @ t) for name, t in prompts.items()
        }
        right[LABELS[row]].append(max(likeness, key=likeness.get) == CLASSES[LABELS[row]])
    hits = [hit for hits in right.values() for hit in hits]
    return 100 * float(np.mean([np.mean(hits) for hits in right.values()])), 100 * float(np.mean(hits))


def test_scores_against_the_formulas(place):
    heads = [place / "a.safetensors", place / "b.safetensors"]
    rows = score_cache(place / "faces", place / "prompts", heads, PromptSettings(types=(1, 2)))
    assert [row.prompt_type for row in rows] == [1, 2]
    for row in rows:
        assert (row.skipped, row.clip.items) == (1, 39)
        assert (row.clip.uar, row.clip.war) == pytest.approx(plain_scores(row.prompt_type, None))
        for name, head in HEADS.items():
            assert (row.heads[name].uar, row.heads[name].war) == pytest.approx(plain_scores(row.prompt_type, head))


def run(place, *arguments):
    return CliRunner().invoke(
        app, ["score", str(place / "faces"), "--prompts", str(place / "prompts"), *map(str, arguments)]
    )


def test_the_command_finds_the_types_that_are_encoded_and_speaks_json(place):
    result = run(place, "--head", place / "a.safetensors", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert (found["items"], found["skipped"]) == (39, 1)
    assert list(found["prompt_types"]) == ["1", "2"]
    uar, war = plain_scores(2, HEADS["a"])
    assert found["prompt_types"]["2"]["heads"]["a"] == {"uar": round(uar, 3), "war": round(war, 3)}


def test_the_command_shows_a_table_without_any_head_too(place):
    result = run(place, "--types", "2")
    assert result.exit_code == 0, result.output
    uar, war = plain_scores(2, None)
    assert f"{uar:.2f} / {war:.2f}" in result.stdout
    assert "39 items +1 unreadable" in result.stdout
    assert "type 1" not in result.stdout
    assert "mean" not in result.stdout


def test_several_test_sets_have_their_mean(place):
    shutil.copytree(place / "faces", place / "again")
    result = run(place, place / "again", "--types", "2", "--head", place / "a.safetensors")
    assert result.exit_code == 0, result.output
    uar, war = plain_scores(2, HEADS["a"])
    assert result.stdout.count(f"{uar:.2f} / {war:.2f}") == 3, "two sets that are the same, and their mean"
    assert result.stdout.count("mean") == 1
    both = json.loads(run(place, place / "again", "--json").stdout)
    assert [found["features"] for found in both] == [str(place / "faces"), str(place / "again")]


def test_two_heads_of_one_name_go_by_their_paths(place):
    write_head(place / "other/a.safetensors", HEADS["b"], {})
    heads = [place / "a.safetensors", place / "other/a.safetensors"]
    (row,) = score_cache(place / "faces", place / "prompts", heads, PromptSettings(types=(2,)))
    assert list(row.heads) == [str(head) for head in heads]


def test_prompts_of_another_clip_are_refused(place):
    write_prompts(place / "other", EMBEDDINGS, TEXTS, weights="v")
    with pytest.raises(CacheError, match=r"different CLIPs.*\n.*weights_sha256 differs: cached 'w', asked 'v'"):
        score_cache(place / "faces", place / "other", [], PromptSettings())


def test_prompts_that_are_not_encoded(place):
    result = run(place, "--types", "5")
    assert result.exit_code == 1
    assert "the cache has no embedding of the prompt" in result.output
    write_prompts(place / "few", EMBEDDINGS[:1], TEXTS[:1])
    with pytest.raises(SettingsError, match="has not all prompts of any type of the set 'clean'"):
        score_cache(place / "faces", place / "few", [], PromptSettings(set="clean"), every_type=True)


def test_a_head_of_another_width(place):
    write_head(place / "wide.safetensors", np.ones((9, 8)), {})
    result = run(place, "--head", place / "wide.safetensors")
    assert result.exit_code == 1
    assert "takes features of width 8" in result.output
