"""The presets of the paper: the reference's choices, one LLM pass for all backbones, and stages that DVC can build."""

import shutil
from pathlib import Path

import open_clip
import pytest
from dvc.repo import Repo

from expclip_cache.commands.app import INSTRUCTION
from expclip_cache.datasets.definition import load_definition
from expclip_cache.reporting.published import RESULTS, backbone_of
from expclip_cache.settings.file import load_settings

ROOT = Path(__file__).parents[3]
BACKBONES = {"paper-b32": "B/32", "paper-b16": "B/16", "paper-l14": "L/14"}
PARAMS = {name: load_settings(ROOT / "configs" / f"{name}.yaml") for name in BACKBONES}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_recipe_is_the_references(name):
    params = PARAMS[name]
    train = params.train
    assert (train.dataset, train.lr, train.momentum, train.weight_decay) == ("caer-s", 1e-3, 0.9, 1e-4)
    assert (train.epochs, train.batch_size, train.seeds, train.fit) == (5, 512, (1,), ("contrastive",))
    assert not params.datasets["caer-s"].labelled
    assert (params.prompts.set, params.prompts.types, params.prompts.aggregation) == (
        "reference",
        (1, 2, 3, 4, 5),
        "mean",
    )
    assert (params.clip.preprocess, params.clip.precision) == ("reference", "fp16")
    assert (params.llm.preprocess, params.llm.precision, params.llm.mode) == ("reference", "reference", "eval")
    assert params.llm.model == "Salesforce/blip2-flan-t5-xxl"
    assert params.llm.instruction == INSTRUCTION
    assert params.demo == {}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_clip_is_openais_with_its_activation(name):
    clip = PARAMS[name].clip
    assert backbone_of(clip.model) == BACKBONES[name]
    assert open_clip.get_model_config(clip.model)["quick_gelu"] is True
    assert open_clip.get_pretrained_cfg(clip.model, clip.weights)["quick_gelu"] is True


@pytest.mark.parametrize("name", BACKBONES)
def test_every_published_set_is_scored_with_the_references_rule_for_short_clips(name):
    params = PARAMS[name]
    scored = {load_definition(ROOT / params.datasets[key].source).name for key in params.score.datasets}
    assert scored == {result.dataset for result in RESULTS}
    for key in params.score.datasets:
        dataset = params.datasets[key]
        definition = load_definition(ROOT / dataset.source)
        assert (dataset.fold is not None) == bool(definition.folds)
        assert definition.layout != "clip-list" or (dataset.frames, dataset.short_clip) == (16, "first")
    assert len(params.score.datasets) == 6 + 2 * 5


def test_presets_differ_in_the_clip_alone():
    trees = [params.model_dump() for params in PARAMS.values()]
    assert [tree.pop("clip")["name"] for tree in trees] == ["clip-b32", "clip-b16", "clip-l14"]
    assert trees[0] == trees[1] == trees[2]


def stages(folder: Path, preset: str) -> dict[str, tuple]:
    """What DVC makes of dvc.yaml under a preset: stage -> command, deps and their params, outs."""
    shutil.copy(ROOT / "configs" / f"{preset}.yaml", folder / "params.yaml")
    with Repo(str(folder)) as repo:
        return {
            stage.addressing.rpartition(":")[2]: (
                stage.cmd,
                sorted(str(dep.def_path) for dep in stage.deps),
                [dep.read_params() for dep in stage.deps if hasattr(dep, "read_params")],
                sorted(str(out.def_path) for out in stage.outs),
            )
            for stage in repo.index.stages
        }


def test_dvc_builds_every_preset_and_sees_one_set_of_targets(tmp_path):
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()
    graphs = {name: stages(tmp_path, name) for name in BACKBONES}
    first = graphs["paper-b32"]
    assert len(first) == 17 + 17 + 1 + 1 + 1 + 16 + 1
    assert not [name for name in first if name.startswith("render-demo")]
    for name in ("paper-b16", "paper-l14"):
        same = {stage for stage in first if graphs[name][stage] == first[stage]}
        assert same == {stage for stage in first if stage.startswith("manifest@")} | {"encode-targets"}
    assert first["encode-targets"][-1] == ["features/blip2-flan-t5-xxl/caer-s"]
    outs = [out for graph in graphs.values() for stage in graph if "encode-images" in stage for out in graph[stage][-1]]
    assert len(outs) == len(set(outs)) == 3 * 17
