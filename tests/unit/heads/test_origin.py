"""A head's file names the CLIP that it was fitted to, and the head is refused for features of another one."""

import pytest

from expclip_cache.base import DataError
from expclip_cache.cache import Identity
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.heads.head_file import read_record, write_head
from expclip_cache.heads.origin import CLIP, clip_of, clip_of_head, names_clip, refuse_head_of_another_clip
from ridge_witness import features
from tiny_caches import write_cache
from tiny_study import HEADS, fit, write_images, write_targets

B32 = ClipSettings(model="ViT-B-32-quickgelu", weights="openai")
FILES = {"weights_sha256": "a" * 64, "activation": "quick_gelu", "width": 512, "revision": "main"}


def identity(clip: ClipSettings = B32, **encoder: object) -> Identity:
    return Identity(clip.image_settings() | {"dtype": "float16", "manifest": "m"}, FILES | encoder)


@pytest.fixture
def head(tmp_path):
    path = tmp_path / "head.safetensors"
    write_head(path, features(1, 2, 3, 0)[0], {CLIP: clip_of(identity())})
    return path


@pytest.mark.parametrize(
    "same",
    [
        identity(),
        identity(ClipSettings(model="copies/b32", weights="pretrained"), revision=None),
        identity(B32.model_copy(update={"precision": "fp16"})),
        identity(B32.model_copy(update={"decode": "draft"})),
    ],
    ids=["same", "another name", "precision", "decode"],
)
def test_the_same_clip_is_accepted_under_any_name(head, same):
    refuse_head_of_another_clip(head, same, "here")


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (identity(weights_sha256="b" * 64), "weights_sha256"),
        (identity(activation="gelu"), "activation"),
        (identity(B32.model_copy(update={"preprocess": "clip"})), "preprocess"),
        (Identity(identity().settings | {"encoder_version": 99}, FILES), "encoder_version"),
        (Identity(identity().settings | {"pixels_version": 99}, FILES), "pixels_version"),
        (Identity({"model": "mine"}, {}), "weights_sha256"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_clip_is_refused(head, other, differs):
    with pytest.raises(DataError, match=rf"head\.safetensors: was fitted .*ViT-B-32-quickgelu, openai(.|\n)*{differs}"):
        refuse_head_of_another_clip(head, other, "here")


def test_without_weights_the_architecture_is_compared(tmp_path):
    def random(model: str) -> Identity:
        return identity(ClipSettings(model=model, weights="random"), weights_sha256="random:seed=0", activation="gelu")

    write_head(tmp_path / "head", features(1, 2, 3, 0)[0], {CLIP: clip_of(random("ViT-B-32"))})
    refuse_head_of_another_clip(tmp_path / "head", random("ViT-B-32"), "here")
    with pytest.raises(DataError, match="model differs"):
        refuse_head_of_another_clip(tmp_path / "head", random("ViT-B-16"), "here")


def test_a_head_that_names_no_clip_is_not_refused(tmp_path):
    write_head(tmp_path / "head", features(1, 2, 3, 0)[0], {})
    assert not names_clip(tmp_path / "head")
    refuse_head_of_another_clip(tmp_path / "head", identity(), "here")


def test_every_kind_of_fit_names_its_clip(tmp_path):
    images, targets = write_images(tmp_path / "images"), write_targets(tmp_path / "targets")
    other = write_cache(tmp_path / "other", images[images.good_rows], 16, weights_sha256="v", logit_scale=1.0)
    for head in fit(images, targets, tmp_path / "heads", {name: HEADS[name] for name in ("slow", "ridge")}):
        assert read_record(head.path)[CLIP] == {"model": "images", "weights_sha256": "w"}
        with pytest.raises(DataError, match="the head's 'w', here 'v'"):
            refuse_head_of_another_clip(head.path, other.identity, str(other))


def test_a_head_of_a_temporal_model_belongs_to_its_features_and_other_poolings_share_their_heads(tmp_path):
    path, emoclip = tmp_path / "head.safetensors", ClipSettings(kind="emoclip", weights="emoclip.pt")

    def pooled(by: str) -> Identity:
        return identity(emoclip.model_copy(update={"pool": by}))

    write_head(path, features(1, 2, 3, 0)[0], {CLIP: clip_of(pooled("temporal"))})
    assert clip_of_head(path) == emoclip.model_copy(update={"pool": "temporal"})
    refuse_head_of_another_clip(path, pooled("temporal"), "here")
    with pytest.raises(DataError, match="pool differs: the head's 'temporal', here '\\(not set\\)'"):
        refuse_head_of_another_clip(path, pooled("mean"), "here")
    write_head(path, features(1, 2, 3, 0)[0], {CLIP: clip_of(pooled("max"))})
    for by in ("mean", "none", "first", "attention"):
        refuse_head_of_another_clip(path, pooled(by), "here")
