"""The whole frozen image-text model of transformers: an image -> how likely each name is as the answer to a question.

    image and question -> chat template, processor -> one pass over the prompt -> keys and values, first logits
    a name's tokens, after copies of these ---------> log-likelihood of the name

The question lists the names in several orders. A name's tokens are what the chat template puts after the prompt when
the model answers with it, up to the token that ends its turn; a model without a template answers with the name and its
end token. What is cached is the mean over the orders of each name's log-likelihood, summed over these tokens.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers import Cache

from expclip_cache.encoders.answer_rows import AnswerRows
from expclip_cache.encoders.answer_settings import AnswerSettings
from expclip_cache.encoders.answer_texts import questions
from expclip_cache.encoders.continuation import ReadPrompt
from expclip_cache.encoders.libraries import VLM_LIBRARIES, loaded_libraries
from expclip_cache.encoders.preprocess import Preprocess, check_pixels, preprocess
from expclip_cache.encoders.vlm_files import find_vlm_files
from expclip_cache.encoders.vlm_inputs import VlmInputs
from expclip_cache.encoders.vlm_model import build_vlm, read_vlm_config
from expclip_cache.encoders.vlm_parts import language_model


class VlmAnswers:
    """A frozen image-text model that is asked for the class of an image.

    Attributes:
        width: m, the names.
        vectors: 2 if it also writes an answer, else 1.
        image_size: side of the square that the model's own processor takes, in pixels.
        device: where its inputs go.
        preprocess: how an image becomes the pixels that `encode_images` takes.
    """

    def __init__(
        self, settings: AnswerSettings, classes: Sequence[str], device: torch.device, commits: Sequence[str] = ()
    ):
        files = find_vlm_files(settings, commits)
        config = read_vlm_config(files)
        called = settings.names_of(classes)
        names = [name for each in called.values() for name in each]
        self._model = build_vlm(config, files, settings, device, head=True)
        self._inputs = VlmInputs(config, files, settings)
        asked = questions(settings.question, [each[0] for each in called.values()], settings.orders)
        self._prompts = [self._inputs.prompt(text) for text in asked]
        tokenizer = self._inputs.processor.tokenizer
        ends = {tokenizer.eos_token_id, *_as_list(self._model.generation_config.eos_token_id)} - {None}
        answers = [answer_tokens(self._inputs, asked[0], name, ends) for name in names]
        ends |= {tokens[-1] for tokens in answers}
        self._rows = AnswerRows(names, answers, ends, tokenizer, settings.generate)
        self.device, self.image_size = device, settings.image_size
        self.width, self.vectors = len(names), self._rows.vectors
        self.preprocess: Preprocess = preprocess(settings.preprocess, self.image_size, settings.decode)
        self._facts = {
            **files.hashes(),
            **self._rows.facts,
            "image_size": self.image_size,
            "model_type": config.model_type,
            "prompts": self._prompts,
            "end_token_ids": sorted(ends),
            "chat_template_sha256": self._inputs.template_sha256,
            "attention_backend": language_model(self._model).module.config._attn_implementation,
            "library": loaded_libraries(VLM_LIBRARIES, files.commits),
        }

    def describe(self) -> dict[str, Any]:
        """The facts about the loaded encoder, as JSON values."""
        return dict(self._facts)

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """How likely each name is as the answer, see `AnswerRows`.

        Args:
            pixels: (b, 3, h, w) uint8, h = w = `image_size`, as `read_pixels(path, self.preprocess)` makes them.

        Returns:
            (b, v * m) float32 on `device`.

        Raises:
            EncoderError: the model's processor refuses them.
            ValueError: the pixels have another shape or dtype.
        """
        check_pixels(pixels, self.preprocess)
        pixels = pixels.to(self.device, non_blocking=True)
        with torch.inference_mode():
            return self._rows.of(self._read(pixels, prompt) for prompt in self._prompts)

    def _read(self, pixels: torch.Tensor, prompt: str) -> ReadPrompt:
        """Run the model over image and question; every row has the same length, so that there is no padding."""
        inputs = self._inputs(pixels, [prompt] * len(pixels))
        output = self._model(**inputs, use_cache=True, logits_to_keep=1)

        def step(tokens: torch.Tensor, cache: Cache) -> torch.Tensor:
            return self._model(input_ids=tokens, past_key_values=cache, use_cache=True).logits

        return ReadPrompt(output.logits[:, -1], cast(Cache, output.past_key_values), step)


def answer_tokens(inputs: VlmInputs, question: str, name: str, ends: set[int]) -> list[int]:
    """The tokens of a name after the prompt, up to the one that ends the model's turn.

    They are those that the tokenizer gives to prompt and name together where these begin with the prompt's, and else
    those of the name alone: a prompt is not tokenised in another way because of what follows it.
    """
    tokenizer = inputs.processor.tokenizer
    prompt, name_text = inputs.prompt(question), inputs.answer(question, name)

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False).input_ids

    before, both = ids(prompt), ids(prompt + name_text)
    tokens = both[len(before) :] if both[: len(before)] == before else ids(name_text)
    stops = ends | {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    length = next((place for place, token in enumerate(tokens) if token in stops), None)
    return [*tokens, tokenizer.eos_token_id] if length is None else tokens[: length + 1]


def _as_list(ids: int | list[int] | None) -> list[int]:
    return [] if ids is None else [ids] if isinstance(ids, int) else ids
