"""The entries of `teachers:`: which keys go with which kind of model, and what is part of a cache's identity."""

import pytest

from expclip_cache.base import SettingsError, build
from expclip_cache.encoders import LlmSettings

VLM = {"kind": "vlm", "model": "some/model"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"read": "text"}, "read: for kind vlm, but kind is t5-encoder; remove it, or set kind: vlm"),
        ({"read": "last"}, "read: for kind vlm"),
        ({"layer": 0.5, "system": "You see."}, "system and layer: for kind vlm"),
        ({"device_map": "auto"}, "device_map: for kind vlm"),
        ({"precision": "bf16"}, "precision is bf16; expected fp32 or reference for kind t5-encoder"),
        ({**VLM, "mode": "dropout"}, "mode: for kind t5-encoder, but kind is vlm"),
        ({**VLM, "precision": "reference"}, "precision is reference; expected fp32 or bf16 for kind vlm"),
        ({"kind": "vlm"}, "the demo's LLM is a t5-encoder; name a model"),
        ({**VLM, "layer": 0}, "layer"),
        ({**VLM, "keep_layers": (1.5,)}, "keep_layers"),
        ({**VLM, "keep_reads": ("first",)}, "keep_reads"),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        build(LlmSettings, **given)


def test_a_t5_encoder_has_the_identity_that_it_always_had():
    assert LlmSettings().target_settings() == {
        "encoder": "llm-target",
        "model": "demo",
        "weights": "pretrained",
        "instruction": LlmSettings().instruction,
        "mode": "eval",
        "preprocess": "reference",
        "precision": "fp32",
        "encoder_version": 1,
        "pixels_version": 1,
        "pooling_version": 1,
    }


def test_every_layer_is_kept_with_every_reading():
    found = LlmSettings(**VLM, layer=0.5, read="text", keep_layers=(1.0, 0.5), keep_reads=("last",))
    assert [str(state) for state in found.states] == ["last@0.5", "last@1", "text@0.5", "text@1"]
    assert found.states[found.state] == ("text", 0.5)
    assert len(LlmSettings(**VLM).states) == 1


def test_choosing_another_kept_state_changes_no_identity():
    one = LlmSettings(**VLM, layer=0.5, read="text", keep_layers=(1.0,), keep_reads=("last",))
    other = LlmSettings(**VLM, layer=1.0, read="last", keep_layers=(0.5,), keep_reads=("text",), device_map="auto")
    assert one.target_settings() == other.target_settings()
    assert one.target_settings()["states"] == ["last@0.5", "last@1", "text@0.5", "text@1"]
    assert one.state != other.state


@pytest.mark.parametrize(
    "change",
    [
        {"instruction": "Describe."},
        {"system": "You see."},
        {"image_size": 112},
        {"attention": "eager"},
        {"precision": "bf16"},
        {"keep_layers": (0.5,)},
        {"preprocess": "clip"},
    ],
)
def test_what_changes_numbers_changes_the_identity(change):
    assert LlmSettings(**VLM, **change).target_settings() != LlmSettings(**VLM).target_settings()
