"""EmoCLIP and EmotionCLIP from tiny checkpoints with their makers' names, against their formulas written out."""

import math
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from expclip_cache.base import EncoderError, SettingsError, build
from expclip_cache.encoders import ClipSettings, file_hashes, load_backbone, load_clip
from expclip_cache.encoders.preprocess import to_square
from temporal_checkpoints import (
    HEAD_WIDTH,
    LAYERS,
    WIDTH,
    emoclip_tensors,
    emotionclip_tensors,
    write_emoclip,
    write_emotionclip,
)
from tiny_encoders import SIZE, random_pixels

CPU = torch.device("cpu")
WRITERS = {"emoclip": write_emoclip, "emotionclip": write_emotionclip}


@pytest.fixture(scope="module", params=WRITERS)
def settings(request, tmp_path_factory) -> ClipSettings:
    return WRITERS[request.param](tmp_path_factory.mktemp(request.param) / "clip")


@pytest.fixture(scope="module")
def emoclip(tmp_path_factory):
    return load_backbone(write_emoclip(tmp_path_factory.mktemp("emoclip") / "clip"), CPU)


@pytest.fixture(scope="module")
def emotionclip(tmp_path_factory):
    return load_backbone(write_emotionclip(tmp_path_factory.mktemp("emotionclip") / "clip"), CPU)


def frames(count: int, clips: int = 3) -> torch.Tensor:
    """(clips, count, d) features as an image tower makes them."""
    return torch.randn(clips, count, WIDTH, generator=torch.Generator().manual_seed(count))


def weights_of(settings: ClipSettings) -> dict[str, torch.Tensor]:
    """The CLIP inside."""
    return load_file(Path(settings.model) / "open_clip_model.safetensors")


def plain_clip(settings: ClipSettings):
    """The same CLIP by itself."""
    return load_clip(ClipSettings(model=settings.model, preprocess=settings.preprocess), CPU)


def emoclip_of_a_clip(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """`VClip.encode_video` after the image tower, with einsum and softmax: (n, f, d) -> (n, d)."""

    def get(name: str) -> torch.Tensor:
        return weights[f"module.temporal.{name}"]

    def norm(name: str, values: torch.Tensor) -> torch.Tensor:
        centred = values - values.mean(dim=-1, keepdim=True)
        scaled = centred / torch.sqrt(centred.square().mean(dim=-1, keepdim=True) + 1e-5)
        return scaled * get(f"{name}.weight") + get(f"{name}.bias")

    b, f, _ = x.shape
    x = torch.cat([get("cls_token").repeat(b, 1, 1), x], dim=1) + get("pos_embedding")[:, : f + 1]
    for layer in range(LAYERS):
        at = f"temporal_transformer.layers.{layer}"
        qkv = torch.einsum("btd,ed->bte", norm(f"{at}.0.fn.norm", x), get(f"{at}.0.fn.fn.to_qkv.weight"))
        q, k, v = (part.reshape(b, f + 1, 8, HEAD_WIDTH) for part in qkv.chunk(3, dim=-1))
        attention = (torch.einsum("bihd,bjhd->bhij", q, k) * HEAD_WIDTH**-0.5).softmax(dim=-1)
        mixed = torch.einsum("bhij,bjhd->bihd", attention, v).reshape(b, f + 1, -1)
        x = x + mixed @ get(f"{at}.0.fn.fn.to_out.0.weight").T + get(f"{at}.0.fn.fn.to_out.0.bias")
        hidden = norm(f"{at}.1.fn.norm", x) @ get(f"{at}.1.fn.fn.net.0.weight").T + get(f"{at}.1.fn.fn.net.0.bias")
        hidden = 0.5 * hidden * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
        x = x + hidden @ get(f"{at}.1.fn.fn.net.3.weight").T + get(f"{at}.1.fn.fn.net.3.bias")
    return x[:, 0]


def emotionclip_of_a_clip(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """`VisualHead.forward` by nn.MultiheadAttention and the formula of a post-norm layer: (n, 8, d) -> (n, d)."""
    head = {
        name.removeprefix("visual_head."): value for name, value in weights.items() if name.startswith("visual_head.")
    }

    def norm(name: str, values: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(values, (WIDTH,), head[f"{name}.weight"], head[f"{name}.bias"])

    h = x + head["frame_position_embedding.weight"]
    for layer in range(LAYERS):
        at = f"fusion_layer.layers.{layer}"
        attention = nn.MultiheadAttention(WIDTH, 8, batch_first=True)
        attention.load_state_dict(
            {name.removeprefix(f"{at}.self_attn."): v for name, v in head.items() if f"{at}.self_attn." in name}
        )
        h = norm(f"{at}.norm1", h + attention(h, h, h)[0])
        inner = F.gelu(h @ head[f"{at}.linear1.weight"].T + head[f"{at}.linear1.bias"])
        h = norm(f"{at}.norm2", h + inner @ head[f"{at}.linear2.weight"].T + head[f"{at}.linear2.bias"])
    return (norm("fusion_layer.norm", h) + x).mean(dim=1)


@pytest.mark.parametrize("count", [1, 2, 16, 40])
def test_emoclip_pools_frames_as_its_makers_do(emoclip, count, tmp_path):
    weights = emoclip_tensors(weights_of(write_emoclip(tmp_path)))
    x = frames(count, clips=35)
    with torch.no_grad():
        expected = emoclip_of_a_clip(weights, x)
    torch.testing.assert_close(emoclip.pool_frames(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("count", "taken"), [(8, range(8)), (16, [0, 2, 4, 6, 8, 10, 12, 15]), (3, [0, 0, 0, 0, 1, 1, 1, 2])]
)
def test_emotionclip_pools_eight_frames_as_its_makers_do(emotionclip, count, taken, tmp_path):
    weights = emotionclip_tensors(weights_of(write_emotionclip(tmp_path)))
    x = frames(count)
    with torch.no_grad():
        expected = emotionclip_of_a_clip(weights, x[:, list(taken)])
    torch.testing.assert_close(emotionclip.pool_frames(x), expected, atol=1e-5, rtol=1e-5)


def test_emotionclip_leaves_a_still_image_as_it_is(emotionclip):
    assert torch.equal(emotionclip.pool_frames(frames(1)), frames(1)[:, 0])


def test_emoclip_encodes_frames_as_its_clip_does(tmp_path):
    settings = write_emoclip(tmp_path / "clip")
    encoder, plain = load_backbone(settings, CPU), plain_clip(settings)
    pixels = random_pixels()
    torch.testing.assert_close(encoder.encode_images(pixels), plain.encode_images(pixels), atol=1e-5, rtol=1e-5)


def test_emotionclip_encodes_frames_with_a_token_for_the_subject(tmp_path):
    """Its makers' `VisualTransformer.forward` with a mask of ones, in the terms of open_clip's tower."""
    settings = write_emotionclip(tmp_path / "clip")
    tower = open_clip.create_model(f"local-dir:{settings.model}").eval().visual
    pixels = random_pixels()
    encoder = load_backbone(settings, CPU)
    with torch.no_grad():
        mask = torch.ones(len(pixels), 1, SIZE, SIZE)
        x = tower.conv1(pixels / 255).flatten(2).permute(0, 2, 1)
        x = torch.cat([tower.class_embedding.repeat(len(pixels), 1, 1), x], dim=1) + tower.positional_embedding
        cover = F.avg_pool2d(mask, kernel_size=7).flatten(2).permute(0, 2, 1)
        x = torch.cat([x, (cover * tower.positional_embedding[1:]).sum(dim=1, keepdim=True)], dim=1)
        x = tower.transformer(tower.ln_pre(x))
        expected = tower.ln_post(x[:, 0]) @ tower.proj
    torch.testing.assert_close(encoder.encode_images(pixels), expected, atol=1e-5, rtol=1e-5)
    plain = plain_clip(settings).encode_images(pixels)
    assert (encoder.encode_images(pixels) - plain).abs().max() > 0.01, "the token makes a difference"


def test_texts_are_those_of_the_clip_inside(settings):
    texts = ["a photo of happiness .", "anger"]
    ours, plain = load_backbone(settings, CPU), plain_clip(settings)
    torch.testing.assert_close(ours.encode_texts(texts), plain.encode_texts(texts), atol=1e-5, rtol=1e-5)


def test_the_logit_scale_of_the_whole_model_counts(emoclip):
    assert emoclip.logit_scale == pytest.approx(math.exp(3.5))


def test_the_checkpoint_is_hashed_without_loading_it(settings):
    described = load_backbone(settings, CPU).describe()
    found = file_hashes(settings)
    assert found is not None
    assert found.items() <= described.items()
    assert described["width"] == WIDTH
    assert described["library"].startswith("open_clip ")


def test_safetensors_give_the_same_model(settings, tmp_path):
    file = tmp_path / "converted.safetensors"
    tensors = torch.load(settings.weights, weights_only=True)
    save_file({name: value.clone().contiguous() for name, value in tensors.get("model", tensors).items()}, file)
    converted = load_backbone(settings.model_copy(update={"weights": str(file)}), CPU)
    original = load_backbone(settings, CPU)
    x, pixels = frames(8), random_pixels()
    assert torch.equal(converted.pool_frames(x), original.pool_frames(x))
    assert torch.equal(converted.encode_images(pixels), original.encode_images(pixels))


def test_random_weights_have_the_published_size_and_are_the_same_every_time(settings):
    random = settings.model_copy(update={"weights": "random"})
    first, second = load_backbone(random, CPU), load_backbone(random, CPU)
    shapes = {name: tuple(value.shape) for name, value in first._temporal.state_dict().items()}
    if settings.kind == "emoclip":
        assert shapes["temporal_transformer.layers.1.0.fn.fn.to_qkv.weight"] == (3 * 8 * 2048, WIDTH)
        assert shapes["temporal_transformer.layers.1.1.fn.fn.net.0.weight"] == (WIDTH, WIDTH)
    else:
        assert shapes["fusion_layer.layers.5.linear1.weight"] == (2048, WIDTH)
    x = frames(8)
    assert torch.equal(first.pool_frames(x), second.pool_frames(x))
    assert first.describe()["weights_sha256"] == "random:seed=0"


def test_the_checkpoint_of_the_other_kind_is_refused_by_the_names_that_differ(settings):
    other = {"emoclip": "emotionclip", "emotionclip": "emoclip"}[settings.kind]
    with pytest.raises(EncoderError, match="holds the weights of another model") as raised:
        load_backbone(settings.model_copy(update={"kind": other}), CPU)
    message = str(raised.value)
    missing, unknown = (
        ("visual_head.", "temporal.cls_token") if other == "emotionclip" else ("temporal.", "visual_head")
    )
    assert settings.weights in message
    assert missing in message.partition("missing")[2].partition("unknown")[0]
    assert unknown in message.partition("unknown")[2]


def test_a_checkpoint_without_text_tower_is_refused_by_its_names(tmp_path):
    settings = write_emoclip(tmp_path / "clip")
    tensors = torch.load(settings.weights, weights_only=True)
    torch.save(
        {name: value for name, value in tensors.items() if ".visual." in name or "temporal" in name}, settings.weights
    )
    with pytest.raises(EncoderError, match=r"missing: backbone\.positional_embedding, backbone\.text_projection"):
        load_backbone(settings, CPU)


def test_a_file_is_needed_and_the_message_says_where_it_is_published():
    with pytest.raises(
        EncoderError, match=r"expected the path of that file \(or random\), found 'pretrained'.*NickyFot"
    ):
        load_backbone(ClipSettings(kind="emoclip"), CPU)
    with pytest.raises(EncoderError, match=r"found 'x\.pt'.*Xeaver"):
        load_backbone(ClipSettings(kind="emotionclip", weights="x.pt"), CPU)


def test_the_architecture_is_that_of_the_kind_unless_one_is_named():
    assert ClipSettings(kind="emoclip").model == "ViT-B-32-quickgelu"
    assert ClipSettings(kind="emotionclip").model == "ViT-B-32"
    assert ClipSettings(kind="emotionclip", model="my/folder").model == "my/folder"
    assert ClipSettings().model == "demo"


def test_a_kind_without_temporal_model_cannot_pool_by_it():
    with pytest.raises(SettingsError, match=r"kind open-clip has no temporal model.*emoclip, emotionclip"):
        build(ClipSettings, pool="temporal")


def test_emotionclip_sees_the_centre_of_an_image_whose_short_side_is_an_eighth_longer(tmp_path):
    settings = write_emotionclip(tmp_path / "clip").model_copy(update={"preprocess": "clip"})
    how = load_backbone(settings, CPU).preprocess
    assert how.mean == (0.485, 0.456, 0.406)
    assert how.std == (0.229, 0.224, 0.225)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8))
    # As torchvision: the short side becomes 32, the long one int(32 * 90 / 70), and the middle 28 x 28 stay.
    scaled = image.resize((41, 32), Image.Resampling.BICUBIC)
    left, top = round((41 - 28) / 2), round((32 - 28) / 2)
    expected = np.asarray(scaled.crop((left, top, left + 28, top + 28))).transpose(2, 0, 1)
    assert np.array_equal(to_square(image, how), expected)
