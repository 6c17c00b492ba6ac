"""The whole frozen BLIP-2 (or InstructBLIP) with its T5 decoder: an image -> how likely each name is as the answer.

    image -> vision model -> Q-Former -> projection -> q query positions -┐
    question -> T5's token embeddings --------------> k token positions --┴-> T5 encoder -> states
    <start>, a name's tokens ---------------------> T5 decoder over these states -> log-likelihood of the name

The question lists the names in several orders. What is cached is the mean over the orders of each name's
log-likelihood, summed over its tokens, </s> included.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from transformers import Cache, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from expclip_cache.encoders.answer_rows import AnswerRows
from expclip_cache.encoders.answer_settings import AnswerSettings
from expclip_cache.encoders.answer_texts import questions
from expclip_cache.encoders.blip2_queries import patches, projected_queries
from expclip_cache.encoders.blip2_t5 import load_tokenizer, square_side, token_ids
from expclip_cache.encoders.continuation import ReadPrompt
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.libraries import LLM_LIBRARIES, loaded_libraries
from expclip_cache.encoders.llm_files import find_llm_files
from expclip_cache.encoders.packed_linear import can_pack, pack_linears
from expclip_cache.encoders.preprocess import Preprocess, preprocess, to_float
from expclip_cache.encoders.t5_targets import InstructBlipAnswers, load_answering, typed_config


class T5Answers:
    """A frozen BLIP-2 or InstructBLIP that is asked for the class of an image.

    Attributes:
        width: m, the names.
        vectors: 2 if it also writes an answer, else 1.
        image_size: side of the square that the vision model takes, in pixels.
        device: where the model runs.
        preprocess: how an image becomes the pixels that `encode_images` takes.
    """

    def __init__(
        self, settings: AnswerSettings, classes: Sequence[str], device: torch.device, commits: Sequence[str] = ()
    ):
        files = find_llm_files(settings, commits)
        model = load_answering(files, settings.precision)
        cast(nn.Module, model).to(device)  # the library's own `to` has no usable types
        if settings.precision == "fp32" and can_pack(device):
            pack_linears(model)
        if device.type == "cpu":
            keep_freed_memory()
        config = typed_config(model.config)
        called = settings.names_of(classes)
        self._model, self.device = model, device
        self._mixed = settings.precision == "reference"
        self.image_size = square_side(config.vision_config.image_size)
        self.preprocess: Preprocess = preprocess(settings.preprocess, self.image_size, settings.decode)
        asked = questions(settings.question, [names[0] for names in called.values()], settings.orders)
        tokenizer = load_tokenizer(files.folder)
        self._questions = [token_ids(tokenizer, text) for text in asked]
        self._qformer_questions: list[torch.Tensor | None] = [None] * len(asked)
        if isinstance(model, InstructBlipAnswers):
            of_qformer = load_tokenizer(files.folder / "qformer_tokenizer")
            self._qformer_questions = [token_ids(of_qformer, text).to(device) for text in asked]
        names = [name for each in called.values() for name in each]
        # The tokenizer ends every text with </s>, which ends an answer.
        answers = [token_ids(tokenizer, name)[0].tolist() for name in names]
        self._rows = AnswerRows(names, answers, {answers[0][-1]}, tokenizer, settings.generate)
        self.width, self.vectors = len(names), self._rows.vectors
        self._facts = {
            **files.hashes(),
            **self._rows.facts,
            "image_size": self.image_size,
            "model_type": config.model_type,
            "query_tokens": config.num_query_tokens,
            "question_token_ids": [ids[0].tolist() for ids in self._questions],
            "vision_layer_norm_eps": config.vision_config.layer_norm_eps,
            "t5_activation": config.text_config.dense_act_fn,
            "library": loaded_libraries(LLM_LIBRARIES, files.commits),
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
            ValueError: the pixels have another shape or dtype.
        """
        with torch.inference_mode():
            values = to_float(pixels.to(self.device, non_blocking=True), self.preprocess)
            seen = patches(self._model, values, mixed=self._mixed)
            asked = zip(self._questions, self._qformer_questions, strict=True)
            return self._rows.of(self._read(seen, question, for_qformer) for question, for_qformer in asked)

    def _read(self, seen: torch.Tensor, question: torch.Tensor, for_qformer: torch.Tensor | None) -> ReadPrompt:
        """Encode image and question, and run the decoder on its start token."""
        language = self._model.language_model
        words = language.shared(question.to(self.device)).expand(len(seen), -1, -1)
        queries = projected_queries(self._model, seen, for_qformer)
        states = language.encoder(inputs_embeds=torch.cat([queries.to(words.dtype), words], dim=1)).last_hidden_state

        def step(tokens: torch.Tensor, cache: Cache) -> torch.Tensor:
            return language(
                encoder_outputs=BaseModelOutput(states), decoder_input_ids=tokens, past_key_values=cache, use_cache=True
            ).logits

        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        start = torch.full((len(seen), 1), language.config.decoder_start_token_id, device=self.device)
        return ReadPrompt(step(start, cast(Cache, cache))[:, -1], cast(Cache, cache), step)
