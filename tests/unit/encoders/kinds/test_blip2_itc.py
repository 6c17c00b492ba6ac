"""Kind `blip2-itc` against the forward pass of transformers' own model."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoTokenizer, Blip2ForImageTextRetrieval

from expclip_cache.base import EncoderError
from expclip_cache.encoders import file_hashes, load_backbone, read_pixels
from expclip_cache.encoders.image_text import find_backbone_files
from expclip_cache.encoders.kinds.blip_texts import cleaned
from expclip_cache.encoders.preprocess import to_float
from tiny_encoders import edit_weights, random_pixels
from tiny_itc import QUERIES, WIDTH, write_blip2_itc

CPU = torch.device("cpu")
TEXTS = [
    "a photo of anger.",
    "An expression of happiness.",
    "fear",
    'A photo of a person with an expression of "surprise".',
    "a person who is feeling sad; a face",
    "contempt",
    "neutral!",
    "an expression of disgust",
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_blip2_itc(tmp_path_factory.mktemp("blip2") / "model")


@pytest.fixture
def spoiled(written, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(written.model, tmp_path / "model")
    return written.model_copy(update={"model": str(tmp_path / "model")})


@pytest.fixture(scope="module")
def encoder(written):
    return load_backbone(written.model_copy(update={"preprocess": "clip"}), CPU)


def best_cosines(encoder, pixels, texts):
    images = encoder.encode_images(pixels).unflatten(1, (encoder.vectors, encoder.width))
    images, texts = (torch.nn.functional.normalize(each, dim=-1) for each in (images, encoder.encode_texts(texts)))
    return (images @ texts.T).amax(dim=1)


def edit_config(settings, **changes):
    file = Path(settings.model) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("has_image_token", [True, False])
def test_the_best_cosines_are_the_librarys_logits(has_image_token, encoder, written):
    model = Blip2ForImageTextRetrieval.from_pretrained(written.model).eval()
    tokens = AutoTokenizer.from_pretrained(written.model)([cleaned(text) for text in TEXTS], padding=True)
    ids, mask = (torch.tensor(tokens[name]) for name in ("input_ids", "attention_mask"))
    if has_image_token:
        # As its processor does; the forward pass drops them again.
        dropped = torch.full((len(TEXTS), QUERIES), model.config.image_token_index)
        ids, mask = torch.cat([dropped, ids], 1), torch.cat([torch.ones_like(dropped), mask], 1)
    else:
        model.config.image_token_index = None
    pixels = random_pixels(8)
    with torch.no_grad():
        logits = model(
            pixel_values=to_float(pixels, encoder.preprocess),
            input_ids=ids,
            attention_mask=mask,
            use_image_text_matching_head=False,
        ).logits_per_image
    assert (best_cosines(encoder, pixels, TEXTS) - logits).abs().max() < 1e-5
    # Otherwise equality would say little: texts and images differ, and so do an image's vectors.
    assert torch.pdist(logits).min() > 1e-3
    assert torch.pdist(logits.T).min() > 1e-3
    assert torch.pdist(encoder.encode_images(pixels[:1]).unflatten(1, (QUERIES, WIDTH))[0]).min() > 1e-2


def test_what_it_describes(encoder, written):
    described = encoder.describe()
    assert (encoder.vectors, encoder.width) == (described["vectors"], described["width"]) == (QUERIES, WIDTH)
    assert (described["context_length"], described["logit_scale"]) == (32, 1)
    hashes = file_hashes(written)
    assert None not in hashes.values()
    assert hashes == {name: described[name] for name in hashes}
    features = encoder.encode_images(random_pixels())
    assert (features.shape, features.dtype) == ((5, QUERIES * WIDTH), torch.float32)


def test_a_feature_does_not_depend_on_what_else_is_in_the_batch(encoder):
    pixels = random_pixels(8)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS)
    alone = torch.cat([encoder.encode_images(each[None]) for each in pixels])
    assert (alone - images).norm() < 1e-5 * images.norm()
    assert (encoder.encode_texts(TEXTS[::-1]).flip(0) - texts).norm() < 1e-5 * texts.norm()
    assert (torch.cat([encoder.encode_texts([text]) for text in TEXTS]) - texts).norm() < 1e-5 * texts.norm()


def test_a_text_is_cleaned_as_the_makers_do_it(encoder):
    assert cleaned(' A  photo\n of *a* ("Fear") ~face~#1: no; so!  ') == "a photo of a fear face 1 no so"
    assert cleaned("a-b, c's?") == "a-b, c's?"
    same = encoder.encode_texts(["a photo of anger", "A photo of anger.", "a photo   of: anger!"])
    assert torch.allclose(same[1:], same[:1], atol=1e-6)
    other = encoder.encode_texts(["a photo of anger", "a photo of anger?"])
    assert (other[0] - other[1]).norm() > 1e-2


def test_a_text_that_is_too_long_is_named(encoder):
    fits = " ".join(["anger"] * 30)
    assert encoder.encode_texts([f"{fits}."]).isfinite().all()
    with pytest.raises(EncoderError, match=r"prompt 'anger anger .*' has more than the 32 tokens .* Shorten it"):
        encoder.encode_texts(["fear", f"{fits} Anger"])


@pytest.mark.parametrize(("precision", "near"), [("fp16", 0.01), ("bf16", 0.05)])
def test_half_precision_is_the_vision_models(precision, near, written):
    exact, half = (load_backbone(written.model_copy(update={"precision": each}), CPU) for each in ("fp32", precision))
    expected, found = (each.encode_images(random_pixels()) for each in (exact, half))
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() < near * expected.norm()
    assert torch.equal(half.encode_texts(TEXTS), exact.encode_texts(TEXTS))


def test_pixels_are_those_of_the_makers_processor(encoder, written, tmp_path):
    noise = torch.randint(0, 256, (40, 60, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).numpy()
    Image.fromarray(noise).save(tmp_path / "face.png")
    pixels = torch.from_numpy(read_pixels(tmp_path / "face.png", encoder.preprocess))[None]
    processor = AutoImageProcessor.from_pretrained(
        written.model, image_processor_type="BlipImageProcessor", do_center_crop=False, backend="pil"
    )
    expected = processor(Image.open(tmp_path / "face.png"), return_tensors="pt")["pixel_values"]
    assert (to_float(pixels, encoder.preprocess) - expected).abs().max() < 1e-5


def test_random_weights_give_an_image_several_vectors(written):
    before = torch.get_rng_state()
    first, second = (load_backbone(written.model_copy(update={"weights": "random"}), CPU) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    images = first.encode_images(random_pixels())
    assert torch.equal(images, second.encode_images(random_pixels()))
    assert torch.pdist(images.unflatten(1, (QUERIES, WIDTH))[0]).min() > 1e-4


def test_the_head_for_matching_may_be_missing_and_other_tensors_are_named(spoiled, encoder):
    file = Path(spoiled.model) / "model.safetensors"
    edit_weights(file, {}, ["itm_head.weight", "itm_head.bias"])
    trained = spoiled.model_copy(update={"preprocess": "clip"})
    assert torch.equal(
        load_backbone(trained, CPU).encode_images(random_pixels()), encoder.encode_images(random_pixels())
    )
    tensors = load_file(file)
    edit_weights(file, {"text_proj.weight": tensors["text_projection.weight"]}, ["text_projection.weight"])
    with pytest.raises(EncoderError, match=r"\n  1 missing: text_projection.weight\n  1 unknown: text_proj.weight$"):
        load_backbone(spoiled, CPU)


def test_pickles_are_refused(spoiled):
    folder = Path(spoiled.model)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"expected the file .*model\.safetensors, found .*a pickle"):
        load_backbone(spoiled, CPU)


def test_a_blip2_that_writes_texts_is_refused_and_so_are_other_kinds(spoiled):
    config = json.loads((Path(spoiled.model) / "config.json").read_text())
    edit_config(spoiled, qformer_config=config["qformer_config"] | {"use_qformer_text_input": False})
    with pytest.raises(EncoderError, match=r"it is a BLIP-2 that writes texts.* Salesforce/blip2-itm-vit-g"):
        find_backbone_files(spoiled)
    edit_config(spoiled, model_type="bert")
    with pytest.raises(EncoderError, match="is of kind lavis-itc: set its model: pretrain_vitL, and its weights"):
        find_backbone_files(spoiled)
    edit_config(spoiled, model_type="clip")
    with pytest.raises(EncoderError, match=re.escape("takes models of the type blip-2. Set its kind: transformers.")):
        find_backbone_files(spoiled)
