import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

from expclip_cache.base.errors import EncoderError
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.images import read_pixels
from expclip_cache.encoders.preprocess import preprocess, to_float
from expclip_cache.encoders.settings import ClipSettings
from tiny_encoders import CLIP_MODEL, SIZE, model_of, random_pixels, write_clip

CPU = torch.device("cpu")
TEXTS = ["a photo of happiness .", "anger", "an expression of the face in the image ."]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(settings):
    return load_clip(settings, CPU)


def as_transformers(weights: dict[str, torch.Tensor]) -> CLIPModel:
    """The same CLIP in transformers: other names and layouts, the same numbers."""
    vision, text = CLIP_MODEL["vision_cfg"], CLIP_MODEL["text_cfg"]
    model = CLIPModel(
        CLIPConfig(
            projection_dim=CLIP_MODEL["embed_dim"],
            vision_config={
                "hidden_size": vision["width"],
                "intermediate_size": 4 * vision["width"],
                "num_hidden_layers": vision["layers"],
                "num_attention_heads": vision["width"] // vision["head_width"],
                "image_size": SIZE,
                "patch_size": vision["patch_size"],
                "hidden_act": "quick_gelu",
            },
            text_config={
                "hidden_size": text["width"],
                "intermediate_size": 4 * text["width"],
                "num_hidden_layers": text["layers"],
                "num_attention_heads": text["heads"],
                "vocab_size": text["vocab_size"],
                "max_position_embeddings": text["context_length"],
                "hidden_act": "quick_gelu",
                "eos_token_id": text["vocab_size"] - 1,
            },
        )
    ).eval()
    renamed = {
        "logit_scale": weights["logit_scale"],
        "visual_projection.weight": weights["visual.proj"].T,
        "text_projection.weight": weights["text_projection"].T,
        "vision_model.embeddings.class_embedding": weights["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": weights["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": weights["visual.positional_embedding"],
        "text_model.embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": weights["positional_embedding"],
    }
    for kind in ("weight", "bias"):
        renamed[f"vision_model.pre_layrnorm.{kind}"] = weights[f"visual.ln_pre.{kind}"]
        renamed[f"vision_model.post_layernorm.{kind}"] = weights[f"visual.ln_post.{kind}"]
        renamed[f"text_model.final_layer_norm.{kind}"] = weights[f"ln_final.{kind}"]
    inside = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    inside["attn.out_proj"] = "self_attn.out_proj"
    for old, new, layers in (("visual.", "vision_model", vision["layers"]), ("", "text_model", text["layers"])):
        for number in range(layers):
            block, layer = f"{old}transformer.resblocks.{number}", f"{new}.encoder.layers.{number}"
            for kind in ("weight", "bias"):
                for ours, theirs in inside.items():
                    renamed[f"{layer}.{theirs}.{kind}"] = weights[f"{block}.{ours}.{kind}"]
                for part, name in zip(weights[f"{block}.attn.in_proj_{kind}"].chunk(3), "qkv", strict=True):
                    renamed[f"{layer}.self_attn.{name}_proj.{kind}"] = part
    model.load_state_dict(renamed, strict=True)
    return model


def test_features_equal_those_of_transformers(settings, encoder, tmp_path):
    other = as_transformers(load_file(f"{settings.model}/open_clip_model.safetensors"))
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 31, 3), dtype=np.uint8)
    ours, theirs = [], []
    for number, values in enumerate(noise):
        file = tmp_path / f"{number}.png"
        Image.fromarray(values).save(file)
        ours.append(torch.from_numpy(read_pixels(file, encoder.preprocess)))
        plain = Image.open(file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        theirs.append(torch.from_numpy(np.asarray(plain, dtype=np.float32).transpose(2, 0, 1) / 255))
    tokens = open_clip.get_tokenizer(f"local-dir:{settings.model}")(TEXTS)
    with torch.no_grad():
        images = other.visual_projection(other.vision_model(torch.stack(theirs)).pooler_output)
        texts = other.text_projection(other.text_model(tokens).pooler_output)
    torch.testing.assert_close(encoder.encode_images(torch.stack(ours)), images, rtol=0, atol=1e-5)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), texts, rtol=0, atol=1e-5)
    assert images.std() > 0.1
    assert texts.std() > 0.1
    assert encoder.logit_scale == pytest.approx(float(other.logit_scale.detach().exp()))


def test_the_model_is_frozen_and_its_raw_features_can_be_trained_on(encoder):
    model = model_of(encoder)
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    features = encoder.encode_images(random_pixels())
    assert features.dtype == torch.float32
    assert (features.norm(dim=1) - 1).abs().min() > 0.1
    head = torch.nn.Linear(encoder.width, 2)
    head(features).sum().backward()
    assert head.weight.grad is not None


def test_a_batch_gives_the_same_as_its_rows_alone(encoder):
    together, rows = (
        encoder.encode_images(random_pixels(3)),
        [encoder.encode_images(row[None]) for row in random_pixels(3)],
    )
    torch.testing.assert_close(together, torch.cat(rows), rtol=1e-5, atol=1e-6)
    assert encoder.encode_texts([]).shape == (0, encoder.width)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 2e-2), ("bf16", 2e-1)])
def test_half_precision_gives_float32_features_close_to_full_precision(settings, encoder, precision, tolerance):
    half = load_clip(settings.model_copy(update={"precision": precision}), CPU)
    images, texts = half.encode_images(random_pixels()), half.encode_texts(TEXTS)
    assert images.dtype == texts.dtype == torch.float32
    assert 0 < (images - encoder.encode_images(random_pixels())).abs().max() < tolerance
    assert 0 < (texts - encoder.encode_texts(TEXTS)).abs().max() < tolerance
    assert half.logit_scale == pytest.approx(encoder.logit_scale, rel=1e-3)


def test_preprocess_clip_normalises(settings, encoder):
    other = load_clip(settings.model_copy(update={"preprocess": "clip"}), CPU)
    assert (other.encode_images(random_pixels()) - encoder.encode_images(random_pixels())).abs().max() > 0.1


def test_random_weights_repeat_and_leave_the_generator_alone(settings, encoder):
    random = settings.model_copy(update={"weights": "random"})
    torch.manual_seed(98)
    before = torch.random.get_rng_state()
    first = load_clip(random, CPU)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    second = load_clip(random, CPU)
    assert torch.equal(first.encode_images(random_pixels()), second.encode_images(random_pixels()))
    assert not torch.equal(first.encode_images(random_pixels()), encoder.encode_images(random_pixels()))
    assert first.describe()["weights_sha256"] == "random:seed=0"


def test_describe_is_json_and_records_the_weights(encoder):
    facts = json.loads(json.dumps(encoder.describe()))
    assert len(facts["weights_sha256"]) == 64
    assert (facts["width"], facts["image_size"], facts["context_length"]) == (24, SIZE, 12)
    assert facts["activation"] == "quick_gelu"


@pytest.fixture(scope="module")
def architecture(tmp_path_factory):
    """A tiny architecture that open_clip knows by name, like ViT-B-32."""
    folder = tmp_path_factory.mktemp("architecture")
    text = {key: value for key, value in CLIP_MODEL["text_cfg"].items() if key != "hf_tokenizer_name"}
    config = CLIP_MODEL | {"text_cfg": text | {"vocab_size": 49408, "context_length": 77, "width": 8, "heads": 2}}
    (folder / "expclip-tiny-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return "expclip-tiny-test"


def test_an_architecture_loads_a_weights_file(architecture, tmp_path):
    random = load_clip(ClipSettings(model=architecture, weights="random"), CPU)
    file, model = tmp_path / "mine.safetensors", open_clip.create_model(architecture)
    save_file(model.state_dict(), file)
    loaded = load_clip(ClipSettings(model=architecture, weights=str(file)), CPU)
    assert torch.equal(model_of(loaded).state_dict()["visual.proj"], model.state_dict()["visual.proj"])
    assert not torch.equal(loaded.encode_texts(TEXTS), random.encode_texts(TEXTS))


def test_weights_for_another_image_size_are_refused(architecture, tmp_path):
    weights = open_clip.create_model(architecture).state_dict()
    weights["visual.positional_embedding"] = torch.zeros(26, 32)
    save_file(weights, tmp_path / "larger.safetensors")
    with pytest.raises(EncoderError, match=r"positional_embedding.*\(26, 32\).*\(17, 32\).*another image size"):
        load_clip(ClipSettings(model=architecture, weights=str(tmp_path / "larger.safetensors")), CPU)


def test_weights_that_do_not_fit_are_refused(settings, tmp_path):
    broken = tmp_path / "folder"
    write_clip(broken)
    weights = load_file(broken / "open_clip_model.safetensors")
    del weights["visual.proj"]
    save_file(weights, broken / "open_clip_model.safetensors")
    with pytest.raises(EncoderError, match=r"cannot be built.*visual\.proj"):
        load_clip(settings.model_copy(update={"model": str(broken)}), CPU)


def test_weights_stored_in_half_precision_run_in_full_precision(settings, encoder, tmp_path):
    shutil.copytree(settings.model, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "open_clip_model.safetensors"
    save_file({name: value.half() for name, value in load_file(file).items()}, file)
    stored = load_clip(settings.model_copy(update={"model": str(tmp_path)}), CPU)
    assert {parameter.dtype for parameter in model_of(stored).parameters()} == {torch.float32}
    torch.testing.assert_close(
        stored.encode_images(random_pixels()), encoder.encode_images(random_pixels()), rtol=0, atol=1e-2
    )


def test_a_truncated_weights_file_is_an_error(tmp_path):
    settings, file = write_clip(tmp_path), tmp_path / "open_clip_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EncoderError, match=r"cannot be built with open_clip_model.safetensors"):
        load_clip(settings, CPU)


def test_a_prompt_longer_than_the_context_is_an_error(encoder):
    fits = " ".join(["anger"] * 10)
    assert encoder.encode_texts([fits]).shape == (1, 24)
    with pytest.raises(EncoderError, match=r"'anger anger.*more than the 12 tokens"):
        encoder.encode_texts(["anger", f"{fits} anger"])


def test_a_tokenizer_of_another_model_is_an_error(tmp_path):
    text = {key: value for key, value in CLIP_MODEL["text_cfg"].items() if key != "hf_tokenizer_name"}
    encoder = load_clip(write_clip(tmp_path, CLIP_MODEL | {"text_cfg": text}), CPU)
    with pytest.raises(EncoderError, match=r"tokenizer gives token \d+, but its text tower has 64 tokens"):
        encoder.encode_texts(["anger"])


def test_a_text_is_measured_without_the_class_token_at_the_end_of_its_context(tmp_path):
    """In open_clip's mode `clips` the last position holds a class token, however short the text."""
    text = CLIP_MODEL["text_cfg"] | {"tokenizer_mode": "clips"}
    settings = write_clip(tmp_path, CLIP_MODEL | {"text_cfg": text})
    special = {"bos_token": "<start>", "eos_token": "<end>", "cls_token": "<unk>"}
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | special))
    encoder = load_clip(settings, CPU)
    fits = " ".join(["anger"] * 9)
    assert encoder.encode_texts([fits, "anger"]).shape == (2, 24)
    with pytest.raises(EncoderError, match="more than the 12 tokens"):
        encoder.encode_texts([f"{fits} anger anger"])


TRAINED = [
    {},
    {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"},
    {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear", "resize_mode": "shortest"},
    {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "bilinear", "resize_mode": "squash"},
]
"""What SigLIP and PE-Core, MobileCLIP and CLIPA were trained with, after OpenAI's own."""


@pytest.mark.parametrize("trained", TRAINED, ids=["openai", "siglip", "mobileclip", "clipa"])
def test_preprocess_clip_is_what_the_model_was_trained_with(tmp_path, trained):
    settings = write_clip(tmp_path / "model").model_copy(update={"preprocess": "clip"})
    file = tmp_path / "model" / "open_clip_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"preprocess_cfg": trained}))
    encoder = load_clip(settings, CPU)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'model'}")
    photo = Path(__file__).parents[2] / "data" / "astronaut.jpg"
    wide = Image.open(photo).crop((0, 40, 300, 240))
    wide.save(tmp_path / "wide.png")
    pixels = torch.from_numpy(read_pixels(tmp_path / "wide.png", encoder.preprocess))[None]
    theirs = transform(wide)[None]
    torch.testing.assert_close(to_float(pixels, encoder.preprocess), theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(encoder.encode_images(pixels), model.eval().encode_image(theirs), rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ({"resize_mode": "longest"}, "trained with resize_mode 'longest'"),
        ({"interpolation": "random"}, "interpolation 'random'; expected .* bicubic or bilinear"),
        ({"mean": [0.5]}, r"expected three numbers as the model's mean or std, found \[0\.5\]"),
        ({"std": "wide"}, "found 'wide'"),
    ],
)
def test_a_way_to_see_images_that_is_not_known_is_an_error(tmp_path, trained, message):
    settings = write_clip(tmp_path)
    file = tmp_path / "open_clip_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"preprocess_cfg": trained}))
    load_clip(settings, CPU)
    with pytest.raises(EncoderError, match=message):
        load_clip(settings.model_copy(update={"preprocess": "clip"}), CPU)


def test_every_tag_of_open_clip_says_how_its_model_sees_images():
    for model, tag in open_clip.list_pretrained():
        preprocess("clip", 224, "full", open_clip.get_pretrained_cfg(model, tag))


def test_a_tokenizer_that_is_only_a_sentencepiece_file_asks_for_the_right_package(tmp_path, monkeypatch):
    settings = write_clip(tmp_path)
    (tmp_path / "tokenizer.json").rename(tmp_path / "spiece.model")
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps({"tokenizer_class": "T5Tokenizer", "extra_ids": 0}))
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(EncoderError, match=r"only the SentencePiece file spiece\.model.*pip install sentencepiece"):
        load_clip(settings, CPU)


def test_a_missing_tokenizer_is_an_error(tmp_path):
    settings = write_clip(tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(EncoderError, match=r"tokenizer of .* cannot be loaded.*tokenizer\.json"):
        load_clip(settings, CPU)


def test_pixels_of_another_size_or_type_are_an_error(encoder):
    with pytest.raises(ValueError, match=r"expected \(b, 3, 28, 28\) uint8, found \(5, 3, 28, 27\) torch.uint8"):
        encoder.encode_images(random_pixels()[..., 1:])
    with pytest.raises(ValueError, match=r"found \(5, 3, 28, 28\) torch.float32"):
        encoder.encode_images(random_pixels().float())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-2), ("fp16", 5e-2)])
def test_cuda_agrees_with_the_cpu(settings, encoder, precision, tolerance):
    cuda = load_clip(settings.model_copy(update={"precision": precision}), torch.device("cuda", 0))
    assert (cuda.encode_images(random_pixels()).cpu() - encoder.encode_images(random_pixels())).abs().max() < tolerance
    assert (cuda.encode_texts(TEXTS).cpu() - encoder.encode_texts(TEXTS)).abs().max() < tolerance
