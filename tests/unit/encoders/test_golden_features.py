"""The numbers in feature caches against committed ones: code that changes them has to raise its version.

What is measured, and how closely it must agree, stands in tests/support/golden_numbers.py.
"""

import copy
import json

import pytest
import torch
from PIL.JpegImagePlugin import JpegImageFile

import golden_numbers
from expclip_cache.encoders import answer_rows, answer_texts, continuation, images, versions, vlm_states
from expclip_cache.encoders import preprocess as preprocessing
from expclip_cache.encoders.blip2_t5 import Blip2T5Encoder
from expclip_cache.encoders.clip import ClipEncoder
from expclip_cache.encoders.kinds import blip_texts
from expclip_cache.encoders.kinds.emoclip_model import TemporalTransformer
from expclip_cache.encoders.kinds.emotionclip_model import SubjectTower, VisualHead
from expclip_cache.encoders.kinds.flava_model import FlavaSides
from expclip_cache.encoders.kinds.hugging_face_encoder import HuggingFaceEncoder
from expclip_cache.encoders.kinds.hugging_face_texts import Texts
from expclip_cache.encoders.kinds.lavis_vision import LavisVision
from expclip_cache.encoders.kinds.q_former import QFormerModel
from expclip_cache.encoders.kinds.x_clip_model import XClipEncoder
from expclip_cache.encoders.vlm_inputs import VlmInputs
from expclip_cache.extraction import encoding, frame_poolings
from golden_numbers import GOLDEN, PARTS, Case, as_json, check, regenerated

VERSIONED = [part for part in PARTS if part != "frames"]


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured():
    return {part: how.measure() for part, how in PARTS.items()}


@pytest.mark.parametrize("part", PARTS)
def test_numbers_equal_the_golden_ones(part, golden, measured):
    check(part, measured[part], golden)


def test_golden_features_depend_on_the_image(golden):
    """Otherwise they would guard nothing."""
    for part in set(VERSIONED) - {"PIXELS", "POOLING", "TEMPORAL_POOLING"}:
        for name, rows in golden[part]["cases"].items():
            first, second = torch.tensor(rows)
            # How likely an answer is depends on its words more than on the image.
            least = 0.003 if part.endswith("_ANSWERS") else 0.1
            assert (first - second).norm() > least * first.norm(), name


def mirrored(image, how, to_square=images.to_square):
    return to_square(image, how)[:, :, ::-1]


def blue_first(image, how, to_square=images.to_square):
    return to_square(image, how)[::-1]


def clipped(image):
    return image.convert("RGB")


def full_size(_self, _mode, _size):
    """`draft`, but the JPEG is decoded at its full size."""


def unscaled(pixels, how, to_float=preprocessing.to_float):
    return 255 * to_float(pixels, how)


def negative(self, pixels, encode=ClipEncoder.encode_images):
    return -encode(self, pixels)


def larger(self, pixels, encode=ClipEncoder.encode_images):
    return 1.001 * encode(self, pixels)


def negative_texts(self, texts, encode=ClipEncoder.encode_texts):
    return -encode(self, texts)


def larger_of_transformers(self, pixels, encode=HuggingFaceEncoder.encode_images):
    return 1.001 * encode(self, pixels)


def other_words(self, texts, tokens=Texts.__call__):
    return tokens(self, [text.replace("a", "") for text in texts])


def before_the_projection(self, values):
    return self.image_model(pixel_values=values).last_hidden_state[:, 0]


def uncleaned(text):
    return text


def reversed_queries(self, states, vectors=QFormerModel.image_vectors):
    return vectors(self, states).flip(1)


def without_the_class_token(self, values, forward=LavisVision.forward):
    return forward(self, values)[:, 1:]


def negative_targets(self, pixels, encode=Blip2T5Encoder.encode_images):
    return -encode(self, pixels)


def unscaled_vectors(vectors):
    return vectors


def first_of_frames(self, frames):
    return frames[:, 0]


def without_subject(self, images):
    return self.visual(images)


def without_the_end_token(self, inputs, states=Blip2T5Encoder._final_norm_states):
    return states(self, inputs)[:, :-1]


def largest_of_positions(states, _positions, _read):
    return states.amax(dim=1)


def without_template(self, text, prompt=VlmInputs.prompt):
    return prompt(self, text).replace("user", "system")


def before_the_norm(share, layers):
    return max(1, round(share * layers) - 1)


def first_frame(encoder, pixels, good, report, encode_rows=encoding.encode_rows):
    return encode_rows(encoder, pixels[:, :1], good, report)


def normalised(encoder, pixels, good, report, encode_rows=encoding.encode_rows):
    return torch.nn.functional.normalize(encode_rows(encoder, pixels, good, report), dim=1)


def with_skipped_rows(encoder, pixels, good, report, encode_rows=encoding.encode_rows):
    return encode_rows(encoder, pixels, good | True, report)


def without_patches(self, frames, rows=XClipEncoder._rows):
    return rows(self, frames) * (torch.arange(self.vectors)[:, None] == 0)


def without_the_end(prompt, answers, log_likelihoods=continuation.log_likelihoods):
    return log_likelihoods(prompt, [tokens[:-1] for tokens in answers])


def of_one_order(names, _count, option_orders=answer_texts.option_orders):
    return option_orders(names, 1)


CHANGES = [
    ("PIXELS", images, "to_square", mirrored),
    ("PIXELS", images, "to_square", blue_first),
    ("PIXELS", images, "_rgb", clipped),
    ("PIXELS", preprocessing, "to_float", unscaled),
    ("PIXELS", JpegImageFile, "draft", full_size),
    ("POOLING", encoding, "encode_rows", first_frame),
    ("POOLING", encoding, "encode_rows", normalised),
    ("POOLING", encoding, "encode_rows", with_skipped_rows),
    ("CLIP", ClipEncoder, "encode_images", negative),
    ("CLIP", ClipEncoder, "encode_images", larger),
    ("CLIP", ClipEncoder, "encode_texts", negative_texts),
    ("EMOCLIP", TemporalTransformer, "forward", first_of_frames),
    ("EMOTIONCLIP", VisualHead, "forward", first_of_frames),
    ("EMOTIONCLIP", SubjectTower, "forward", without_subject),
    ("TEMPORAL_POOLING", frame_poolings, "_unit", unscaled_vectors),
    ("TRANSFORMERS_CLIP", HuggingFaceEncoder, "encode_images", larger_of_transformers),
    ("TRANSFORMERS_CLIP", Texts, "__call__", other_words),
    ("FLAVA", Texts, "__call__", other_words),
    ("X_CLIP", XClipEncoder, "_rows", without_patches),
    ("FLAVA", FlavaSides, "encode_images", before_the_projection),
    ("BLIP2_ITC", blip_texts, "cleaned", uncleaned),
    ("BLIP2_ITC", QFormerModel, "image_vectors", reversed_queries),
    ("LAVIS_ITC", blip_texts, "cleaned", uncleaned),
    ("LAVIS_ITC", LavisVision, "forward", without_the_class_token),
    ("BLIP2_T5", Blip2T5Encoder, "encode_images", negative_targets),
    ("T5_ANSWERS", answer_rows, "log_likelihoods", without_the_end),
    ("T5_ANSWERS", answer_texts, "option_orders", of_one_order),
    ("VLM_ANSWERS", answer_rows, "log_likelihoods", without_the_end),
    ("VLM_ANSWERS", answer_texts, "option_orders", of_one_order),
    ("VLM", vlm_states, "pooled", largest_of_positions),
    ("VLM", vlm_states, "state_index", before_the_norm),
    ("VLM", VlmInputs, "prompt", without_template),
    ("BLIP2_T5", Blip2T5Encoder, "_final_norm_states", without_the_end_token),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "owner", "name", "change"), CHANGES, ids=[f"{part}-{change.__name__}" for part, _, _, change in CHANGES]
)
def test_a_changed_number_fails_with_the_version_to_raise(part, owner, name, change, golden, monkeypatch):
    monkeypatch.setattr(owner, name, change)
    with pytest.raises(
        AssertionError, match=rf"moved \(.*: raise {part} in .*versions.py and run `python tools/golden"
    ):
        check(part, PARTS[part].measure(), golden)


def test_a_changed_frame_fails_too(golden, monkeypatch):
    monkeypatch.setattr(golden_numbers, "sample_indices", lambda _available, frames, _rule: tuple(range(frames)))
    with pytest.raises(AssertionError, match=r"the frames that datasets.sampling picks moved .*: manifests list them"):
        check("frames", PARTS["frames"].measure(), golden)


@pytest.mark.parametrize("part", VERSIONED)
def test_a_raised_version_needs_new_golden_numbers(part, golden, measured, monkeypatch):
    monkeypatch.setattr(versions, part, 2)
    with pytest.raises(
        AssertionError, match=rf"{part} in .* is 2, .* version 1: run `python tools/golden_features.py`"
    ):
        check(part, measured[part], golden)


def test_rounding_passes_and_the_libraries_are_named_otherwise(golden, measured):
    rounded = {name: case._replace(values=case.values * (1 + 1e-5)) for name, case in measured["CLIP"].items()}
    check("CLIP", rounded, golden)
    moved = {name: case._replace(values=case.values * (1 + 1e-3)) for name, case in rounded.items()}
    with pytest.raises(AssertionError, match=r"made with torch 2.0.0; here is Pillow"):
        check("CLIP", moved, golden | {"libraries": "torch 2.0.0"})


def test_a_new_case_needs_golden_numbers(golden, measured):
    more = measured["POOLING"] | {"a clip of one frame": Case(measured["POOLING"]["clips, at once"].values)}
    with pytest.raises(AssertionError, match=r"different cases of POOLING \(a clip of one frame\): run"):
        check("POOLING", more, golden)


def test_new_golden_numbers_need_a_raised_version(golden, measured, monkeypatch):
    monkeypatch.setattr(
        golden_numbers, "PARTS", {name: how._replace(measure=lambda n=name: measured[n]) for name, how in PARTS.items()}
    )
    assert as_json(regenerated(None)) == as_json(regenerated(golden))
    changed = copy.deepcopy(golden)
    changed["CLIP"]["cases"]["demo, images"][0][0] += 1
    with pytest.raises(SystemExit, match=r"the features of encoders.clip moved \(demo, images\): raise CLIP in"):
        regenerated(changed)
    monkeypatch.setattr(versions, "CLIP", 2)
    assert regenerated(changed)["CLIP"]["version"] == 2
