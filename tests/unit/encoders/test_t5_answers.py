"""The log-likelihoods of a BLIP-2's answers: those of transformers' own loss; and what it writes."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from transformers import InstructBlipForConditionalGeneration

from expclip_cache.base import EncoderError, SettingsError, build
from expclip_cache.encoders import AnswerSettings, blip2_t5, load_answers
from expclip_cache.encoders.answer_texts import questions
from expclip_cache.encoders.continuation import generate_greedily
from expclip_cache.encoders.preprocess import to_float
from tiny_encoders import edit_weights, random_pixels, write_blip2

CLASSES = ("happiness", "anger", "neutral")
NAMES = {"happiness": ("happiness", "photo"), "anger": ("anger",), "neutral": ("an expression",)}
QUESTION = "describe the expression of the face . {options}"
CPU = torch.device("cpu")


def token_ids(folder, text: str) -> torch.Tensor:
    return blip2_t5.token_ids(blip2_t5.load_tokenizer(folder), text)


@pytest.fixture(scope="module", params=["blip2", "instructblip"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    _, complete = write_blip2(folder, request.param)
    complete = type(complete).from_pretrained(folder, use_safetensors=True).eval()
    return folder, complete


def settings_for(folder, **more) -> AnswerSettings:
    return AnswerSettings(model=str(folder), question=QUESTION, names=NAMES, **more)


def expected_log_likelihood(folder, complete, values: torch.Tensor, question: str, name: str) -> float:
    """By the whole model's own forward pass with `labels`: minus its mean loss, times the number of tokens."""
    labels = token_ids(folder, name)
    image = torch.full((1, complete.config.num_query_tokens), complete.config.image_token_index)
    text = {"input_ids": torch.cat([image, token_ids(folder, question)], dim=1)}
    text["attention_mask"] = torch.ones_like(text["input_ids"])
    if isinstance(complete, InstructBlipForConditionalGeneration):
        text["qformer_input_ids"] = token_ids(folder / "qformer_tokenizer", question)
        text["qformer_attention_mask"] = torch.ones_like(text["qformer_input_ids"])
    with torch.inference_mode():
        loss = complete(pixel_values=values[None], labels=labels, **text).loss
    return -float(loss) * labels.shape[1]


@pytest.mark.parametrize("orders", [1, 3])
def test_log_likelihoods_are_those_of_the_models_own_loss(model, orders):
    folder, complete = model
    settings, pixels = settings_for(folder, orders=orders, generate=False), random_pixels(3)
    encoder = load_answers(settings, CLASSES, CPU)
    found = encoder.encode_images(pixels)
    names = [name for called in NAMES.values() for name in called]
    asked = questions(QUESTION, ["happiness", "anger", "an expression"], orders)
    assert len(asked) == orders
    assert asked[0] == "describe the expression of the face . happiness, anger, an expression"
    for row, values in enumerate(to_float(pixels, encoder.preprocess)):
        expected = [
            np.mean([expected_log_likelihood(folder, complete, values, question, name) for question in asked])
            for name in names
        ]
        assert found[row].tolist() == pytest.approx(expected, abs=2e-5)
    assert found.shape == (3, 4)
    assert (found < 0).all()
    assert found.std(dim=0).min() > 1e-3, "the image must matter"


def test_one_image_gives_what_a_batch_gives(model):
    folder, _ = model
    encoder, pixels = load_answers(settings_for(folder), CLASSES, CPU), random_pixels(8)
    together = encoder.encode_images(pixels)
    alone = torch.cat([encoder.encode_images(one[None]) for one in pixels])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.shape == (8, 2 * 4)


def test_what_is_written_is_what_transformers_generates(model):
    folder, complete = model
    encoder, pixels = load_answers(settings_for(folder), CLASSES, CPU), random_pixels(4)
    written = next(_prompts(encoder, pixels))
    most = 12
    ours = generate_greedily(written, {1}, most)
    values = to_float(pixels, encoder.preprocess)
    ids = token_ids(folder, questions(QUESTION, ["happiness", "anger", "an expression"], 1)[0])
    image = torch.full((1, complete.config.num_query_tokens), complete.config.image_token_index)
    text = {"input_ids": torch.cat([image, ids], dim=1).expand(4, -1)}
    text["attention_mask"] = torch.ones_like(text["input_ids"])
    if isinstance(complete, InstructBlipForConditionalGeneration):
        question = token_ids(
            folder / "qformer_tokenizer", questions(QUESTION, ["happiness", "anger", "an expression"], 1)[0]
        )
        text["qformer_input_ids"] = question.expand(4, -1)
        text["qformer_attention_mask"] = torch.ones_like(text["qformer_input_ids"])
    generated = complete.generate(pixel_values=values, **text, do_sample=False, max_new_tokens=most)
    for row, tokens in zip(ours, generated.tolist(), strict=True):
        assert row == tokens[1 : tokens.index(1) if 1 in tokens else None]


def _prompts(encoder, pixels):
    with torch.inference_mode():
        seen = encoder._model.vision_model(to_float(pixels, encoder.preprocess)).last_hidden_state
        for question, for_qformer in zip(encoder._questions, encoder._qformer_questions, strict=True):
            yield encoder._read(seen, question, for_qformer)


def test_a_model_that_writes_a_name_says_so(tmp_path):
    """An output layer that points to the first token of one name after the start, and to the end after that token."""
    write_blip2(tmp_path)
    encoder, pixels = load_answers(settings_for(tmp_path), CLASSES, CPU), random_pixels(3)
    (wanted, end) = token_ids(tmp_path, "anger")[0].tolist()
    states: list[torch.Tensor] = []
    layer = encoder._model.language_model.lm_head
    hook = layer.register_forward_pre_hook(lambda _module, inputs: states.append(inputs[0].detach().clone()))
    prompt = next(_prompts(encoder, pixels))
    prompt.step(torch.full((3, 1), wanted), deepcopy(prompt.cache))
    hook.remove()
    after_start, after_name = (state[:, 0].mean(dim=0) for state in states)
    head = torch.zeros(64, 40)
    head[wanted], head[end] = 20 * after_start, 20 * after_name
    edit_weights(tmp_path / "model.safetensors", {"language_model.lm_head.weight": head})
    rows = load_answers(settings_for(tmp_path), CLASSES, CPU).encode_images(pixels)
    assert (rows[:, :4].argmax(dim=1) == 2).all()
    assert rows[:, 4:].tolist() == [[0, 0, 1, 0]] * 3


def test_a_row_says_how_many_tokens_a_name_has_and_hashes_the_decoder(tmp_path):
    write_blip2(tmp_path)
    facts = load_answers(settings_for(tmp_path), CLASSES, CPU).describe()
    assert facts["tokens"] == [len(token_ids(tmp_path, name)[0]) for called in NAMES.values() for name in called]
    assert all(tokens[-1] == 1 and len(tokens) > 1 for tokens in facts["answer_token_ids"])
    assert (facts["width"], facts["vectors"]) == (4, 2)
    before = facts["weights_sha256"]
    edit_weights(tmp_path / "model.safetensors", {"language_model.lm_head.weight": torch.zeros(64, 40)})
    assert load_answers(settings_for(tmp_path), CLASSES, CPU).describe()["weights_sha256"] != before


def test_weights_without_a_decoder_are_refused(tmp_path):
    from safetensors import safe_open

    write_blip2(tmp_path)
    file = tmp_path / "model.safetensors"
    with safe_open(file, "pt") as tensors:
        decoder = [name for name in tensors.keys() if ".decoder." in name or "lm_head" in name]  # noqa: SIM118
    edit_weights(file, {}, decoder)
    with pytest.raises(EncoderError, match="have no decoder, as is usual for a teacher's"):
        load_answers(settings_for(tmp_path), CLASSES, CPU)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"question": "What?"}, r"orders is 3, but the question has no \{options\}"),
        ({"names": {"a": ("x",), "b": ("X",)}}, "'X' is a name of a and again of b"),
        ({"names": {"a": ("x", "x")}}, "'x' is a name of a and again of a"),
        ({"names": {"a": ()}}, "names"),
        ({"names": {"a": (" ",)}}, "names"),
        ({"orders": 0}, "orders"),
    ],
)
def test_settings_that_make_no_sense(given, message):
    with pytest.raises(SettingsError, match=message):
        build(AnswerSettings, **given)


def test_two_classes_may_not_be_called_the_same():
    with pytest.raises(SettingsError, match="'anger' is a name of happiness and again of anger"):
        AnswerSettings(names={"happiness": ("anger",)}).answer_settings(["happiness", "anger"])


def test_what_is_part_of_the_identity():
    base = AnswerSettings().answer_settings(["anger", "fear"])
    assert base["names"] == [["anger", ["anger"]], ["fear", ["fear"]]]
    assert base["encoder"] == "answers"
    assert AnswerSettings(calibration_images=5).answer_settings(["anger", "fear"]) == base
    assert AnswerSettings(orders=2).answer_settings(["anger", "fear"]) != base
    assert AnswerSettings().answer_settings(["fear", "anger"]) != base
