"""The files of image-text models: what is found, and what is refused before a model is built."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Florence2Config

from expclip_cache.base import EncoderError
from expclip_cache.encoders import LlmSettings, file_hashes, find_llm_kind, load_teacher
from expclip_cache.encoders.llm_files import find_llm_files
from expclip_cache.encoders.vlm_files import find_vlm_files
from tiny_backbones import write_hf_clip
from tiny_encoders import edit_weights, random_pixels, write_blip2
from tiny_vlms import write_vlm

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gemma3")
    return write_vlm(folder, "gemma3")[0], folder


@pytest.fixture
def model(written, tmp_path):
    settings, folder = written
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return settings.model_copy(update={"model": str(tmp_path)})


def edit_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_the_files_that_change_numbers_are_found(model, tmp_path):
    files = find_vlm_files(model)
    assert [file.name for file in files.weights] == ["model.safetensors"]
    names = ["chat_template.jinja", "config.json", "generation_config.json", "processor_config.json"]
    assert [file.name for file in files.config] == names
    assert [file.name for file in files.tokenizer] == ["tokenizer.json", "tokenizer_config.json"]
    assert find_llm_kind(str(tmp_path)) == "vlm"


def test_weights_in_several_files_are_the_same_weights(model, tmp_path):
    expected = load_teacher(model, CPU).encode_images(random_pixels(1))
    tensors = load_file(tmp_path / "model.safetensors")
    where = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for file in set(where.values()):
        of_file = {name: tensors[name] for name in tensors if where[name] == file}
        save_file(of_file, tmp_path / file, metadata={"format": "pt"})
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    assert len(find_vlm_files(model).weights) == 2
    assert torch.equal(load_teacher(model, CPU).encode_images(random_pixels(1)), expected)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"expected the file .*model-00002-of-00002\.safetensors"):
        find_vlm_files(model)
    assert file_hashes(model) is None


def test_the_weights_that_are_hashed_are_those_that_are_read(model, tmp_path):
    expected = load_teacher(model, CPU).encode_images(random_pixels(1))
    tensors = load_file(tmp_path / "model.safetensors")
    others = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    save_file(others, tmp_path / "other.safetensors", metadata={"format": "pt"})
    edit_json(tmp_path / "config.json", transformers_weights="other.safetensors")
    assert torch.equal(load_teacher(model, CPU).encode_images(random_pixels(1)), expected)


def only_a_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def code_in(name):
    return lambda folder: edit_json(folder / name, auto_map={"AutoModel": "modeling.Model"})


def config(**changes):
    return lambda folder: edit_json(folder / "config.json", **changes)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (only_a_pickle, r"model\.safetensors, found .*Weights are read from \.safetensors files only"),
        (code_in("config.json"), r"config\.json has the key auto_map, which would run Python code"),
        (code_in("processor_config.json"), r"processor_config\.json has the key auto_map"),
        (code_in("tokenizer_config.json"), r"tokenizer_config\.json has the key auto_map"),
        (config(quantization_config={"quant_method": "awq"}), r"are quantised .*unquantised weights"),
        (config(model_type="llama"), "model_type 'llama', which is no image-text model of this version"),
        (config(model_type="my_own_vlm"), "model_type 'my_own_vlm', which is no image-text model of this version"),
        (config(model_type=None), "no model_type in config.json"),
        (
            lambda folder: Florence2Config().save_pretrained(folder),
            "expected a language model that reads image and text as one sequence",
        ),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "an adapter of another model"),
    ],
)
def test_what_cannot_be_a_teacher_is_refused(model, tmp_path, edit, message):
    edit(tmp_path)
    with pytest.raises(EncoderError, match=message):
        load_teacher(model, CPU)


def test_a_clip_is_a_backbone(tmp_path):
    write_hf_clip(tmp_path)
    with pytest.raises(EncoderError, match=r"found model_type 'clip', which writes no text\. It can be a backbone"):
        load_teacher(LlmSettings(kind="vlm", model=str(tmp_path)), CPU)


def test_each_kind_names_the_other(model, tmp_path):
    with pytest.raises(EncoderError, match=r"for another image-text model set kind: vlm\."):
        find_llm_files(LlmSettings(model=str(tmp_path)))
    write_blip2(tmp_path / "blip2")
    with pytest.raises(EncoderError, match=r"found a blip-2 with a T5\. Set its kind: t5-encoder\."):
        find_vlm_files(LlmSettings(kind="vlm", model=str(tmp_path / "blip2")))


def test_tensors_that_do_not_fit_are_named(model, tmp_path):
    weights = tmp_path / "model.safetensors"
    name = "language_model.model.layers.1.mlp.down_proj.weight"
    edit_weights(weights, {"vision_tower.surplus": torch.zeros(2)}, drop=[name])
    with pytest.raises(EncoderError) as raised:
        load_teacher(model, CPU)
    assert "1 missing: model.language_model.layers.1.mlp.down_proj.weight" in str(raised.value)
    assert "1 unknown: model.vision_tower.surplus" in str(raised.value)
    edit_weights(weights, {name: torch.zeros(3, 3)}, drop=["vision_tower.surplus"])
    with pytest.raises(
        EncoderError, match=r"1 of another shape: model.language_model.layers.1.mlp.down_proj.weight \(3, 3\)"
    ):
        load_teacher(model, CPU)


def test_missing_upper_layers_are_missed_only_where_they_are_needed(model, tmp_path):
    weights = tmp_path / "model.safetensors"
    edit_weights(weights, {}, drop=[name for name in load_file(weights) if ".layers.3." in name and "language" in name])
    load_teacher(LlmSettings(**model.model_dump() | {"layer": 0.75}), CPU)
    with pytest.raises(EncoderError, match=r"missing: model\.language_model\.layers\.3\."):
        load_teacher(model, CPU)
