"""From what a model makes of the question in several orders to a row of a cache of answers."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from expclip_cache.encoders.answer_texts import named
from expclip_cache.encoders.continuation import ReadPrompt, generate_greedily, log_likelihoods
from expclip_cache.encoders.ordinary_tensor import ordinary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MORE_TOKENS = 8
"""How many more tokens than the longest name has may be written."""


class AnswerRows:
    """A row has m log-likelihoods in nats and, if an answer is written too, m more numbers: 1 for the name it gives.

    Attributes:
        vectors: v, 1 or 2.
        facts: of the encoder, as JSON values.
    """

    def __init__(
        self,
        names: Sequence[str],
        answers: Sequence[Sequence[int]],
        ends: Collection[int],
        tokenizer: "PreTrainedTokenizerBase",
        generate: bool,
    ):
        """Prepare.

        Args:
            names: m names.
            answers: their tokens, the one that ends an answer included.
            ends: tokens that end a written answer.
            tokenizer: of the model.
            generate: whether an answer is written too.
        """
        self._names, self._answers, self._ends, self._tokenizer = names, answers, ends, tokenizer
        self._generate = generate
        self.vectors = 2 if generate else 1
        self.facts: dict[str, Any] = {
            "width": len(names),
            **({"vectors": 2} if generate else {}),
            "tokens": [len(tokens) for tokens in answers],
            "answer_token_ids": [list(tokens) for tokens in answers],
        }

    def of(self, prompts: Iterable[ReadPrompt]) -> torch.Tensor:
        """(b, v * m) float32: the mean over the orders of the log-likelihoods, and what is written in the first order.

        Args:
            prompts: the question in each order; one at a time is in memory.
        """
        found, written = [], None
        for prompt in prompts:
            found.append(log_likelihoods(prompt, self._answers))
            if self._generate and written is None:
                written = self._written(prompt)
        columns = [torch.stack(found).mean(dim=0), *([] if written is None else [written])]
        return ordinary(torch.cat(columns, dim=1))

    def _written(self, prompt: ReadPrompt) -> torch.Tensor:
        """(b, m): 1 for the name that the written answer gives."""
        most = max(map(len, self._answers)) + MORE_TOKENS
        numbers = torch.zeros(len(prompt.logits), len(self._names), device=prompt.logits.device)
        for row, tokens in enumerate(generate_greedily(prompt, self._ends, most)):
            name = named(str(self._tokenizer.decode(tokens, skip_special_tokens=True)), self._names)
            if name is not None:
                numbers[row, name] = 1
        return numbers
