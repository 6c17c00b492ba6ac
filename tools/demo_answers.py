"""The tiny BLIP-2's own answers to the question for the expression: log-likelihoods of the classes' names."""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from demo_blip2_model import encoder_states, query_inputs
from demo_instructions import ask_expression
from transformers import AutoTokenizer, Blip2ForConditionalGeneration, PreTrainedTokenizerFast

from expclip_cache.demo import EXPRESSIONS, RandomStream

ORDERS = 3
"""Orders of the options over which log-likelihoods are averaged."""


class AnsweringBlip2:
    """The complete model of a folder, with its decoder."""

    def __init__(self, folder: Path):
        """Load it in full precision."""
        self._model = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self._tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder))

    @torch.inference_mode()
    def name_scores(self, pixels: torch.Tensor, question: str, frames: int = 1) -> np.ndarray:
        """(n, c) log-likelihoods of the classes' names as the answer, means over the frames of a clip.

        Args:
            pixels: (n * frames, 3, h, w) uint8.
            question: with a place for the options.
            frames: of an item.
        """
        scores = np.concatenate([self._name_scores(part, question) for part in pixels.split(250)])
        return scores.reshape(-1, frames, len(EXPRESSIONS)).mean(axis=1)

    def _name_scores(self, pixels: torch.Tensor, question: str) -> np.ndarray:
        queries = query_inputs(self._model, pixels.float() / 255)
        scores = torch.zeros(len(pixels), len(EXPRESSIONS))
        for order in range(ORDERS):
            states = self._states(queries, ask_expression(question, RandomStream(5, order)))
            scores += torch.stack([self._score(states, name) for name in EXPRESSIONS], dim=1) / ORDERS
        return scores.numpy()

    def _score(self, states: torch.Tensor, answer: str) -> torch.Tensor:
        """(n,) log-likelihoods of an answer with its </s>."""
        labels = torch.tensor(self._tokenizer(answer).input_ids).repeat(len(states), 1)
        logits = self._model.language_model(encoder_outputs=(states,), labels=labels).logits
        return logits.log_softmax(dim=2).gather(2, labels[:, :, None]).sum(dim=(1, 2))

    def _states(self, queries: torch.Tensor, instruction: str) -> torch.Tensor:
        return encoder_states(self._model, queries, torch.tensor(self._tokenizer(instruction).input_ids))
