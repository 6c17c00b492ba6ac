"""Layers packed for oneDNN against torch's own, in float32 and against float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from expclip_cache.encoders import blip2_t5, clip
from expclip_cache.encoders.packed_linear import PackedLinear, PackedSelfAttention, can_pack, pack_linears
from tiny_encoders import pictures, write_blip2, write_clip

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not can_pack(CPU), reason="needs an x86 processor and a torch with oneDNN")


@given(shape=st.lists(st.integers(1, 5), max_size=2), i=st.integers(1, 70), o=st.integers(1, 70), biased=st.booleans())
def test_a_packed_layer_is_the_formula(shape, i, o, biased):
    torch.manual_seed(i * 71 + o)
    layer = nn.Linear(i, o, bias=biased).requires_grad_(False)
    values = torch.randn(*shape, i)
    exact = values.double() @ layer.weight.double().T + (layer.bias.double() if biased else 0)
    packed = PackedLinear(layer.weight, layer.bias)
    torch.testing.assert_close(packed(values), exact.float(), rtol=1e-5, atol=1e-5)
    assert (packed.weight.dtype, packed.weight.shape) == (layer.weight.dtype, layer.weight.shape)


def test_values_need_not_lie_in_order():
    layer, values = nn.Linear(48, 24).requires_grad_(False), torch.randn(48, 7, 3)
    packed = PackedLinear(layer.weight, layer.bias)
    for view in (values.permute(2, 1, 0), values.permute(1, 2, 0)[::2], values[:, 0, :1].expand(48, 5).T):
        torch.testing.assert_close(packed(view), layer(view), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 4])
def test_packed_attention_is_torchs(heads):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(32, heads, batch_first=True).eval().requires_grad_(False)
    attention.in_proj_bias.normal_()
    values = torch.randn(3, 17, 32)
    packed = PackedSelfAttention(attention)
    expected, _ = attention(values, values, values, need_weights=False)
    torch.testing.assert_close(packed(values, values, values, False, None)[0], expected, rtol=1e-5, atol=1e-5)
    for asked in ((values, values.clone(), values, False, None), (values, values, values, False, torch.zeros(17, 17))):
        with pytest.raises(ValueError, match="only unmasked self-attention"):
            packed(*asked)


def test_only_layers_in_full_precision_are_packed():
    block = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.GELU(), nn.Linear(4, 4).bfloat16()), nn.Conv2d(3, 4, 1))
    pack_linears(block)
    assert [type(module) for module in (block[0], block[1][1], block[2])] == [PackedLinear, nn.Linear, nn.Conv2d]


@pytest.mark.parametrize("kind", ["clip", "blip2", "instructblip"])
def test_an_encoder_says_the_same_packed_or_not(kind, tmp_path, monkeypatch):
    module = clip if kind == "clip" else blip2_t5
    params = write_clip(tmp_path) if kind == "clip" else write_blip2(tmp_path, kind)[0]
    load = clip.load_clip if kind == "clip" else blip2_t5.load_blip2_t5
    packed = load(params, CPU)
    monkeypatch.setattr(module, "can_pack", lambda _: False)
    plain = load(params, CPU)
    count = [sum(isinstance(part, PackedLinear) for part in one._model.modules()) for one in (packed, plain)]
    assert count[0] > 5
    assert count[1] == 0
    torch.testing.assert_close(packed.encode_images(pictures()), plain.encode_images(pictures()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_other_precisions_stay_torchs(tmp_path, precision):
    encoder = clip.load_clip(write_clip(tmp_path).model_copy(update={"precision": precision}), CPU)
    assert not any(isinstance(part, PackedLinear | PackedSelfAttention) for part in encoder._model.modules())
