"""The log-likelihoods of an image-text model's answers: those of transformers' own loss; and what it writes."""

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from expclip_cache.encoders import AnswerSettings, load_answers
from expclip_cache.encoders.answer_texts import questions
from expclip_cache.encoders.continuation import generate_greedily
from tiny_encoders import random_pixels
from tiny_vlms import FAMILIES, needs, write_vlm

CPU = torch.device("cpu")
CLASSES = ("happiness", "anger")
NAMES = ("happiness", "a smile", "anger")
QUESTION = "Which expression? {options}"


@pytest.fixture(scope="module", params=FAMILIES)
def both(request, tmp_path_factory):
    """Settings that name a folder, and the complete model that the library saved in it."""
    if package := needs(request.param):
        pytest.importorskip(package)
    teacher, complete = write_vlm(tmp_path_factory.mktemp(request.param), request.param)
    return settings_for(teacher), complete


def settings_for(teacher, **more) -> AnswerSettings:
    return AnswerSettings(
        kind="vlm",
        model=teacher.model,
        image_size=teacher.image_size,
        question=QUESTION,
        names={"happiness": ("happiness", "a smile")},
        **more,
    )


def plain_inputs(settings: AnswerSettings, pixels: torch.Tensor, question: str, answer: str | None = None):
    """One image, question and answer, as transformers' documentation says: a conversation, given to the processor."""
    processor = AutoProcessor.from_pretrained(settings.model)
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    if processor.chat_template is None:
        inputs = processor(images=image, text="<image>" + question, return_tensors="pt")
        inputs.pop("labels", None)
        return inputs
    turns = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": question}]}]
    if answer is not None:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    whole = {"do_image_splitting": False, "do_pan_and_scan": False, "crop_to_patches": False}
    return processor.apply_chat_template(
        turns,
        add_generation_prompt=answer is None,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={key: off for key, off in whole.items() if hasattr(processor.image_processor, key)},
    )


def expected(settings: AnswerSettings, complete, pixels: torch.Tensor, question: str, tokens: list[int]) -> float:
    """By the complete model's own loss with labels for the answer alone: minus its mean, times the tokens."""
    inputs = plain_inputs(settings, pixels, question)
    start, answer = inputs["input_ids"].shape[1], torch.tensor([tokens])
    # PaliGemma calls its answer 1, which sees what is before it; Gemma 3 calls only images so.
    kind = torch.full_like(answer, complete.config.model_type == "paligemma")
    for key, value in (
        ("input_ids", answer),
        ("attention_mask", torch.ones_like(answer)),
        ("token_type_ids", kind),
        ("mm_token_type_ids", torch.zeros_like(answer)),
    ):
        if key in inputs:
            inputs[key] = torch.cat([inputs[key], value.to(inputs[key].dtype)], dim=1)
    labels = inputs["input_ids"].clone()
    labels[:, :start] = -100
    with torch.no_grad():
        loss = complete(**inputs, labels=labels).loss
    return -float(loss) * len(tokens)


def test_a_name_is_what_the_template_puts_after_the_prompt(both):
    settings, complete = both
    facts = load_answers(settings, CLASSES, CPU).describe()
    assert {tokens[-1] for tokens in facts["answer_token_ids"]} <= set(facts["end_token_ids"])
    tokenizer = AutoProcessor.from_pretrained(settings.model).tokenizer
    for name, tokens in zip(NAMES, facts["answer_token_ids"], strict=True):
        if complete.config.model_type in ("llava_onevision", "paligemma"):
            # The one's template has other white space before an answer than in a prompt; the other has no template.
            assert tokens == [*tokenizer(name, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
            continue
        prompt = plain_inputs(settings, random_pixels(1)[0], QUESTION)["input_ids"][0].tolist()
        whole = plain_inputs(settings, random_pixels(1)[0], QUESTION, name)["input_ids"][0].tolist()
        assert whole[: len(prompt) + len(tokens)] == prompt + tokens
        assert tokenizer.added_tokens_decoder[tokens[-1]].special
        assert not any(token in tokenizer.added_tokens_decoder for token in tokens[:-1])


def test_log_likelihoods_are_those_of_the_models_own_loss(both):
    settings, complete = both
    pixels = random_pixels(2)
    encoder = load_answers(settings, CLASSES, CPU)
    found = encoder.encode_images(pixels)[:, : len(NAMES)]
    asked = questions(QUESTION, ["happiness", "anger"], 3)
    assert asked == ["Which expression? happiness, anger", "Which expression? anger, happiness"]
    for row, image in enumerate(pixels):
        for column, tokens in enumerate(encoder.describe()["answer_token_ids"]):
            of_orders = [expected(settings, complete, image, question, tokens) for question in asked]
            assert float(found[row, column]) == pytest.approx(sum(of_orders) / len(of_orders), abs=5e-5)
    assert (found < 0).all()
    assert (found[0] != found[1]).all(), "the image must matter"


def test_one_image_gives_what_a_batch_gives(both):
    encoder, pixels = load_answers(both[0], CLASSES, CPU), random_pixels(8)
    together = encoder.encode_images(pixels)
    alone = torch.cat([encoder.encode_images(one[None]) for one in pixels])
    assert torch.allclose(together, alone, atol=2e-5)
    assert together.shape == (8, 6)


def test_what_is_written_is_what_transformers_generates(both):
    settings, complete = both
    encoder, pixels = load_answers(settings, CLASSES, CPU), random_pixels(3)
    ends = encoder.describe()["end_token_ids"]
    with torch.inference_mode():
        ours = generate_greedily(encoder._read(pixels, encoder._prompts[0]), ends, 10)
    for row, image in enumerate(pixels):
        inputs = plain_inputs(settings, image, questions(QUESTION, ["happiness", "anger"], 1)[0])
        theirs = complete.generate(**inputs, do_sample=False, max_new_tokens=10, eos_token_id=ends)[0]
        tokens = theirs[inputs["input_ids"].shape[1] :].tolist()
        assert ours[row] == tokens[: next((at for at, token in enumerate(tokens) if token in ends), None)]
