import copy
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, Blip2Config

from expclip_cache.base.errors import EncoderError
from expclip_cache.encoders.blip2_t5 import load_blip2_t5
from expclip_cache.encoders.dropout_seed import mask_seed
from expclip_cache.encoders.llm_files import find_llm_files
from expclip_cache.encoders.llm_settings import LlmSettings
from expclip_cache.encoders.t5_targets import load_targets
from tiny_encoders import IMAGE_TOKEN, INSTRUCTION, SIZE, CompleteBlip2, edit_weights, random_pixels, write_blip2

CPU = torch.device("cpu")
KINDS = ["blip2", "instructblip"]


@pytest.fixture(scope="module", params=KINDS)
def both(request, tmp_path_factory):
    """Settings that name a folder, and the complete model that the library saved in it."""
    return write_blip2(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def blip2(tmp_path_factory):
    return write_blip2(tmp_path_factory.mktemp("blip2"))[0]


def inputs_of(settings: LlmSettings, complete: CompleteBlip2, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """The inputs that the library's own processor would make: image placeholders, then the instruction."""
    ids = AutoTokenizer.from_pretrained(settings.model)(INSTRUCTION).input_ids
    row = [IMAGE_TOKEN] * complete.config.num_query_tokens + ids
    inputs = {"pixel_values": pixels / 255, "input_ids": torch.tensor([row]).expand(len(pixels), -1)}
    if complete.config.model_type == "instructblip":
        reads = AutoTokenizer.from_pretrained(f"{settings.model}/qformer_tokenizer")(INSTRUCTION).input_ids
        inputs["qformer_input_ids"] = torch.tensor([reads]).expand(len(pixels), -1)
    return inputs


def final_norm_means(complete: CompleteBlip2, run) -> torch.Tensor:
    """Mean over positions of the output of the T5 encoder's final layer norm during `run()`."""
    seen = []
    norm = complete.language_model.encoder.final_layer_norm
    hook = norm.register_forward_hook(lambda _module, _inputs, output: seen.append(output.mean(dim=1)))
    with torch.no_grad():
        run()
    hook.remove()
    assert len(seen) == 1
    return seen[0]


def test_targets_equal_the_states_inside_the_complete_model(both):
    settings, complete = both
    inputs = inputs_of(settings, complete, random_pixels())
    while_generating = final_norm_means(complete, lambda: complete.generate(**inputs, max_new_tokens=3))
    start = torch.zeros(len(random_pixels()), 1, dtype=torch.long)
    in_forward = final_norm_means(complete, lambda: complete(**inputs, decoder_input_ids=start))
    states = load_blip2_t5(settings, CPU).encode_images(random_pixels())
    torch.testing.assert_close(states, while_generating, rtol=0, atol=1e-5)
    torch.testing.assert_close(states, in_forward, rtol=0, atol=1e-5)
    assert (states[0] - states[1]).abs().max() > 0.05


def test_the_instruction_changes_the_targets(both):
    settings, _ = both
    other = load_blip2_t5(settings.model_copy(update={"instruction": "a photo ."}), CPU)
    assert (
        other.encode_images(random_pixels()) - load_blip2_t5(settings, CPU).encode_images(random_pixels())
    ).abs().max() > 0.05


def test_the_decoder_is_not_loaded(both):
    settings, complete = both
    ours = dict(load_targets(find_llm_files(settings), settings.precision).named_parameters())
    theirs = dict(complete.named_parameters())
    stored = load_file(f"{settings.model}/model.safetensors")
    assert set(ours) <= set(theirs)
    assert {name.split(".")[1] for name in set(stored) - set(ours)} == {"decoder", "lm_head"}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", ["encoder.embed_tokens", "decoder.embed_tokens"])
def test_the_token_table_loads_under_each_of_its_names(tmp_path, name):
    settings, complete = write_blip2(tmp_path)
    expected = load_blip2_t5(settings, CPU).encode_images(random_pixels())
    table = complete.language_model.shared.weight.detach()
    renamed = {f"language_model.{name}.weight": table}
    edit_weights(tmp_path / "model.safetensors", renamed, drop=["language_model.shared.weight"])
    assert torch.equal(load_blip2_t5(settings, CPU).encode_images(random_pixels()), expected)


def test_the_model_is_frozen_and_its_targets_can_be_trained_on(both):
    encoder = load_blip2_t5(both[0], CPU)
    assert not any(module.training for module in encoder._model.modules())
    assert not any(parameter.requires_grad for parameter in encoder._model.parameters())
    states = encoder.encode_images(random_pixels())
    assert states.dtype == torch.float32
    head = torch.nn.Linear(encoder.width, 2)
    head(states).sum().backward()
    assert head.weight.grad is not None


def test_a_batch_gives_the_same_as_its_rows_alone(blip2):
    encoder = load_blip2_t5(blip2, CPU)
    rows = torch.cat([encoder.encode_images(row[None]) for row in random_pixels(3)])
    torch.testing.assert_close(encoder.encode_images(random_pixels(3)), rows, rtol=1e-5, atol=1e-5)


def test_describe_is_json_and_records_what_changes_the_targets(blip2):
    facts = json.loads(json.dumps(load_blip2_t5(blip2, CPU).describe()))
    assert len(facts["weights_sha256"]) == len(facts["config_sha256"]) == len(facts["tokenizer_sha256"]) == 64
    assert (facts["width"], facts["image_size"], facts["query_tokens"]) == (40, SIZE, 6)
    assert (facts["vision_layer_norm_eps"], facts["t5_activation"]) == (1e-6, "gelu")
    assert facts["dropout"] == {"qformer_hidden": 0.1, "qformer_attention": 0.1, "t5": 0.1}


def test_the_instruction_ends_with_the_end_token(blip2):
    ids = load_blip2_t5(blip2, CPU).describe()["instruction_token_ids"]
    assert ids == AutoTokenizer.from_pretrained(blip2.model)(INSTRUCTION).input_ids
    assert ids[-1] == 1
    assert 2 not in ids


def test_unknown_words_in_the_instruction_are_logged(blip2, caplog):
    load_blip2_t5(blip2.model_copy(update={"instruction": "describe the zebra ."}), CPU)
    assert "tokens of 'describe the zebra .' are unknown to the tokenizer" in caplog.text


def test_dropout_has_the_same_masks_as_the_complete_model_in_training(both):
    settings, complete = both
    encoder = load_blip2_t5(settings.model_copy(update={"mode": "dropout"}), CPU, draw=3)
    inputs = inputs_of(settings, complete, random_pixels())
    complete.train()
    complete.vision_model.eval()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mask_seed(3, random_pixels()))
        expected = final_norm_means(complete, lambda: complete.generate(**inputs, max_new_tokens=1))
    complete.eval()
    torch.testing.assert_close(encoder.encode_images(random_pixels()), expected, rtol=0, atol=1e-5)


def test_dropout_masks_depend_on_the_draw_and_the_batch_alone(both):
    settings, _ = both
    without = load_blip2_t5(settings, CPU).encode_images(random_pixels())
    dropout = settings.model_copy(update={"mode": "dropout"})
    encoder, other = load_blip2_t5(dropout, CPU, draw=1), load_blip2_t5(dropout, CPU, draw=2)
    before = torch.random.get_rng_state()
    first = encoder.encode_images(random_pixels())
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(5)
    assert torch.equal(first, encoder.encode_images(random_pixels()))
    assert not torch.allclose(first, other.encode_images(random_pixels()), atol=1e-2)
    assert not torch.allclose(first, without, atol=1e-2)
    assert not any(module.training for module in encoder._model.vision_model.modules())
    assert mask_seed(1, random_pixels()) != mask_seed(1, random_pixels() // 2)
    assert mask_seed(1, random_pixels()) != mask_seed(1 + 2**32, random_pixels())


def test_mode_dropout_needs_a_model_with_dropout(tmp_path):
    settings, _ = write_blip2(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    config["text_config"]["dropout_rate"] = 0.0
    config["qformer_config"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    file.write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"has no dropout in its config.json. Set mode: eval"):
        load_blip2_t5(settings.model_copy(update={"mode": "dropout"}), CPU)


def test_reference_precision_has_its_own_type_for_each_part(both):
    settings, _ = both
    full = load_blip2_t5(settings, CPU).encode_images(random_pixels())
    encoder = load_blip2_t5(settings.model_copy(update={"precision": "reference"}), CPU)
    types = {}
    for name, parameter in encoder._model.named_parameters():
        types.setdefault(name.split(".")[0], set()).add(parameter.dtype)
    assert types == {
        "vision_model": {torch.float16, torch.float32},
        "query_tokens": {torch.float32},
        "qformer": {torch.float32},
        "language_projection": {torch.float32},
        "language_model": {torch.bfloat16},
    }
    parameters = dict(encoder._model.named_parameters())
    assert parameters["vision_model.encoder.layers.0.mlp.fc1.weight"].dtype == torch.float16
    assert parameters["vision_model.encoder.layers.0.layer_norm1.weight"].dtype == torch.float32
    states = encoder.encode_images(random_pixels())
    assert states.dtype == torch.float32
    assert 1e-4 < (states - full).abs().max() < 0.1


def test_random_weights_distinguish_images_repeat_and_leave_the_generator_alone(both, tmp_path):
    settings, _ = both
    shutil.copytree(settings.model, tmp_path, dirs_exist_ok=True)
    # As in the published config: a new model gets vision weights of 1e-10, and each part its stored type.
    config = json.loads((tmp_path / "config.json").read_text())
    config["vision_config"] |= {"initializer_range": 1e-10, "dtype": "bfloat16"}
    config["text_config"]["dtype"] = "bfloat16"
    (tmp_path / "config.json").write_text(json.dumps(config))
    random = settings.model_copy(update={"model": str(tmp_path), "weights": "random"})
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    first = load_blip2_t5(random, CPU)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(5)
    second = load_blip2_t5(random, CPU)
    assert {parameter.dtype for parameter in first._model.parameters()} == {torch.float32}
    assert first._model.query_tokens.std() > 0.01
    extremes = torch.stack([torch.zeros(3, SIZE, SIZE), torch.full((3, SIZE, SIZE), 255.0)]).to(torch.uint8)
    states = first.encode_images(extremes)
    assert torch.equal(states, second.encode_images(extremes))
    assert (states[0] - states[1]).abs().max() > 0.01
    assert states.isfinite().all()
    assert first.describe()["weights_sha256"] == "random:seed=0"


@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_weights_stored_in_half_precision_run_in_full_precision(both, tmp_path, weights):
    settings, complete = both
    shutil.copytree(settings.model, tmp_path, dirs_exist_ok=True)
    copy.deepcopy(complete).half().save_pretrained(tmp_path)
    assert "float16" in (tmp_path / "config.json").read_text()
    encoder = load_blip2_t5(settings.model_copy(update={"model": str(tmp_path), "weights": weights}), CPU)
    assert {parameter.dtype for parameter in encoder._model.parameters()} == {torch.float32}
    expected = load_blip2_t5(settings.model_copy(update={"weights": weights}), CPU).encode_images(random_pixels())
    tolerance = 2e-2 if weights == "pretrained" else 0.0
    torch.testing.assert_close(encoder.encode_images(random_pixels()), expected, rtol=0, atol=tolerance)


def test_random_weights_need_only_the_config_and_the_tokenizer(blip2, tmp_path):
    shutil.copytree(blip2.model, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    bare = blip2.model_copy(update={"model": str(tmp_path / "bare"), "weights": "random"})
    assert load_blip2_t5(bare, CPU).encode_images(random_pixels()).shape == (5, 40)


@pytest.mark.parametrize("change", ["missing", "unexpected", "mismatched"])
def test_weights_that_do_not_fit_are_refused(tmp_path, change):
    settings, _ = write_blip2(tmp_path)
    file, name = tmp_path / "model.safetensors", "qformer.layernorm.weight"
    if change == "missing":
        edit_weights(file, {}, drop=[name])
    elif change == "unexpected":
        edit_weights(file, {f"{name}.more": torch.zeros(2)})
    else:
        edit_weights(file, {name: torch.zeros(5)})
    with pytest.raises(EncoderError, match="qformer.layernorm" if change != "mismatched" else "cannot be loaded"):
        load_blip2_t5(settings, CPU)


def test_a_truncated_weights_file_is_an_error(tmp_path):
    settings, _ = write_blip2(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EncoderError, match=r"weights in .* cannot be loaded"):
        load_blip2_t5(settings, CPU)


def test_a_decoder_only_language_model_is_an_error(tmp_path):
    Blip2Config(text_config={"model_type": "opt"}).save_pretrained(tmp_path)
    settings = LlmSettings(model=str(tmp_path), weights="random", instruction=INSTRUCTION)
    with pytest.raises(EncoderError, match=r"with a T5 language model.*'blip-2' with language model 'opt'.*flan-t5"):
        load_blip2_t5(settings, CPU)


@pytest.mark.parametrize(("kind", "gone"), [("blip2", ""), ("instructblip", "qformer_tokenizer")])
def test_a_missing_tokenizer_is_an_error(tmp_path, kind, gone):
    settings, _ = write_blip2(tmp_path, kind)
    (tmp_path / gone / "tokenizer_config.json").unlink()
    with pytest.raises(EncoderError, match=rf"expected a tokenizer in .*{gone}, found no tokenizer_config.json"):
        load_blip2_t5(settings, CPU)


def test_pixels_of_another_size_are_an_error(blip2):
    encoder = load_blip2_t5(blip2, CPU)
    with pytest.raises(ValueError, match=r"expected \(b, 3, 28, 28\) uint8, found \(5, 3, 27, 28\)"):
        encoder.encode_images(random_pixels()[:, :, 1:])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "reference"])
def test_cuda_agrees_with_the_cpu(both, precision):
    settings = both[0].model_copy(update={"precision": precision})
    cuda = load_blip2_t5(settings, torch.device("cuda", 0))
    difference = cuda.encode_images(random_pixels()).cpu() - load_blip2_t5(settings, CPU).encode_images(random_pixels())
    assert difference.abs().max() < 0.1
    dropout = load_blip2_t5(settings.model_copy(update={"mode": "dropout"}), torch.device("cuda", 0))
    before = torch.cuda.get_rng_state(0)
    assert torch.equal(dropout.encode_images(random_pixels()), dropout.encode_images(random_pixels()))
    assert torch.equal(before, torch.cuda.get_rng_state(0))
