"""A clip of your own is pooled as the features that its head was fitted to."""

import numpy as np
import pytest
import torch

from expclip_cache.base import SettingsError
from expclip_cache.cache import Identity
from expclip_cache.encoders import ClipSettings, load_backbone, read_pixels
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.origin import CLIP, clip_of
from expclip_cache.prediction.predictor import Predictor
from expclip_cache.scoring import softmax_percent
from temporal_checkpoints import write_emoclip

PROMPTS = ["a photo of happiness .", "a photo of anger ."]


def cosines(feature: np.ndarray, texts: np.ndarray) -> np.ndarray:
    return texts @ feature / np.linalg.norm(texts, axis=1) / np.linalg.norm(feature)


def test_a_head_fitted_to_a_temporal_model_has_clips_pooled_by_it(faces, tmp_path):
    settings = write_emoclip(tmp_path / "model").model_copy(update={"pool": "temporal"})
    encoder = load_backbone(settings, torch.device("cpu"))
    file, W = tmp_path / "head.safetensors", np.random.default_rng(5).standard_normal((40, 24), dtype=np.float32)
    write_head(file, W, {CLIP: clip_of(Identity(settings.image_settings(), encoder.describe()))})
    predictor = Predictor(head=file, prompts=PROMPTS, crop=False, device="cpu")
    assert predictor.clip.pool == "temporal"
    pixels = np.stack([read_pixels(faces / f"{min(k, 5)}.png", encoder.preprocess) for k in range(16)])
    frames = encoder.encode_images(torch.from_numpy(pixels))
    feature, texts = encoder.pool_frames(frames[None])[0].numpy(), encoder.encode_texts(PROMPTS).numpy()
    for ranked, scores in (
        (predictor(faces).answers[0].clip, cosines(feature, texts)),
        (predictor(faces).answers[0].expclip, cosines(W @ feature, texts @ W.T)),
    ):
        expected = softmax_percent(scores[None], encoder.logit_scale)[0]
        assert dict(ranked) == pytest.approx(dict(zip(predictor.classes, expected.tolist(), strict=True)), abs=1e-2)


def test_other_poolings_are_those_of_caches_and_kept_frames_are_no_feature(faces, encoder):
    pixels = np.stack([read_pixels(faces / f"{min(k, 5)}.png", encoder.preprocess) for k in range(16)])
    feature = encoder.encode_images(torch.from_numpy(pixels)).numpy().max(axis=0)
    predictor = Predictor(ClipSettings(pool="max"), "none", PROMPTS, crop=False, device="cpu")
    scores = cosines(feature, encoder.encode_texts(PROMPTS).numpy())
    expected = softmax_percent(scores[None], encoder.logit_scale)[0]
    assert dict(predictor(faces).answers[0].clip) == pytest.approx(
        dict(zip(predictor.classes, expected.tolist(), strict=True)), abs=1e-2
    )
    with pytest.raises(SettingsError, match="pool is none, but a prediction needs one feature of a clip"):
        Predictor(ClipSettings(pool="none"), "none", crop=False)
