"""Packed layers compared with torch's own in float32 and with the formula in float64."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from expclip_cache.encoders import blip2_t5, clip, clip_model
from expclip_cache.encoders.packed_linear import PackedLinear, PackedSelfAttention, can_pack, pack_linears
from tiny_encoders import model_of, random_pixels, write_blip2, write_clip

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not can_pack(CPU), reason="needs an x86 processor and a torch with oneDNN")


@given(shape=st.lists(st.integers(1, 5), max_size=2), i=st.integers(1, 70), o=st.integers(1, 70), biased=st.booleans())
def test_a_packed_layer_equals_the_formula(shape, i, o, biased):
    torch.manual_seed(i * 71 + o)
    layer = nn.Linear(i, o, bias=biased).requires_grad_(False)
    values = torch.randn(*shape, i)
    exact = values.double() @ layer.weight.double().T + (layer.bias.double() if biased else 0)
    packed = PackedLinear(layer.weight, layer.bias)
    torch.testing.assert_close(packed(values), exact.float(), rtol=1e-5, atol=1e-5)
    assert (packed.weight.dtype, packed.weight.shape) == (layer.weight.dtype, layer.weight.shape)


def test_inputs_need_not_be_contiguous():
    layer, values = nn.Linear(48, 24).requires_grad_(False), torch.randn(48, 7, 3)
    packed = PackedLinear(layer.weight, layer.bias)
    for view in (values.permute(2, 1, 0), values.permute(1, 2, 0)[::2], values[:, 0, :1].expand(48, 5).T):
        torch.testing.assert_close(packed(view), layer(view), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 4])
def test_packed_attention_equals_torchs(heads):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(32, heads, batch_first=True).eval().requires_grad_(False)
    attention.in_proj_bias.normal_()
    values = torch.randn(3, 17, 32)
    packed = PackedSelfAttention(attention)
    expected, _ = attention(values, values, values, need_weights=False)
    torch.testing.assert_close(packed(values, values, values, False, None)[0], expected, rtol=1e-5, atol=1e-5)
    for inputs in ((values, values.clone(), values, False, None), (values, values, values, False, torch.zeros(17, 17))):
        with pytest.raises(ValueError, match="only unmasked self-attention"):
            packed(*inputs)


def test_only_float32_layers_are_packed():
    inner = nn.Sequential(nn.GELU(), nn.Linear(4, 4).bfloat16())
    block = nn.Sequential(nn.Linear(4, 4), inner, nn.Conv2d(3, 4, 1))
    pack_linears(block)
    assert [type(module) for module in (block[0], inner[1], block[2])] == [PackedLinear, nn.Linear, nn.Conv2d]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clip", "blip2", "instructblip"])
def test_packing_does_not_change_an_encoders_features(kind, tmp_path, monkeypatch):
    if kind == "clip":
        module, load = clip_model, partial(clip.load_clip, write_clip(tmp_path), CPU)
    else:
        module, load = blip2_t5, partial(blip2_t5.load_blip2_t5, write_blip2(tmp_path, kind)[0], CPU)
    packed = load()
    monkeypatch.setattr(module, "can_pack", lambda _: False)
    plain = load()
    count = [sum(isinstance(part, PackedLinear) for part in model_of(one).modules()) for one in (packed, plain)]
    assert count[0] > 5
    assert count[1] == 0
    torch.testing.assert_close(
        packed.encode_images(random_pixels()), plain.encode_images(random_pixels()), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_layers_in_half_precision_are_not_packed(tmp_path, precision):
    encoder = clip.load_clip(write_clip(tmp_path).model_copy(update={"precision": precision}), CPU)
    assert not any(isinstance(part, PackedLinear | PackedSelfAttention) for part in model_of(encoder).modules())
