"""Kind `lavis-itc` against LAVIS's formulas written out, on files with LAVIS's names."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms
from transformers import BertTokenizer

import lavis_witness
from expclip_cache.base import EncoderError
from expclip_cache.encoders import CLIP_MEAN, CLIP_STD, KINDS, file_hashes, load_backbone, read_pixels
from expclip_cache.encoders.image_text import find_backbone_files
from expclip_cache.encoders.kinds import lavis_vision
from expclip_cache.encoders.preprocess import to_float
from tiny_encoders import SIZE, random_pixels
from tiny_itc import BERT, QUERIES, WIDTH, write_lavis_itc

CPU = torch.device("cpu")
TEXTS = [
    "a photo of anger",
    "an expression of happiness",
    "fear",
    "a photo of a person with an expression of surprise",
    "a person who is feeling sad",
    "neutral",
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_lavis_itc(tmp_path_factory.mktemp("lavis") / "model")


@pytest.fixture
def spoiled(written, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(written.weights, tmp_path / "model")
    return written.model_copy(update={"weights": str(tmp_path / "model")})


@pytest.fixture(scope="module")
def encoder(written):
    return load_backbone(written.model_copy(update={"preprocess": "clip"}), CPU)


def tensors_of(settings):
    vision = torch.load(Path(settings.weights) / "clip_vit_L.pth", weights_only=True)
    return vision, torch.load(Path(settings.weights) / "blip2_pretrained_vitL.pth", weights_only=True)["model"]


def write(settings, vision=None, q_former=None):
    if vision is not None:
        torch.save(vision, Path(settings.weights) / "clip_vit_L.pth")
    if q_former is not None:
        torch.save({"model": q_former}, Path(settings.weights) / "blip2_pretrained_vitL.pth")


def test_features_are_those_of_the_formulas(encoder, written):
    vision, q_former = tensors_of(written)
    pixels = random_pixels()
    expected = lavis_witness.image_vectors(
        vision, q_former, to_float(pixels, encoder.preprocess), BERT["num_attention_heads"]
    )
    found = encoder.encode_images(pixels)
    assert found.shape == (5, QUERIES * WIDTH)
    assert (found.view(expected.shape) - expected).norm() < 1e-5 * expected.norm()
    assert torch.pdist(found).min() > 1e-2 * found.norm(dim=1).max()
    tokenizer = BertTokenizer.from_pretrained(written.weights)
    expected = torch.stack(
        [lavis_witness.text_vector(q_former, tokenizer(text).input_ids, BERT["num_attention_heads"]) for text in TEXTS]
    )
    found = encoder.encode_texts([f"{text[0].upper()}{text[1:]}." for text in TEXTS])
    assert (found - expected).norm() < 1e-5 * expected.norm()
    assert torch.pdist(found).min() > 1e-2 * found.norm(dim=1).max()


def test_a_feature_does_not_depend_on_what_else_is_in_the_batch(encoder):
    pixels = random_pixels(8)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS)
    alone = torch.cat([encoder.encode_images(each[None]) for each in pixels])
    assert (alone - images).norm() < 1e-5 * images.norm()
    assert (encoder.encode_texts(TEXTS[::-1]).flip(0) - texts).norm() < 1e-5 * texts.norm()
    assert (torch.cat([encoder.encode_texts([text]) for text in TEXTS]) - texts).norm() < 1e-5 * texts.norm()


def test_loading_leaves_the_random_generator(written):
    before = torch.get_rng_state()
    load_backbone(written, CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_it_describes(encoder, written):
    described = encoder.describe()
    assert (encoder.vectors, encoder.width) == (described["vectors"], described["width"]) == (QUERIES, WIDTH)
    assert (described["image_size"], described["context_length"]) == (SIZE, 32)
    assert described["logit_scale"] == pytest.approx(1 / 0.05)
    hashes = file_hashes(written)
    assert None not in hashes.values()
    assert hashes == {name: described[name] for name in hashes}
    assert [part.split()[0] for part in described["library"].split(", ")] == list(KINDS["lavis-itc"].libraries)


def test_images_are_squashed_as_the_makers_do_it(encoder, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "face.png")
    pixels = torch.from_numpy(read_pixels(tmp_path / "face.png", encoder.preprocess))[None]
    makers = transforms.Compose(
        [
            transforms.Resize((SIZE, SIZE), interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    assert (to_float(pixels, encoder.preprocess)[0] - makers(Image.fromarray(noise))).abs().max() < 1e-5


@pytest.mark.parametrize(("precision", "near"), [("fp16", 0.02), ("bf16", 0.1)])
def test_half_precision_is_the_vision_models(precision, near, written):
    exact, half = (load_backbone(written.model_copy(update={"precision": each}), CPU) for each in ("fp32", precision))
    expected, found = (each.encode_images(random_pixels()) for each in (exact, half))
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() < near * expected.norm()
    assert torch.equal(half.encode_texts(TEXTS), exact.encode_texts(TEXTS))


def test_weights_in_half_precision_and_converted_ones_load(spoiled, encoder):
    vision, q_former = tensors_of(spoiled)
    write(spoiled, {name: tensor.half() for name, tensor in vision.items()})
    found = load_backbone(spoiled.model_copy(update={"preprocess": "clip"}), CPU).encode_images(random_pixels())
    expected = encoder.encode_images(random_pixels())
    assert (found - expected).norm() < 1e-2 * expected.norm()
    folder = Path(spoiled.weights)
    for name, tensors in (("clip_vit_L", vision), ("blip2_pretrained_vitL", q_former)):
        save_file(tensors, folder / f"{name}.safetensors")
        (folder / f"{name}.pth").unlink()
    found = load_backbone(spoiled.model_copy(update={"preprocess": "clip"}), CPU).encode_images(random_pixels())
    assert torch.equal(found, expected)


def test_layers_that_lavis_has_not_are_left_out():
    names = [f"transformer.resblocks.{layer}.ln_1.weight" for layer in range(40)]
    assert [name for name in names if not lavis_vision.UNREAD.match(name)] == names[:23]
    assert not lavis_vision.UNREAD.match("transformer.resblocks.2.attn.out_proj.weight")


def test_missing_and_renamed_tensors_are_named_as_in_the_files(spoiled):
    vision, q_former = tensors_of(spoiled)
    missing = "Qformer.bert.encoder.layer.0.crossattention.self.key.weight"
    write(
        spoiled,
        q_former={
            "text_proj.wait" if name == "text_proj.weight" else name: q_former[name]
            for name in q_former
            if name != missing
        },
    )
    with pytest.raises(EncoderError, match=re.escape(missing)) as caught:
        load_backbone(spoiled, CPU)
    assert str(caught.value).endswith(f"2 missing: {missing}, text_proj.weight\n  1 unknown: text_proj.wait")
    assert "blip2_pretrained_vitL.pth" in str(caught.value)
    lost = "transformer.resblocks.1.mlp.c_fc.bias"
    write(spoiled, {name: tensor for name, tensor in vision.items() if name != lost})
    with pytest.raises(EncoderError, match=rf"clip_vit_L\.pth .*\n  1 missing: {lost}$"):
        load_backbone(spoiled, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda vision, _: vision.pop("conv1.weight"), r"clip_vit_L\.pth has no conv1\.weight with 4 axes"),
        (lambda vision, _: vision.update({"positional_embedding": torch.ones(16, 128)}), "128 and 16 positions"),
        (lambda _, q: q.pop("query_tokens"), r"vitL\.pth has no query_tokens with 3 axes"),
        (
            lambda _, q: q.update({"Qformer.bert.embeddings.word_embeddings.weight": torch.ones(9, 24)}),
            "has 9 tokens.* bert-base-uncased",
        ),
    ],
)
def test_weights_of_another_model_are_refused(change, message, spoiled):
    vision, q_former = tensors_of(spoiled)
    change(vision, q_former)
    write(spoiled, vision, q_former)
    with pytest.raises(EncoderError, match=message):
        load_backbone(spoiled, CPU)


class Program:
    def __reduce__(self):
        return print, ("run",)


def test_programs_in_a_pickle_are_refused(spoiled, capsys):
    write(spoiled, q_former={"query_tokens": Program()})
    with pytest.raises(EncoderError, match=r"vitL\.pth: is no plain file of weights: .*Nothing of it was run"):
        load_backbone(spoiled, CPU)
    assert capsys.readouterr().out == ""


def test_a_text_that_is_too_long_is_named(encoder):
    with pytest.raises(EncoderError, match=r"prompt 'anger anger .*' has more than the 32 tokens .* Shorten it"):
        encoder.encode_texts(["fear", " ".join(["anger"] * 31)])


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"model": "Salesforce/blip2-itm-vit-g"}, "Set its model: pretrain_vitL, .* transformers is of kind blip2-itc"),
        ({"weights": "pretrained"}, r"weights 'pretrained' is not a folder .* blip2_pretrained_vitL\.pth, and config"),
        ({"weights": "random"}, "weights 'random' is not a folder on this machine"),
        ({"revision": "main"}, "revision 'main' is of a repository on the hub, .* Set its revision: null"),
    ],
)
def test_other_settings_are_refused(update, message, written):
    with pytest.raises(EncoderError, match=message):
        find_backbone_files(written.model_copy(update=update))


@pytest.mark.parametrize(
    "name", ["clip_vit_L.pth", "blip2_pretrained_vitL.pth", "tokenizer.json", "tokenizer_config.json", "config.json"]
)
def test_a_missing_file_is_named(name, spoiled):
    (Path(spoiled.weights) / name).unlink()
    with pytest.raises(EncoderError, match=rf"expected the file .*{re.escape(name)}, .* of bert-base-uncased\."):
        find_backbone_files(spoiled)


def test_a_tokenizer_of_another_model_is_refused(spoiled):
    file = Path(spoiled.weights) / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"model_type": "clip"}))
    with pytest.raises(EncoderError, match=r"config\.json has model_type 'clip'; expected bert"):
        find_backbone_files(spoiled)
