"""What a frozen language model makes of a text after a prompt that it has read once: likelihoods and greedy generation.

prompt -> model -> keys and values of all layers, logits of the first token
a name's tokens, after copies of these -> model -> logits of the tokens that follow
"""

from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from transformers import Cache

Step = Callable[[torch.Tensor, Cache], torch.Tensor]
"""Runs the model on the next tokens (b, k), adds them to the cache, and gives the logits (b, k, vocabulary)."""


@dataclass(frozen=True)
class ReadPrompt:
    """A batch of prompts of the same length, as the model has read them.

    Attributes:
        logits: (b, vocabulary) of the token after the prompt.
        cache: keys and values of the prompt; copied before it is extended.
        step: continues the model.
    """

    logits: torch.Tensor
    cache: Cache
    step: Step


def log_likelihoods(prompt: ReadPrompt, answers: Sequence[Sequence[int]]) -> torch.Tensor:
    """The log-likelihood of each answer after each prompt, summed over its tokens.

    Args:
        answers: m answers, each of one token or more, the one that ends them included.

    Returns:
        (b, m) float32, in nats.
    """
    first = torch.log_softmax(prompt.logits.float(), dim=-1)
    columns = []
    for tokens in answers:
        total = first[:, tokens[0]]
        if len(tokens) > 1:
            given = torch.tensor(tokens[:-1], device=first.device).expand(len(first), -1)
            following = torch.tensor(tokens[1:], device=first.device).expand(len(first), -1)
            logits = prompt.step(given, deepcopy(prompt.cache))
            of_tokens = torch.log_softmax(logits.float(), dim=-1).gather(2, following[..., None])
            total = total + of_tokens.sum(dim=(1, 2))
        columns.append(total)
    return torch.stack(columns, dim=1)


def generate_greedily(prompt: ReadPrompt, ends: Collection[int], most: int) -> list[list[int]]:
    """The likeliest token after each prompt, and after each that was written.

    Args:
        ends: tokens that end an answer; they are not part of it.
        most: tokens of an answer.

    Returns:
        The tokens of b answers.
    """
    cache, logits = deepcopy(prompt.cache), prompt.logits
    written: list[list[int]] = [[] for _ in range(len(logits))]
    going = set(range(len(written)))
    for number in range(most):
        tokens = logits.argmax(dim=-1)
        for row, token in enumerate(tokens.tolist()):
            if token in ends:
                going.discard(row)
            elif row in going:
                written[row].append(token)
        if not going or number == most - 1:
            break
        logits = prompt.step(tokens[:, None], cache)[:, -1]
    return written
