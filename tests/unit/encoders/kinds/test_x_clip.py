"""X-CLIP against transformers' own forward pass, and on its way from clips to scores."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, XCLIPModel

from expclip_cache.base.errors import CacheError, EncoderError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache import FeatureCache, RowLayout
from expclip_cache.cache.format import CONDITIONING
from expclip_cache.cache.inspection import inspect_cache
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.cache.verify import verify_cache
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.encoders.file_hashes import file_hashes
from expclip_cache.encoders.image_text import load_backbone
from expclip_cache.encoders.images import read_pixels
from expclip_cache.encoders.kinds.x_clip_model import middles
from expclip_cache.encoders.preprocess import to_float
from expclip_cache.extraction.folder import extract
from expclip_cache.extraction.prompt_cache import encode_prompts
from expclip_cache.prompts import PromptSettings, prompt_table
from expclip_cache.scoring import score
from expclip_cache.scoring.class_index import class_index
from expclip_cache.scoring.text_conditioning import TextConditioning
from expclip_cache.workers.settings import RunSettings
from tiny_x_clip import FRAMES, D, write_x_clip

CPU = torch.device("cpu")
TEXTS = ["happiness .", "anger .", "a photo of happiness .", "the face in the image", "an expression of anger"]
CACHE = CacheSettings(shard_rows=3, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=8, workers=0)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return write_x_clip(tmp_path_factory.mktemp("x-clip"))


@pytest.fixture(scope="module")
def encoder(settings):
    return load_backbone(settings, CPU)


@pytest.fixture(scope="module")
def clips():
    return torch.randint(0, 256, (8, FRAMES, 3, 28, 28), dtype=torch.uint8, generator=torch.manual_seed(0))


def forward_of_transformers(settings, encoder, clips):
    """(n, p) logits of the whole model's forward pass; and in it the clips' rows and the raw texts."""
    model = XCLIPModel.from_pretrained(settings.model).eval()
    inside = {}
    model.mit.register_forward_hook(lambda _module, _inputs, output: inside.update(videos=output.pooler_output))
    model.prompts_generator.register_forward_hook(lambda _module, inputs, _output: inside.update(attending=inputs))
    tokenizer = AutoTokenizer.from_pretrained(settings.model)
    tokens = tokenizer(TEXTS, return_tensors="pt", padding=True)
    values = to_float(clips.flatten(0, 1), encoder.preprocess).unflatten(0, clips.shape[:2])
    with torch.no_grad():
        output = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, pixel_values=values)
    texts, patches = inside["attending"]
    rows = torch.cat([inside["videos"].unsqueeze(1), patches], dim=1).flatten(1)
    return output.logits_per_video.numpy(), rows.numpy(), texts[0].numpy()


def test_scores_from_cached_vectors_are_the_models_own_logits(settings, encoder, clips):
    logits, expected_rows, expected_texts = forward_of_transformers(settings, encoder, clips)
    rows, texts = encoder.encode_clips(clips).numpy(), encoder.encode_texts(TEXTS).numpy()
    assert np.abs(rows - expected_rows).max() < 1e-5 * np.abs(expected_rows).max()
    assert np.abs(texts - expected_texts).max() < 1e-5 * np.abs(expected_texts).max()
    layout = RowLayout(1, encoder.vectors, encoder.width, "conditioned-text")
    conditioning = TextConditioning(encoder.conditioning_weights())
    index = class_index(layout, texts, np.arange(len(TEXTS)), None, "mean", conditioning)
    predicted, similarities = index.predict(rows)
    np.testing.assert_allclose(encoder.logit_scale * similarities, logits, atol=1e-4)
    np.testing.assert_array_equal(predicted, logits.argmax(axis=1))
    # Without the clip's influence on the texts the answers would be others.
    units = rows[:, :D] / np.linalg.norm(rows[:, :D], axis=1, keepdims=True)
    plain = units @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T
    assert np.abs(plain - similarities).max() > 0.05


def test_a_batch_of_one_is_a_batch_of_eight(encoder, clips):
    together = encoder.encode_clips(clips)
    alone = torch.cat([encoder.encode_clips(clip[None]) for clip in clips])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder.encode_texts(TEXTS[::-1]), encoder.encode_texts(TEXTS).flip(0))


def test_frames_are_those_in_the_middle_of_equal_parts(encoder, clips):
    assert middles(16, 8) == [1, 3, 5, 7, 9, 11, 13, 15]
    longer = torch.randint(0, 256, (2, 11, 3, 28, 28), dtype=torch.uint8)
    torch.testing.assert_close(encoder.encode_clips(longer), encoder.encode_clips(longer[:, [1, 4, 6, 9]]))
    still = clips[:, :1]
    torch.testing.assert_close(encoder.encode_images(still[:, 0]), encoder.encode_clips(still.expand_as(clips)))


def test_facts_and_hashes(settings, encoder):
    facts = encoder.describe()
    assert (facts["width"], facts["vectors"], facts["comparison"]) == (D, 17, "conditioned-text")
    assert dict(file_hashes(settings)).items() <= facts.items()
    assert load_backbone(settings, CPU).describe() == facts
    assert len(encoder.describe()["conditioning_sha256"]) == 64


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_close(settings, encoder, clips, precision):
    half = load_backbone(settings.model_copy(update={"precision": precision}), CPU)
    found, exact = half.encode_clips(clips), encoder.encode_clips(clips)
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found, exact).min() > 0.99


def test_pixels_are_those_of_the_makers_processor(settings, tmp_path):
    how = load_backbone(settings.model_copy(update={"preprocess": "clip"}), CPU).preprocess
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "frame.png")
    pixels = torch.from_numpy(read_pixels(tmp_path / "frame.png", how))[None]
    # It crops to its own 224 where the file has no crop_size, which is right for the published models alone.
    side = {"height": 28, "width": 28}
    processor = AutoImageProcessor.from_pretrained(
        settings.model, image_processor_type="VideoMAEImageProcessor", backend="pil", crop_size=side
    )
    expected = processor([Image.open(tmp_path / "frame.png")], return_tensors="pt")["pixel_values"][0]
    assert (to_float(pixels, how) - expected).abs().max() < 1e-5


def test_what_does_not_fit_is_refused(settings, encoder, tmp_path):
    with pytest.raises(EncoderError, match=r"kind x-clip puts the frames of a clip together.*pool: mean"):
        load_backbone(settings.model_copy(update={"pool": "none"}), CPU)
    with pytest.raises(EncoderError, match=r"model_type .xclip.; kind flava takes .*Set its kind: x-clip"):
        load_backbone(settings.model_copy(update={"kind": "flava"}), CPU)
    other = shutil.copytree(settings.model, tmp_path / "model")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"prompt_hidden_act": "gelu"}))
    with pytest.raises(EncoderError, match=r"has prompt_hidden_act 'gelu'; .* with quick_gelu alone"):
        load_backbone(settings.model_copy(update={"model": str(other)}), CPU)
    with pytest.raises(EncoderError, match=r"prompt 'face face .* has more than the 64 tokens"):
        encoder.encode_texts(["face " * 70])
    with pytest.raises(EncoderError, match=r"has more than the 64 tokens"):
        encoder.encode_texts(["f" * 7000])


@pytest.fixture(scope="module")
def cached(settings, tmp_path_factory):
    """Features and prompts of four clips of five frames."""
    folder, random = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    for number in range(4):
        clip = folder / "clips" / ("anger", "happiness")[number % 2] / str(number)
        clip.mkdir(parents=True)
        for frame in range(5):
            Image.fromarray(random.integers(0, 256, (28, 28, 3), dtype=np.uint8)).save(clip / f"{frame}.png")
    layout = DatasetSettings(source=str(folder / "clips"), layout="frame-folders", frames=5)
    images = extract(folder / "clips", folder / "images", settings, layout=layout, cache=CACHE, run=RUN)
    table = prompt_table("reference", (1, 2), images.classes)
    prompts = encode_prompts([prompt.text for prompt in table], folder / "prompts", settings)
    return images, prompts, table


def test_from_clips_to_scores_without_the_models_files(cached, encoder):
    images, prompts, table = cached
    assert images.layout == RowLayout(1, 17, D, "conditioned-text")
    assert prompts.layout == RowLayout(1, 1, D, "conditioned-text")
    found = score(images, prompts, settings=PromptSettings(types=(1, 2)))
    rows, conditioning = images[:].astype(np.float32), TextConditioning(encoder.conditioning_weights())
    for one in found:
        texts = [prompt.text for prompt in table if prompt.type == one.prompt_type]
        index = class_index(
            images.layout, encoder.encode_texts(texts).numpy(), np.arange(2), None, "mean", conditioning
        )
        np.testing.assert_array_equal(one.predictions.clip[one.prompt_type], index.classify(rows))


def test_a_head_is_fitted_on_the_vectors_of_the_clips(cached):
    images, _, _ = cached
    np.testing.assert_array_equal(images.item_vectors(slice(None)), images[:][:, :D])


def test_the_weights_beside_the_prompts_are_checked(cached, settings):
    _, prompts, table = cached
    folder, texts = prompts.store.folder, [prompt.text for prompt in table]
    file = folder / CONDITIONING
    content = file.read_bytes()
    assert not verify_cache(folder, SilentReporter()).broken
    assert inspect_cache(folder)["complete"]
    assert any(finding.part == CONDITIONING for finding in verify_cache(folder, SilentReporter()).findings)
    try:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(CacheError, match=r"conditioning\.safetensors: is damaged, .* Encode the prompts again"):
            FeatureCache(folder).conditioning()
        assert [finding.part for finding in verify_cache(folder, SilentReporter()).broken] == [CONDITIONING]
        file.unlink()
        with pytest.raises(CacheError, match=r"conditioning\.safetensors: is missing.*Encode them again"):
            FeatureCache(folder).conditioning()
        assert [finding.part for finding in verify_cache(folder, SilentReporter()).broken] == [CONDITIONING]
        described = inspect_cache(folder)
        assert (described["complete"], described["problems"]) == (False, [f"{file}: is missing."])
        assert encode_prompts(texts, folder, settings).conditioning() == content
        # New texts and old ones alike: the file stays what it is.
        assert encode_prompts(texts[:2], folder, settings).conditioning() == content
        assert encode_prompts([*texts, "a face ."], folder, settings).conditioning() == content
    finally:
        encode_prompts(texts, folder, settings)


def test_prompts_at_an_address_have_their_weights_there(settings, cached):
    _, prompts, table = cached
    remote = encode_prompts([prompt.text for prompt in table], "memory://x-clip/prompts", settings)
    assert remote.conditioning() == prompts.conditioning()
    assert not verify_cache("memory://x-clip/prompts", SilentReporter()).broken
