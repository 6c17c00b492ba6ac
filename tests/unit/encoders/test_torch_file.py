"""Files of weights as makers publish them: what is read, what is refused, and that nothing in them runs."""

import pickle
import zipfile

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from expclip_cache.base.errors import EncoderError
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.clip_checkpoint import load_checkpoint
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.encoders.torch_file import read_state_dict
from tiny_encoders import write_clip

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(2)}


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"state_dict": TENSORS, "epoch": 3},
        {"args": {"lr": 1e-3}, "model": TENSORS, "optimizer": {"state": {}}},
        {"state_dict": {f"module.{name}": tensor for name, tensor in TENSORS.items()}},
        {**TENSORS, "epoch": 16},
    ],
    ids=["plain", "state_dict", "model", "module", "beside a number"],
)
def test_the_tensors_are_found_where_makers_put_them(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    found = read_state_dict(tmp_path / "weights.pth")
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_safetensors_are_read_too(tmp_path):
    save_file(TENSORS, tmp_path / "weights.safetensors")
    assert torch.equal(read_state_dict(tmp_path / "weights.safetensors")["a.weight"], TENSORS["a.weight"])


class Program:
    """What a hostile pickle has in it."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return open, (str(self.witness), "w")


def test_a_program_in_a_file_is_refused_and_does_not_run(tmp_path):
    torch.save({"state_dict": TENSORS, "args": Program(tmp_path / "ran")}, tmp_path / "new.pth")
    torch.save({"args": Program(tmp_path / "ran")}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Program(tmp_path / "ran")))
    for name in ("new.pth", "old.pth", "bare.pth"):
        with pytest.raises(EncoderError, match=rf"{name}: (is no plain file of weights|cannot be read as weights)"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_of_weights_is_refused_in_words(tmp_path):
    torch.save(TENSORS, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    contents = {"cut.pth": whole[: len(whole) // 2], "empty.pth": b"", "text.pth": b"<html>", "no.safetensors": b"{"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "archive.pth", "w") as archive:
        archive.writestr("readme.txt", "photos")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    for name in (*contents, "archive.pth", "list.pth", "numbers.pth", "missing.pth"):
        with pytest.raises(EncoderError, match=rf"{name}: ") as caught:
            read_state_dict(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The settings of a tiny CLIP of open_clip, and its weights."""
    settings = write_clip(tmp_path_factory.mktemp("clip"))
    model = open_clip.create_model(f"local-dir:{settings.model}")
    return settings, model.state_dict()


def a_model(settings):
    return open_clip.create_model(f"local-dir:{settings.model}", load_weights=False)


def test_a_checkpoint_in_openais_names_fills_both_towers(clip, tmp_path):
    settings, weights = clip
    extra = {
        "input_resolution": torch.tensor(28),
        "visual.lm_transformer.resblocks.0.ln_1.weight": torch.ones(32),
        "visual.ln_lm.weight": torch.ones(32),
        "visual.lm_head.weight": torch.ones(4, 32),
        "visual.mask_token": torch.ones(32),
    }
    torch.save({"state_dict": {**weights, **extra}, "epoch": 16}, tmp_path / "FaRL.pth")
    model = a_model(settings)
    load_checkpoint(model, tmp_path / "FaRL.pth")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_a_checkpoint_without_a_logit_scale_has_openais(clip, tmp_path):
    settings, weights = clip
    torch.save({name: tensor for name, tensor in weights.items() if name != "logit_scale"}, tmp_path / "clip.pt")
    model = a_model(settings)
    load_checkpoint(model, tmp_path / "clip.pt")
    assert float(model.logit_scale.exp()) == pytest.approx(100)


def test_a_checkpoint_of_another_model_is_refused_by_the_names_that_differ(clip, tmp_path):
    settings, weights = clip
    other = dict(weights)
    other["visual.proj"] = torch.zeros(3, 3)
    other["temporal.cls_token"] = other.pop("ln_final.weight")
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(EncoderError) as caught:
        load_checkpoint(a_model(settings), tmp_path / "other.pth")
    for line in (
        "other.pth holds the weights of another model",
        "1 missing: ln_final.weight",
        "1 unknown: temporal.cls_token",
        "1 of another shape: visual.proj (3, 3) instead of (32, 24)",
    ):
        assert line in str(caught.value)


@pytest.mark.slow
def test_farls_file_is_a_vit_b_16_at_full_size(tmp_path):
    torch.manual_seed(3)
    weights = open_clip.create_model("ViT-B-16-quickgelu", load_weights=False).state_dict()
    torch.save({"state_dict": weights}, tmp_path / "FaRL-Base-Patch16-LAIONFace20M-ep16.pth")
    settings = ClipSettings(
        model="ViT-B-16-quickgelu", weights=str(tmp_path / "FaRL-Base-Patch16-LAIONFace20M-ep16.pth")
    )
    encoder = load_clip(settings, torch.device("cpu"))
    save_file(weights, tmp_path / "same.safetensors")
    same = load_clip(settings.model_copy(update={"weights": str(tmp_path / "same.safetensors")}), torch.device("cpu"))
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    torch.testing.assert_close(encoder.encode_images(pixels), same.encode_images(pixels))
    torch.testing.assert_close(encoder.encode_texts(["anger."]), same.encode_texts(["anger."]))
