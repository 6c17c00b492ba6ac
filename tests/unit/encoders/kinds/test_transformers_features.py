"""Features of the kinds `transformers` and `flava` against the forward passes of transformers' own models."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, FlavaForPreTraining
from transformers.utils import logging

import tiny_backbones
from expclip_cache.base import EncoderError
from expclip_cache.encoders import KINDS, file_hashes, load_backbone, read_pixels
from expclip_cache.encoders.preprocess import to_float

CPU = torch.device("cpu")
TEXTS = [
    "a photo of anger.",
    "an expression of happiness.",
    "fear.",
    "a photo of a person with an expression of surprise.",
    "a person who is feeling sad.",
    "contempt",
    "neutral.",
    "an expression of disgust.",
]


class Backbone(NamedTuple):
    writer: str
    model: str
    processor: str


BACKBONES = {
    "clip": Backbone("write_hf_clip", "CLIPModel", "CLIPImageProcessor"),
    "metaclip_2": Backbone("write_metaclip_2", "MetaClip2Model", "CLIPImageProcessor"),
    "siglip": Backbone("write_siglip", "SiglipModel", "SiglipImageProcessor"),
    "altclip": Backbone("write_altclip", "AltCLIPModel", "CLIPImageProcessor"),
    "chinese_clip": Backbone("write_chinese_clip", "ChineseCLIPModel", "ChineseCLIPImageProcessor"),
    "align": Backbone("write_align", "AlignModel", ""),
    "flava": Backbone("write_flava", "FlavaForPreTraining", "FlavaImageProcessor"),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Of each backbone, written once."""
    folder = tmp_path_factory.mktemp("backbones")
    return {name: getattr(tiny_backbones, each.writer)(folder / name) for name, each in BACKBONES.items()}


@pytest.fixture(params=BACKBONES)
def name(request):
    return request.param


def random_images(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def normalised(features: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(features, dim=-1)


def own_embeddings(name: str, folder: str, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and text embeddings of the library's complete forward pass, normalised."""
    model: Any = getattr(transformers, BACKBONES[name].model).from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if name == "siglip":
        tokens = {"input_ids": tokenizer(TEXTS, padding="max_length", max_length=64, return_tensors="pt").input_ids}
    else:
        tokens = dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))
        tokens.pop("token_type_ids", None)
    with torch.no_grad():
        if isinstance(model, FlavaForPreTraining):
            # What its contrastive loss compares.
            side = model.flava(pixel_values=values, **tokens, skip_multimodal_encoder=True)
            image = model.flava.image_projection(side.image_embeddings[:, 0])
            return normalised(image), normalised(model.flava.text_projection(side.text_embeddings[:, 0]))
        found = model(pixel_values=values, **tokens)
    return normalised(found.image_embeds), normalised(found.text_embeds)


def test_features_are_those_of_the_librarys_own_forward_pass(name, settings):
    way = "reference" if name == "align" else "clip"
    encoder = load_backbone(settings[name].model_copy(update={"preprocess": way}), CPU)
    pixels = random_images(len(TEXTS), encoder.image_size)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS)
    expected_images, expected_texts = own_embeddings(name, settings[name].model, to_float(pixels, encoder.preprocess))
    assert (normalised(images) - expected_images).abs().max() < 1e-5
    assert (normalised(texts) - expected_texts).abs().max() < 1e-5
    for features in (images, texts):
        assert features.shape == (len(TEXTS), encoder.width)
        assert features.dtype == torch.float32
        assert not features.is_inference()
        # Otherwise equality would say little.
        assert torch.pdist(normalised(features)).min() > 1e-3


def test_flava_gives_the_embeddings_of_its_contrastive_loss(settings):
    encoder = load_backbone(settings["flava"], CPU)
    pixels = random_images(len(TEXTS), encoder.image_size)
    model = FlavaForPreTraining.from_pretrained(settings["flava"].model).eval()
    seen: list[torch.Tensor] = []
    model.global_contrastive_head.register_forward_pre_hook(lambda _head, inputs: seen.extend(inputs))
    tokens = AutoTokenizer.from_pretrained(settings["flava"].model)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        model(
            pixel_values=to_float(pixels, encoder.preprocess),
            input_ids=tokens.input_ids,
            input_ids_masked=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            skip_unmasked_multimodal_encoder=True,
            return_loss=False,
        )
    image, text, logit_scale = seen
    assert (normalised(encoder.encode_images(pixels)) - image).abs().max() < 1e-5
    assert (normalised(encoder.encode_texts(TEXTS)) - text).abs().max() < 1e-5
    assert encoder.logit_scale == pytest.approx(float(logit_scale.detach().exp()))


def test_a_feature_does_not_depend_on_what_else_is_in_the_batch(name, settings):
    encoder = load_backbone(settings[name], CPU)
    pixels = random_images(8, encoder.image_size)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS)
    alone = torch.cat([encoder.encode_images(each[None]) for each in pixels])
    assert (alone - images).norm() < 1e-5 * images.norm()
    alone = torch.cat([encoder.encode_texts([text]) for text in TEXTS])
    assert (alone - texts).norm() < 1e-5 * texts.norm()
    assert (encoder.encode_texts(TEXTS[::-1]).flip(0) - texts).norm() < 1e-5 * texts.norm()
    assert encoder.encode_texts([]).shape == (0, encoder.width)


@pytest.mark.parametrize(("precision", "near"), [("fp16", 0.02), ("bf16", 0.1)])
def test_half_precision_runs(name, precision, near, settings):
    exact, half = (
        load_backbone(settings[name].model_copy(update={"precision": each}), CPU) for each in ("fp32", precision)
    )
    pixels = random_images(4, exact.image_size)
    for expected, found in (
        (exact.encode_images(pixels), half.encode_images(pixels)),
        (exact.encode_texts(TEXTS), half.encode_texts(TEXTS)),
    ):
        assert found.dtype == torch.float32
        assert 0 < (found - expected).norm() < near * expected.norm()
    assert half.logit_scale == exact.logit_scale


@pytest.mark.parametrize("name", [name for name, each in BACKBONES.items() if each.processor])
def test_pixels_are_those_of_the_makers_processor(name, settings, tmp_path):
    settings = settings[name].model_copy(update={"preprocess": "clip"})
    encoder = load_backbone(settings, CPU)
    size = encoder.image_size
    noise = np.random.default_rng(0).integers(0, 256, (size + 8, size + 22, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((2 * size + 44, 2 * size + 16)).save(tmp_path / "face.png")
    values = to_float(
        torch.from_numpy(read_pixels(tmp_path / "face.png", encoder.preprocess))[None], encoder.preprocess
    )
    said: dict[str, Any] = {"image_processor_type": BACKBONES[name].processor}
    processor = AutoImageProcessor.from_pretrained(settings.model, **said, backend="pil")
    expected = processor(Image.open(tmp_path / "face.png"), return_tensors="pt")["pixel_values"]
    assert values.shape == expected.shape
    assert (values - expected).abs().max() < 1e-5


def test_what_it_describes_is_in_the_identity_without_loading_it(name, settings):
    described = load_backbone(settings[name], CPU).describe()
    hashes = file_hashes(settings[name])
    assert hashes == {key: described[key] for key in ("weights_sha256", "config_sha256", "tokenizer_sha256")}
    assert hashes
    assert None not in hashes.values()
    assert described["library"].startswith("transformers ")
    assert "vectors" not in described
    assert KINDS[settings[name].kind].libraries == ("transformers", "torch", "Pillow")


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "align"])
def test_random_weights_are_the_same_each_time_and_leave_the_generator(name, settings):
    before = torch.get_rng_state()
    untrained = settings[name].model_copy(update={"weights": "random"})
    first, second = load_backbone(untrained, CPU), load_backbone(untrained, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    pixels = random_images(3, first.image_size)
    assert torch.equal(first.encode_images(pixels), second.encode_images(pixels))
    assert torch.pdist(normalised(first.encode_images(pixels))).min() > 1e-6
    assert first.describe()["weights_sha256"] == "random:seed=0"


def test_loading_prints_nothing_and_puts_the_librarys_messages_back(name, settings, capfd):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_backbone(settings[name], CPU)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@pytest.mark.parametrize("update", [{"weights": "random"}, {"preprocess": "clip"}])
def test_align_is_refused_where_it_differs_from_the_others(update, settings):
    with pytest.raises(EncoderError, match=f"{next(iter(update.values()))}: .*ALIGN.*(Choose another|Set preprocess)"):
        load_backbone(settings["align"].model_copy(update=update), CPU)


def test_the_scale_is_that_of_the_models_own_loss(settings, tmp_path):
    assert load_backbone(settings["clip"], CPU).logit_scale == pytest.approx(np.exp(2.6592), rel=1e-4)
    align = tiny_backbones.write_align(tmp_path)
    model = transformers.AlignModel.from_pretrained(tmp_path)
    torch.nn.init.constant_(model.temperature, 0.02)
    model.save_pretrained(tmp_path)
    assert load_backbone(align, CPU).logit_scale == pytest.approx(50)
