"""The paper's preset: the reference's choices for three backbones and one teacher, as stages that DVC can build."""

import shutil
from pathlib import Path

import open_clip
import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from expclip_cache.cache import differences
from expclip_cache.datasets import DatasetSettings
from expclip_cache.datasets.definition import load_definition
from expclip_cache.encoders.llm_settings import INSTRUCTION
from expclip_cache.reporting.published import RESULTS, published_system
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.presets import adapt_preset

ROOT = Path(__file__).parents[3]
BACKBONES = {"clip-b32": "B/32", "clip-b16": "B/16", "clip-l14": "L/14"}
PAPER = load_settings(ROOT / "configs/paper.yaml")
TEXT = (ROOT / "configs/paper.yaml").read_text()


def test_the_settings_are_the_references():
    head = PAPER.heads["reference"]
    assert head.kind == "contrastive"
    assert (head.lr, head.momentum, head.weight_decay) == (1e-3, 0.9, 1e-4)
    assert (head.epochs, head.batch_size, head.seeds) == (5, 512, (1,))
    assert PAPER.train.dataset == "caer-s"
    assert not PAPER.datasets["caer-s"].labelled
    assert list(PAPER.prompts) == ["reference"]
    prompts = PAPER.prompts["reference"]
    assert (prompts.set, prompts.types, prompts.aggregation) == ("reference", (1, 2, 3, 4, 5), "mean")
    assert {(clip.preprocess, clip.precision) for clip in PAPER.backbones.values()} == {("reference", "fp16")}
    assert list(PAPER.teachers) == ["blip2-flan-t5-xxl"]
    teacher = PAPER.teachers["blip2-flan-t5-xxl"]
    assert (teacher.preprocess, teacher.precision, teacher.mode) == ("reference", "reference", "eval")
    assert teacher.model == "Salesforce/blip2-flan-t5-xxl"
    assert teacher.instruction == INSTRUCTION
    assert not [name for name, dataset in PAPER.datasets.items() if dataset.draw]


def test_every_backbone_has_the_references_head_and_one_in_closed_form():
    assert [(backbone, teacher, list(heads)) for backbone, teacher, heads in PAPER.pairs()] == [
        (backbone, "blip2-flan-t5-xxl", ["reference", "ridge"]) for backbone in BACKBONES
    ]
    ridge = PAPER.heads["ridge"]
    assert (ridge.kind, ridge.choose, ridge.batch_size) == ("ridge", "held_out", 512)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_clip_is_openais_with_quick_gelu(name):
    clip = PAPER.backbones[name]
    assert published_system(clip) == f"CLIP {BACKBONES[name]}"
    config = open_clip.get_model_config(clip.model)
    assert config is not None
    assert config["quick_gelu"] is True
    assert open_clip.get_pretrained_cfg(clip.model, clip.weights)["quick_gelu"] is True


def test_every_published_dataset_is_scored_with_the_references_rule_for_short_clips():
    scored = {load_definition(ROOT / PAPER.datasets[key].source).name for key in PAPER.score.datasets}
    assert scored == {result.dataset for result in RESULTS}
    for key in PAPER.score.datasets:
        dataset = PAPER.datasets[key]
        definition = load_definition(ROOT / dataset.source)
        assert (dataset.fold is not None) == bool(definition.folds)
        assert definition.layout != "clip-list" or (dataset.frames, dataset.short_clip) == (16, "first")
    assert len(PAPER.score.datasets) == 6 + 2 * 5


VERSIONS = {"encoder_version": 1, "pixels_version": 1, "pooling_version": 1}


@pytest.mark.parametrize(("name", "size"), [("clip-b32", "B-32"), ("clip-b16", "B-16"), ("clip-l14", "L-14")])
def test_image_features_made_under_the_former_presets_stay_valid(name, size):
    assert PAPER.backbones[name].image_settings() == {
        "encoder": "clip-image",
        "model": f"ViT-{size}-quickgelu",
        "weights": "openai",
        "preprocess": "reference",
        "precision": "fp16",
        **VERSIONS,
    }
    assert (PAPER.cache.shard_rows, PAPER.cache.dtype) == (512, "float32")


def test_targets_made_under_the_former_presets_stay_valid():
    recorded = {
        "encoder": "llm-target",
        "model": "Salesforce/blip2-flan-t5-xxl",
        "weights": "pretrained",
        "revision": None,
        "instruction": INSTRUCTION,
        "mode": "eval",
        "preprocess": "reference",
        "precision": "reference",
        **VERSIONS,
    }
    assert not differences(recorded, PAPER.teachers["blip2-flan-t5-xxl"].target_settings())


Stages = dict[str, tuple]


@pytest.fixture
def stages_of(tmp_path):
    """Gives the stages that DVC builds for a params.yaml: name -> command, dependencies, their params, outputs."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()

    def stages(text: str) -> Stages:
        (tmp_path / "params.yaml").write_text(text)
        load_settings(tmp_path / "params.yaml")
        with Repo(str(tmp_path)) as repo:
            return {
                stage.addressing.rpartition(":")[2]: (
                    stage.cmd,
                    sorted(str(dep.def_path) for dep in stage.deps),
                    [dep.read_params() for dep in stage.deps if isinstance(dep, ParamsDependency)],
                    sorted(str(out.def_path) for out in stage.outs),
                )
                for stage in repo.index.stages
            }

    return stages


def changed(before: Stages, after: Stages) -> set[str]:
    """The stages that are not the same in both."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def with_entry(section: str, entry: str) -> str:
    """The preset with one more entry in a section."""
    head = next(line for line in TEXT.splitlines() if line.startswith(f"{section}:"))
    return TEXT.replace(f"{head}\n", f"{head}\n  {entry}\n")


def test_dvc_builds_the_preset_of_26_stages(stages_of):
    stages = stages_of(TEXT)
    expected = {f"manifest@{name}" for name in PAPER.datasets}
    expected |= {"crops", "images", "targets", "answers", "prompts", "heads", "scores", "intervals", "report"}
    assert set(stages) == expected
    assert len(expected) == 17 + 9
    assert stages["images"][-1] == ["features/images"]
    assert stages["targets"][-1] == ["features/targets"]
    outs = [out for stage in stages.values() for out in stage[-1]]
    assert len(outs) == len(set(outs))


FITS = {"heads", "scores", "report"}
"""The stages that go through the whole study, passing over what is there."""


@pytest.mark.slow
def test_another_backbone_leaves_targets_and_manifests_as_they_are(stages_of):
    part = adapt_preset(TEXT, (), {}, drop_backbones=["clip-l14"])
    assert changed(stages_of(part), stages_of(TEXT)) == FITS | {"images", "prompts", "intervals"}


@pytest.mark.slow
def test_another_teacher_leaves_images_and_prompts_as_they_are(stages_of):
    more = with_entry("teachers", "other: {model: google/another, precision: reference}")
    assert changed(stages_of(TEXT), stages_of(more)) == FITS | {"targets"}


@pytest.mark.slow
def test_another_head_leaves_all_encoders_as_they_are(stages_of):
    more = with_entry("heads", "fixed: {kind: ridge, choose: fixed}")
    assert changed(stages_of(TEXT), stages_of(more)) == FITS


@pytest.mark.slow
def test_another_prompt_set_goes_through_the_text_towers_alone(stages_of):
    more = with_entry("prompts", "clean: {set: clean}")
    assert changed(stages_of(TEXT), stages_of(more)) == {"prompts", "scores", "report"}


@pytest.mark.slow
def test_another_test_set_leaves_targets_heads_and_other_manifests_as_they_are(stages_of):
    source = "pipeline/expclip_cache/datasets/definitions/fer2013.yaml"
    more = adapt_preset(TEXT, (), {"fer2013": DatasetSettings(source=source)})
    assert changed(stages_of(TEXT), stages_of(more)) == {
        "manifest@fer2013",
        "crops",
        "images",
        "answers",
        "prompts",
        "scores",
        "intervals",
        "report",
    }
