"""Which folders kinds of transformers take, and what they refuse by name, before and while weights are read."""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, SiglipModel

from expclip_cache.base import EncoderError
from expclip_cache.encoders import ClipSettings, file_hashes, load_backbone
from expclip_cache.encoders.image_text import find_backbone_files
from tiny_backbones import CONTEXT, SIZE, write_altclip, write_flava, write_hf_clip, write_siglip
from tiny_encoders import edit_weights, random_pixels

CPU = torch.device("cpu")
WRITERS = {"clip": write_hf_clip, "siglip": write_siglip, "flava": write_flava}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    return {name: write(folder / name) for name, write in WRITERS.items()}


@pytest.fixture(params=WRITERS)
def backbone(request, written, tmp_path):
    """A copy that a test may spoil."""
    return copied(written[request.param], tmp_path)


@pytest.fixture
def clip(written, tmp_path):
    return copied(written["clip"], tmp_path)


def copied(settings: ClipSettings, folder: Path) -> ClipSettings:
    shutil.copytree(settings.model, folder / "model")
    return settings.model_copy(update={"model": str(folder / "model")})


def weights_sha256(settings: ClipSettings) -> str | None:
    hashes = file_hashes(settings)
    return hashes["weights_sha256"] if hashes else None


def edit_json(file: Path, **changes: object) -> None:
    content = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("kind", "model_type", "advice"),
    [
        ("transformers", "flava", "Set its kind: flava."),
        ("transformers", "xclip", "Set its kind: x-clip."),
        ("transformers", "blip-2", "Set its kind: blip2-itc."),
        ("transformers", "siglip2", "Choose one of a fixed resolution, such as google/siglip2-base-patch16-224."),
        ("transformers", "owlvit", "Other kinds take flava (flava), xclip (x-clip), blip-2 (blip2-itc)."),
        ("transformers", None, "Other kinds take flava (flava), xclip (x-clip), blip-2 (blip2-itc)."),
        ("flava", "clip", "Set its kind: transformers."),
    ],
)
def test_a_model_of_another_kind_is_refused_before_its_weights_are_read(kind, model_type, advice, tmp_path):
    # The folder has nothing but a config.
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(EncoderError, match=re.escape(advice)) as caught:
        find_backbone_files(ClipSettings(kind=kind, model=str(tmp_path)))
    assert f"{tmp_path / 'config.json'} has model_type {model_type!r}; kind {kind} takes models" in str(caught.value)


def test_the_demo_is_of_another_kind():
    with pytest.raises(EncoderError, match="the demo's CLIP is of kind open-clip, not flava"):
        find_backbone_files(ClipSettings(kind="flava"))


def test_missing_renamed_and_misshaped_tensors_are_named(backbone):
    file = Path(backbone.model) / "model.safetensors"
    tensors = load_file(file)
    name = (
        next(name for name in tensors if name.endswith("text_model.encoder.layers.1.layer_norm1.weight"))
        if (backbone.kind == "transformers")
        else "flava.text_model.encoder.layer.1.layernorm_before.weight"
    )
    inside = name.removeprefix("flava.")
    edit_weights(file, {}, [name])
    with pytest.raises(EncoderError, match=f"has other tensors than .*\n  1 missing: {inside}$"):
        load_backbone(backbone, CPU)
    edit_weights(file, {f"{name}s": tensors[name]})
    with pytest.raises(EncoderError, match=f"\n  1 missing: {inside}\n  1 unknown: {inside}s$"):
        load_backbone(backbone, CPU)
    edit_weights(file, {name: tensors[name][1:]}, [f"{name}s"])
    with pytest.raises(EncoderError, match=rf"\n  1 of another shape: {inside} \(31,\) instead of \(32,\)$"):
        load_backbone(backbone, CPU)


def test_a_folder_with_nothing_but_a_pickle_is_refused_unless_the_file_is_named(backbone):
    folder = Path(backbone.model)
    expected = load_backbone(backbone, CPU).encode_images(random_pixels())
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        EncoderError, match=r"expected the file .*model\.safetensors, found .*pytorch_model\.bin.* pickle"
    ):
        load_backbone(backbone, CPU)
    assert file_hashes(backbone) is None
    named = backbone.model_copy(update={"weights": str(folder / "pytorch_model.bin")})
    encoder = load_backbone(named, CPU)
    assert torch.equal(encoder.encode_images(random_pixels()), expected)
    assert weights_sha256(named) == encoder.describe()["weights_sha256"]


def test_weights_in_several_files_are_the_same(written, tmp_path):
    for name, model in (("clip", CLIPModel), ("siglip", SiglipModel)):
        settings = copied(written[name], tmp_path / name)
        (Path(settings.model) / "model.safetensors").unlink()
        model.from_pretrained(written[name].model).save_pretrained(settings.model, max_shard_size="60KB")
        assert len(find_backbone_files(settings).weights) > 1
        whole, parts = load_backbone(written[name], CPU), load_backbone(settings, CPU)
        assert torch.equal(parts.encode_images(random_pixels()), whole.encode_images(random_pixels()))
        assert weights_sha256(settings) == parts.describe()["weights_sha256"]
        listed = Path(settings.model) / "model.safetensors.index.json"
        listed.write_text(json.dumps({"weight_map": {"logit_scale": "../logit_scale.safetensors"}}))
        with pytest.raises(EncoderError, match=r"does not list the files of the weights"):
            load_backbone(settings, CPU)


def test_names_of_old_checkpoints_load(written, tmp_path):
    """Counters that old versions stored; AltCLIP's vision layers, which newer versions save under another name."""
    clip = copied(written["clip"], tmp_path)
    positions = {f"{side}_model.embeddings.position_ids": torch.arange(5)[None] for side in ("text", "vision")}
    edit_weights(Path(clip.model) / "model.safetensors", positions)
    altclip = write_altclip(tmp_path / "altclip")
    expected = load_backbone(altclip, CPU).encode_images(random_pixels())
    file = Path(altclip.model) / "model.safetensors"
    save_file(
        {
            name.replace("vision_model.encoder.layer.", "vision_model.encoder.layers."): tensor
            for name, tensor in load_file(file).items()
        },
        file,
        metadata={"format": "pt"},
    )
    assert torch.equal(load_backbone(altclip, CPU).encode_images(random_pixels()), expected)
    assert load_backbone(clip, CPU).encode_images(random_pixels()).shape == (5, 24)


def test_flava_loads_without_what_is_around_its_two_sides(written, tmp_path):
    flava = copied(written["flava"], tmp_path)
    file = Path(flava.model) / "model.safetensors"
    expected = load_backbone(flava, CPU)
    around = [name for name in load_file(file) if not re.match(r"flava\.(image|text|logit)_", name) or "pooler" in name]
    assert {name.split(".")[0] for name in around} == {
        *("flava", "image_codebook", "mim_head", "mlm_head", "itm_head", "mmm_image_head", "mmm_text_head")
    }
    edit_weights(file, {}, around)
    sides = load_backbone(flava, CPU)
    assert torch.equal(sides.encode_images(random_pixels()), expected.encode_images(random_pixels()))
    # `FlavaModel.save_pretrained` writes names without the prefix.
    save_file({name.removeprefix("flava."): tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    assert torch.equal(load_backbone(flava, CPU).encode_texts(["anger"]), expected.encode_texts(["anger"]))


def test_a_text_that_is_too_long_is_named(backbone):
    encoder = load_backbone(backbone, CPU)
    fits = " ".join(["anger"] * (CONTEXT - 2))
    assert encoder.encode_texts([fits]).isfinite().all()
    with pytest.raises(EncoderError, match=r"prompt 'anger anger .*' has more than the 64 tokens .* Shorten it"):
        encoder.encode_texts(["fear", f"{fits} anger"])
    with pytest.raises(EncoderError, match=r"prompt 'aaa.*' has more than the 64 tokens"):
        encoder.encode_texts(["a" * 10_000_000])


def test_a_tokenizer_of_another_model_is_refused(clip):
    edit_json(Path(clip.model) / "config.json", text_config=None)
    config = json.loads((Path(clip.model) / "config.json").read_text())
    config["text_config"] = {"vocab_size": 100, "max_position_embeddings": 64, "hidden_size": 32}
    (Path(clip.model) / "config.json").write_text(json.dumps(config))
    encoder = load_backbone(clip.model_copy(update={"weights": "random"}), CPU)
    with pytest.raises(EncoderError, match="its tokenizer gives token 511, but its text side has 100 tokens"):
        encoder.encode_texts(["anger"])


def test_a_tokenizer_that_is_missing_or_incomplete_is_refused(clip):
    file = Path(clip.model) / "tokenizer_config.json"
    edit_json(file, pad_token=None)
    with pytest.raises(EncoderError, match=r"the tokenizer in .* has no pad_token"):
        load_backbone(clip, CPU)
    file.unlink()
    with pytest.raises(EncoderError, match=r"expected a tokenizer in .*, found no tokenizer_config\.json"):
        load_backbone(clip, CPU)


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="SentencePiece is installed")
def test_siglips_own_tokenizer_asks_for_the_packages_that_it_needs(written, tmp_path):
    siglip = copied(written["siglip"], tmp_path)
    edit_json(Path(siglip.model) / "tokenizer_config.json", tokenizer_class="SiglipTokenizer")
    with pytest.raises(
        EncoderError, match=r"the tokenizer of .* needs two packages: pip install sentencepiece protobuf"
    ):
        load_backbone(siglip, CPU)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("text_config", {"hidden_size": "a"}, "cannot be built: .*hidden_size"),
        ("text_config", {"hidden_act": "nope"}, "cannot be built: 'nope'"),
        ("text_config", {"vocab_size": -1}, "cannot be built: .*negative dimension"),
        ("image side", {"patch_size": 0}, "cannot be built: .*zero"),
        ("image side", {"image_size": [SIZE, 2 * SIZE]}, r"takes images of \[28, 56\] pixels; only square ones"),
        (
            "quantization_config",
            {"quant_method": "bitsandbytes", "load_in_4bit": True},
            "cannot be built: .*bitsandbytes",
        ),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_in_words(section, changes, message, backbone):
    file = Path(backbone.model) / "config.json"
    if section == "image side":
        section = "image_config" if backbone.kind == "flava" else "vision_config"
    before = json.loads(file.read_text()).get(section) or {}
    edit_json(file, **{section: before | changes})
    with pytest.raises(EncoderError, match=rf"^backbone: .*config\.json.* {message}"):
        load_backbone(backbone, CPU)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_code_in_the_folder_is_refused(name, backbone):
    edit_json(Path(backbone.model) / name, auto_map={"AutoConfig": "model.Config"})
    with pytest.raises(EncoderError, match=f"{name} has the key auto_map, which would run Python code"):
        find_backbone_files(backbone)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_mean": None}, "is missing or does not say image_mean"),
        ({"size": None}, "is missing or does not say size"),
        ({"size": {"shortest_edge": 32}}, f"resizes to .*32.* and crops to {SIZE}; expected both to be {SIZE}"),
        ({"crop_size": 24}, f"resizes to {SIZE} and crops to 24; expected both"),
        ({"do_resize": False}, "does not resize"),
        ({"size": {"height": SIZE, "width": 32}}, "resizes to .*32.*; expected both"),
        ({"do_center_crop": False, "size": {"shortest_edge": SIZE}}, "leaves images that are not square"),
        ({"rescale_factor": 1 / 127.5}, "has rescale_factor 0.0078"),
        ({"resample": 1}, "has resample 1; expected 3"),
    ],
)
def test_a_trained_preprocessing_that_is_not_supported_is_refused(changes, message, clip):
    edit_json(Path(clip.model) / "preprocessor_config.json", **changes)
    assert load_backbone(clip, CPU).preprocess.name == "reference"
    with pytest.raises(EncoderError, match=rf"preprocess: clip: .*preprocessor_config\.json {message}"):
        load_backbone(clip.model_copy(update={"preprocess": "clip"}), CPU)


def test_newer_folders_keep_the_preprocessing_with_the_processor(clip):
    folder = Path(clip.model)
    trained = clip.model_copy(update={"preprocess": "clip"})
    expected = load_backbone(trained, CPU).preprocess
    content = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": content}))
    (folder / "preprocessor_config.json").unlink()
    assert load_backbone(trained, CPU).preprocess == expected


@pytest.mark.parametrize(
    ("weights", "message"), [("openai", "weights 'openai' cannot be used"), ("a.pt", "expected the file a.pt")]
)
def test_other_weights_are_refused(weights, message, clip):
    with pytest.raises(EncoderError, match=message):
        find_backbone_files(clip.model_copy(update={"weights": weights}))
