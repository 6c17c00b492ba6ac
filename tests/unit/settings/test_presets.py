"""The paper's presets: the reference's choices, one LLM pass for all backbones, and stages that DVC can build."""

import shutil
from pathlib import Path

import open_clip
import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from expclip_cache.datasets.definition import load_definition
from expclip_cache.encoders.settings import INSTRUCTION
from expclip_cache.reporting.published import RESULTS, backbone_of
from expclip_cache.settings.file import load_settings

ROOT = Path(__file__).parents[3]
BACKBONES = {"paper-b32": "B/32", "paper-b16": "B/16", "paper-l14": "L/14"}
PRESETS = {name: load_settings(ROOT / "configs" / f"{name}.yaml") for name in BACKBONES}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_settings_are_the_references(name):
    settings = PRESETS[name]
    train = settings.train
    assert (train.dataset, train.lr, train.momentum, train.weight_decay) == ("caer-s", 1e-3, 0.9, 1e-4)
    assert (train.epochs, train.batch_size, train.seeds, train.fit) == (5, 512, (1,), ("contrastive",))
    assert not settings.datasets["caer-s"].labelled
    assert (settings.prompts.set, settings.prompts.types, settings.prompts.aggregation) == (
        "reference",
        (1, 2, 3, 4, 5),
        "mean",
    )
    assert (settings.clip.preprocess, settings.clip.precision) == ("reference", "fp16")
    assert (settings.llm.preprocess, settings.llm.precision, settings.llm.mode) == ("reference", "reference", "eval")
    assert settings.llm.model == "Salesforce/blip2-flan-t5-xxl"
    assert settings.llm.instruction == INSTRUCTION
    assert settings.demo == {}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_clip_is_openais_with_quick_gelu(name):
    clip = PRESETS[name].clip
    assert backbone_of(clip.model) == BACKBONES[name]
    config = open_clip.get_model_config(clip.model)
    assert config is not None
    assert config["quick_gelu"] is True
    assert open_clip.get_pretrained_cfg(clip.model, clip.weights)["quick_gelu"] is True


@pytest.mark.parametrize("name", BACKBONES)
def test_every_published_dataset_is_scored_with_the_references_rule_for_short_clips(name):
    settings = PRESETS[name]
    scored = {load_definition(ROOT / settings.datasets[key].source).name for key in settings.score.datasets}
    assert scored == {result.dataset for result in RESULTS}
    for key in settings.score.datasets:
        dataset = settings.datasets[key]
        definition = load_definition(ROOT / dataset.source)
        assert (dataset.fold is not None) == bool(definition.folds)
        assert definition.layout != "clip-list" or (dataset.frames, dataset.short_clip) == (16, "first")
    assert len(settings.score.datasets) == 6 + 2 * 5


def test_presets_differ_only_in_the_clip():
    trees = [settings.model_dump() for settings in PRESETS.values()]
    assert [tree.pop("clip")["name"] for tree in trees] == ["clip-b32", "clip-b16", "clip-l14"]
    assert trees[0] == trees[1] == trees[2]


def stages(folder: Path, preset: str) -> dict[str, tuple]:
    """The stages that DVC builds for a preset: name -> command, dependencies, their params, outputs."""
    shutil.copy(ROOT / "configs" / f"{preset}.yaml", folder / "params.yaml")
    with Repo(str(folder)) as repo:
        return {
            stage.addressing.rpartition(":")[2]: (
                stage.cmd,
                sorted(str(dep.def_path) for dep in stage.deps),
                [dep.read_params() for dep in stage.deps if isinstance(dep, ParamsDependency)],
                sorted(str(out.def_path) for out in stage.outs),
            )
            for stage in repo.index.stages
        }


def test_dvc_builds_every_preset_and_shares_the_targets(tmp_path):
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
