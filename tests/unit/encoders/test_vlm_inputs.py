"""What image-text models are given, by their own chat template and processor."""

import json

import pytest
import torch

from expclip_cache.base import EncoderError
from expclip_cache.encoders import LlmSettings
from expclip_cache.encoders.vlm_files import find_vlm_files
from expclip_cache.encoders.vlm_inputs import VlmInputs
from expclip_cache.encoders.vlm_model import read_vlm_config
from expclip_cache.encoders.vlm_states import hidden_states, load_vlm, pooled
from tiny_encoders import INSTRUCTION, random_pixels
from tiny_vlms import FAMILIES, LAYERS, SIZE, needs, write_vlm

CPU = torch.device("cpu")
TEXTS = (INSTRUCTION, "describe", "a photo of happiness , anger , sadness or fear ?")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    if package := needs(request.param):
        pytest.importorskip(package)
    return request.param


@pytest.fixture(scope="module")
def settings(family, tmp_path_factory):
    return write_vlm(tmp_path_factory.mktemp(family), family)[0]


@pytest.fixture
def qwen(tmp_path):
    return write_vlm(tmp_path, "qwen2.5-vl")[0]


def changed(settings: LlmSettings, **changes) -> LlmSettings:
    return LlmSettings(**settings.model_dump() | changes)


def inputs_of(settings: LlmSettings) -> VlmInputs:
    files = find_vlm_files(settings)
    return VlmInputs(read_vlm_config(files), files, settings)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_no_reading(settings, side):
    teacher = load_vlm(settings, CPU)
    pixels = random_pixels(len(TEXTS))

    def read(images: torch.Tensor, texts: list[str]) -> torch.Tensor:
        inputs = teacher._inputs(images, [teacher._inputs.prompt(text) for text in texts])
        positions = teacher._inputs.positions(inputs)
        with torch.inference_mode():
            states = hidden_states(teacher._model, inputs, [LAYERS])[LAYERS]
        padding = ~positions.real
        assert padding.any() == (len(texts) > 1)
        # Whatever stands at padding is read nowhere.
        states = states.masked_fill(padding[..., None], torch.nan)
        return torch.stack([pooled(states, positions, name) for name in ("last", "text", "all")], dim=1)

    teacher._inputs.padding_side = side
    together = read(pixels, list(TEXTS))
    alone = torch.cat([read(image[None], [text]) for image, text in zip(pixels, TEXTS, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    ids = teacher._inputs(pixels, [teacher._inputs.prompt(text) for text in TEXTS])
    short = teacher._inputs.positions(ids).real[1]
    assert short[-1 if side == "left" else 0]
    assert not short[0 if side == "left" else -1]


def test_positions_are_the_image_and_all_that_follows_it(settings, family):
    inputs = inputs_of(settings)
    found = inputs(random_pixels(2), [inputs.prompt(INSTRUCTION)] * 2)
    positions = inputs.positions(found)
    assert positions.image.sum(dim=1).tolist() == [FAMILIES[family].image_tokens] * 2
    ids, tokenizer = found["input_ids"][0], inputs.processor.tokenizer
    assert INSTRUCTION in tokenizer.decode(ids[positions.text[0]])
    assert INSTRUCTION not in tokenizer.decode(ids[~positions.text[0]])
    assert positions.last.int().argmax(dim=1).tolist() == [len(ids) - 1] * 2
    assert positions.last.sum() == 2


def test_no_text_begins_twice(settings):
    inputs = inputs_of(settings)
    ids = inputs(random_pixels(1), [inputs.prompt(INSTRUCTION)])["input_ids"][0].tolist()
    bos = inputs.processor.tokenizer.bos_token_id
    assert [bos, bos] != ids[:2]


def test_a_larger_square_is_not_split(settings, family):
    """Where the processor resizes to the model's size, that is so whatever it is given; Qwen's grids grow with it."""
    inputs = inputs_of(settings)
    larger = torch.randint(0, 256, (1, 3, 2 * SIZE, 2 * SIZE), dtype=torch.uint8)
    count = int(inputs.positions(inputs(larger, [inputs.prompt(INSTRUCTION)])).image.sum())
    grows = {"llava-onevision": 16 + 4 * 16 + 8, **dict.fromkeys(("qwen2-vl", "qwen2.5-vl", "qwen3-vl"), 16)}
    assert count == grows.get(family, FAMILIES[family].image_tokens)


def test_the_system_line_is_sent_if_there_is_one(settings, family):
    line = "You describe faces ."
    if family == "paligemma":
        with pytest.raises(EncoderError, match="a paligemma has no chat and so no system line"):
            inputs_of(changed(settings, system=line)).prompt(INSTRUCTION)
        return
    prompt = inputs_of(changed(settings, system=line)).prompt(INSTRUCTION)
    assert prompt.index(line) < prompt.index(INSTRUCTION)
    assert line not in inputs_of(settings).prompt(INSTRUCTION)


def test_the_token_of_an_image_is_no_part_of_an_instruction(settings):
    inputs = inputs_of(settings)
    with pytest.raises(
        EncoderError, match=r"stands for an image in the model's input\. Remove it from the instruction"
    ):
        inputs.prompt(f"What is in {inputs.processor.image_token}?")


def without_template(folder):
    (folder / "chat_template.jinja").unlink()


def template(text):
    return lambda folder: (folder / "chat_template.jinja").write_text(text)


WORDS_ALONE = "{% for m in messages %}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endfor %}"
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without_template, "has no chat template .chat_template.jinja., so how its makers put an image"),
        (template(IMAGE), "cannot be used for an image and an instruction: it leaves out the instruction"),
        (template(WORDS_ALONE), "refuses the image and the text|expected the same number of image tokens"),
        (template("{{ messages[3].role }}" + IMAGE), "it fails"),
        (template("{% if %}"), "it fails"),
        (template(IMAGE + IMAGE + WORDS_ALONE), "refuses the image and the text"),
        (template(WORDS_ALONE + IMAGE.replace("<|vision_end|>", "")), "no text follows the image"),
    ],
)
def test_a_template_that_cannot_be_right_is_refused(qwen, tmp_path, edit, message):
    edit(tmp_path)
    with pytest.raises(EncoderError, match=message):
        load_vlm(qwen, CPU)


def test_a_template_that_drops_the_system_line_is_refused(qwen, tmp_path):
    template(IMAGE + "{{ messages[-1]['content'][1]['text'] }}")(tmp_path)
    load_vlm(qwen, CPU)
    with pytest.raises(EncoderError, match="it leaves out the system line"):
        load_vlm(changed(qwen, system="You describe faces ."), CPU)


def test_another_template_is_another_identity(qwen, tmp_path):
    before = load_vlm(qwen, CPU)
    file = tmp_path / "chat_template.jinja"
    file.write_text(file.read_text().replace("You are a helpful assistant.", "You are a photo."))
    after = load_vlm(qwen, CPU)
    moved = {name for name, fact in before.describe().items() if after.describe()[name] != fact}
    assert moved == {"config_sha256", "chat_template_sha256", "prompt_token_ids"}
    assert (before.encode_images(random_pixels(1)) - after.encode_images(random_pixels(1))).abs().max() > 1e-3


def test_another_processor_is_another_identity(qwen, tmp_path):
    before = load_vlm(qwen, CPU).describe()
    file = tmp_path / "processor_config.json"
    content = json.loads(file.read_text())
    content["image_processor"]["size"] = {"shortest_edge": (2 * SIZE) ** 2, "longest_edge": (2 * SIZE) ** 2}
    file.write_text(json.dumps(content))
    after = load_vlm(qwen, CPU).describe()
    assert after["config_sha256"] != before["config_sha256"]
    assert (before["image_tokens"], after["image_tokens"]) == (4, 16)


def test_a_folder_without_processor_says_what_is_missing(qwen, tmp_path):
    (tmp_path / "processor_config.json").unlink()
    with pytest.raises(EncoderError, match=r"It needs preprocessor_config\.json or processor_config\.json"):
        load_vlm(qwen, CPU)
