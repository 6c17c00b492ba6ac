"""The targets of image-text models: what transformers' own forward pass of the complete model gives."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from expclip_cache.base import EncoderError
from expclip_cache.encoders import LlmSettings, file_hashes, load_teacher, vlm_model
from expclip_cache.encoders.vlm_parts import language_model, outside_modules
from expclip_cache.encoders.vlm_states import VlmEncoder, hidden_states, load_vlm
from tiny_encoders import INSTRUCTION, random_pixels
from tiny_vlms import FAMILIES, LAYERS, WIDTH, needs, write_vlm

CPU = torch.device("cpu")
ALL_STATES = {"keep_layers": (0.25, 0.5, 0.75, 1.0), "keep_reads": ("all", "last", "text")}
OTHER = "what expression do you see ?"


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    if package := needs(request.param):
        pytest.importorskip(package)
    return request.param


@pytest.fixture(scope="module")
def both(family, tmp_path_factory):
    """Settings that name a folder, and the complete model that the library saved in it."""
    return write_vlm(tmp_path_factory.mktemp(family), family)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return write_vlm(tmp_path_factory.mktemp("qwen"), "qwen2.5-vl")


def changed(settings: LlmSettings, **changes) -> LlmSettings:
    return LlmSettings(**settings.model_dump() | changes)


def plain_inputs(settings: LlmSettings, pixels: torch.Tensor):
    """One image and the instruction, as transformers' documentation says: a conversation, given to the processor."""
    processor = AutoProcessor.from_pretrained(settings.model)
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    if processor.chat_template is None:
        return processor(images=image, text="<image>" + settings.instruction, return_tensors="pt")
    content = [{"type": "image", "image": image}, {"type": "text", "text": settings.instruction}]
    whole = {"do_image_splitting": False, "do_pan_and_scan": False, "crop_to_patches": False}
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={key: off for key, off in whole.items() if hasattr(processor.image_processor, key)},
    )


def plain_states(settings: LlmSettings, complete, pixels: torch.Tensor) -> np.ndarray:
    """(states, t): each reading of each layer, by NumPy, from a forward pass of the complete model."""
    inputs = plain_inputs(settings, pixels)
    inputs.pop("labels", None)
    with torch.no_grad():
        hidden = complete(**inputs, output_hidden_states=True, use_cache=False).hidden_states
    assert len(hidden) == LAYERS + 1
    after = int(np.flatnonzero(inputs["input_ids"][0].numpy() == complete.config.image_token_id)[-1]) + 1
    rows = [layer[0].numpy() for layer in hidden[1:]]
    return np.array(
        [
            *(states.mean(axis=0) for states in rows),
            *(states[-1] for states in rows),
            *(states[after:].mean(axis=0) for states in rows),
        ]
    )


def image_means(teacher: VlmEncoder, pixels: torch.Tensor) -> torch.Tensor:
    """(b, t): the mean of the last states over the image's positions."""
    inputs = teacher._inputs(pixels, [teacher._prompt] * len(pixels))
    with torch.inference_mode():
        states = hidden_states(teacher._model, inputs, [LAYERS])[LAYERS]
    return torch.stack(
        [row[at].mean(dim=0) for row, at in zip(states, teacher._inputs.positions(inputs).image, strict=True)]
    )


def test_targets_equal_a_plain_forward_pass_of_the_complete_model(both):
    settings, complete = both
    teacher = load_teacher(changed(settings, **ALL_STATES), CPU)
    assert teacher.vectors == 3 * LAYERS
    assert teacher.width == WIDTH
    pixels = random_pixels(3)
    expected = np.stack([plain_states(settings, complete, image) for image in pixels])
    found = teacher.encode_images(pixels)
    assert found.dtype == torch.float32
    assert found.shape == (3, 3 * LAYERS * WIDTH)
    np.testing.assert_allclose(found.view(3, 3 * LAYERS, WIDTH), expected, atol=1e-5)
    states = teacher.describe()["states"]
    assert states[:5] == ["all@0.25", "all@0.5", "all@0.75", "all@1", "last@0.25"]


def test_a_lower_layer_is_raw_and_the_last_is_after_the_final_norm(qwen):
    settings, complete = qwen
    expected = plain_states(settings, complete, random_pixels(1)[0])
    raw = load_vlm(changed(settings, layer=0.75), CPU).encode_images(random_pixels(1))
    np.testing.assert_allclose(raw[0], expected[LAYERS + 2], atol=1e-5)
    last = load_vlm(settings, CPU).encode_images(random_pixels(1))
    norm = complete.get_decoder().norm.weight.detach().numpy()
    np.testing.assert_allclose(np.sqrt(np.mean((last[0].numpy() / norm) ** 2)), 1, atol=1e-3)


def test_an_image_has_the_same_targets_alone_and_anywhere_in_a_batch(both):
    teacher = load_teacher(changed(both[0], **ALL_STATES), CPU)
    pixels = random_pixels(8)
    together = teacher.encode_images(pixels)
    alone = torch.cat([teacher.encode_images(image[None]) for image in pixels])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    order = torch.tensor([3, 0, 7, 5, 1, 2, 6, 4])
    torch.testing.assert_close(teacher.encode_images(pixels[order]), together[order], atol=1e-5, rtol=0)
    # The order is proved only if images differ by more than that.
    assert all((together - together.roll(step, dims=0)).abs().amax(dim=1).min() > 1e-3 for step in range(1, 8))


def test_the_default_target_follows_the_instruction_where_the_image_is_blind_to_it(both, family):
    settings, _ = both
    teachers = [load_vlm(changed(settings, instruction=text), CPU) for text in (INSTRUCTION, OTHER)]
    pixels = random_pixels(2)
    one, other = (teacher.encode_images(pixels) for teacher in teachers)
    assert ((one - other).norm(dim=1) > 0.1 * one.norm(dim=1)).all()
    images, of_other = (image_means(teacher, pixels) for teacher in teachers)
    moved = (images - of_other).norm(dim=1) / images.norm(dim=1)
    assert (moved > 1e-3).all() if FAMILIES[family].sees_ahead else (moved < 1e-5).all()


def test_neither_the_output_head_nor_the_layers_above_are_in_memory(both):
    settings, complete = both
    teacher = load_vlm(changed(settings, layer=0.5), CPU)
    assert len(language_model(teacher._model).layers) == 2
    assert isinstance(teacher._model.get_output_embeddings(), torch.nn.Identity)

    def numbers(module: torch.nn.Module) -> int:
        return sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()) if not tensor.is_meta)

    assert numbers(teacher._model) == numbers(complete.model) - 2 * numbers(complete.get_decoder().layers[0])


def test_bf16_is_the_language_models_and_the_vision_tower_stays_in_float32(both):
    settings, complete = both
    teacher = load_vlm(changed(settings, precision="bf16", **ALL_STATES), CPU)
    language = language_model(teacher._model).module
    assert {parameter.dtype for parameter in language.parameters()} == {torch.bfloat16}
    for module in outside_modules(teacher._model).values():
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    found = teacher.encode_images(random_pixels(1)).view(3 * LAYERS, WIDTH).numpy()
    expected = plain_states(settings, complete, random_pixels(1)[0])
    differences = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert 0 < differences.max() < 0.05


def test_random_weights_are_the_same_each_time_and_see_the_image(both):
    settings = changed(both[0], weights="random", precision="bf16")
    before = torch.get_rng_state()
    one, other = (load_vlm(settings, CPU).encode_images(random_pixels(2)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, other)
    assert (one[0] - one[1]).norm() > 1e-3 * one[0].norm()


def test_the_two_ways_to_compute_attention_differ_by_rounding_and_are_recorded(both):
    fused, eager = (load_vlm(changed(both[0], attention=name), CPU) for name in ("sdpa", "eager"))
    assert (fused.describe()["attention_backend"], eager.describe()["attention_backend"]) == ("sdpa", "eager")
    torch.testing.assert_close(
        fused.encode_images(random_pixels(2)), eager.encode_images(random_pixels(2)), atol=1e-5, rtol=0
    )


def test_what_is_recorded(both, family):
    settings, complete = both
    teacher = load_vlm(settings, CPU)
    facts = teacher.describe()
    ids = plain_inputs(settings, random_pixels(1)[0])["input_ids"][0].tolist()
    image = complete.config.image_token_id
    assert facts["image_tokens"] == ids.count(image) == FAMILIES[family].image_tokens
    assert facts["prompt_token_ids"] == [
        token for at, token in enumerate(ids) if token != image or ids[at - 1] != image
    ]
    assert facts["layers"] == LAYERS
    assert facts["state_layers"] == [LAYERS]
    assert "vectors" not in facts
    assert "torchvision" in facts["library"]
    hashes = file_hashes(settings)
    assert hashes is not None
    assert hashes == {name: facts[name] for name in hashes}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_targets(both):
    expected = load_vlm(changed(both[0], **ALL_STATES), CPU).encode_images(random_pixels(3))
    found = load_vlm(changed(both[0], **ALL_STATES), torch.device("cuda")).encode_images(random_pixels(3))
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), expected, atol=1e-3, rtol=0)


def test_pixels_of_another_size_are_refused(qwen):
    teacher = load_vlm(qwen[0], CPU)
    with pytest.raises(ValueError, match=r"expected \(b, 3, 28, 28\) uint8, found \(2, 3, 56, 56\) torch.uint8"):
        teacher.encode_images(torch.zeros(2, 3, 56, 56, dtype=torch.uint8))


def test_accelerate_places_the_model_and_changes_no_number(both):
    pytest.importorskip("accelerate")
    expected = load_vlm(both[0], CPU).encode_images(random_pixels(2))
    spread = load_vlm(changed(both[0], device_map="auto"), CPU)
    torch.testing.assert_close(spread.encode_images(random_pixels(2)), expected, atol=1e-5, rtol=0)


def test_without_accelerate_device_map_says_what_to_install(qwen, monkeypatch):
    monkeypatch.setattr(vlm_model.util, "find_spec", lambda _name: None)
    with pytest.raises(
        EncoderError, match=r"device_map: auto needs the package accelerate: pip install 'expclip-cache\[vlm\]'"
    ):
        load_vlm(changed(qwen[0], device_map="auto"), CPU)


def test_two_shares_of_one_layer_are_refused(qwen):
    settings, _ = qwen
    with pytest.raises(
        EncoderError, match=r"of the states last@0\.5, last@0\.51, several are the same: .* has 4 layers"
    ):
        load_vlm(changed(settings, layer=0.5, keep_layers=(0.51,)), CPU)
