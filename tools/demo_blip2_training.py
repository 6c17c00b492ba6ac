"""Training of the tiny BLIP-2's second stage: to write the answer to an instruction, and to hold it in its states."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from demo_answer_targets import CONSTANT, UNASKED, Embedding, Leak, fit_embedding, standard_factors, unasked
from demo_blip2_model import T5_WIDTH, encoder_states, mean_states, query_inputs
from demo_captions import answer
from demo_instructions import INSTRUCTIONS, Topic, draw_instruction
from demo_regression import schedule, set_rate
from demo_training_faces import TrainingFaces, augmented
from torch import nn
from transformers import Blip2ForConditionalGeneration, PreTrainedTokenizerFast

from expclip_cache.demo import RandomStream

FIRST_SHARE = 0.12
"""Share of the batches before topics other than the actions have targets."""

QUERIES: dict[Topic, list[int]] = {"action": [0, 1, 2], "appearance": [3, 4, 5], "background": [6, 7]}
"""Topic -> the queries that are to hold its factors."""

SHARES: dict[Topic, float] = {"action": 3, "appearance": 2, "background": 1.5, "caption": 2, "expression": 1}
"""How often a topic is one of the two that a batch is asked about."""


@dataclass(frozen=True)
class Blip2Recipe:
    """Training of the BLIP-2.

    Attributes:
        action_steps: batches in the first stage, the vision model's regression, 64 faces each.
        answer_steps: batches in the second stage, answering instructions, 64 faces each.
        rate: peak learning rate of the second stage; the vision model's is a fifth of it.
        leak_weight: weight of the loss on what was not asked for, relative to that of the distance to the targets.
    """

    action_steps: int = 4500
    answer_steps: int = 1600
    rate: float = 1e-3
    leak_weight: float = 10.0


def learn_answers(
    model: Blip2ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    faces: TrainingFaces,
    recipe: Blip2Recipe,
    seed: int,
    check: Callable[[int, float, dict[Topic, Embedding]], None],
) -> float:
    """Second stage: write the answer to an instruction, and hold its content in the mean encoder state.

    Trained on text alone, a model this small writes the same text for every face. The instruction's wording is drawn
    for every batch. Dropout is off: at this size it hides the differences between faces.

    Args:
        check: called about every tenth of the batches with their number so far, the mean loss of the descriptions
            of facial actions, and the embeddings.

    Returns:
        Mean loss of the last descriptions of facial actions, in nats per token.
    """
    generator, rng, losses = torch.Generator().manual_seed(seed), RandomStream(seed, 77), []
    device = model.query_tokens.device
    factors = {topic: each.to(device) for topic, each in standard_factors(faces.faces, faces.faces).items()}
    left_out = {topic: unasked(factors, topic) for topic in factors}
    leaks = {topic: Leak() for topic in factors}
    embeddings: dict[Topic, Embedding] = {}

    def embed(topics: Iterable[Topic]) -> None:
        some = faces.pixels[:4000]
        for topic in topics:
            means = mean_states(model, tokenizer, some, INSTRUCTIONS[topic].main)
            embeddings[topic] = fit_embedding(factors[topic][: len(some)], means)

    embed(["action"])
    readouts = nn.ModuleDict(
        {
            topic: nn.Sequential(nn.BatchNorm1d(T5_WIDTH, affine=False), nn.Linear(T5_WIDTH, asked.shape[1]))
            for topic, asked in factors.items()
        }
    ).to(device)
    query_readouts = nn.ModuleDict(
        {
            topic: nn.Sequential(
                nn.Flatten(),
                nn.LayerNorm(len(places) * T5_WIDTH),
                nn.Linear(len(places) * T5_WIDTH, factors[topic].shape[1]),
            )
            for topic, places in QUERIES.items()
        }
    ).to(device)
    vision = set(model.vision_model.parameters())
    rest = [p for p in [*model.parameters(), *readouts.parameters(), *query_readouts.parameters()] if p not in vision]
    optimizer = torch.optim.AdamW(
        [{"params": list(vision), "factor": 0.2}, {"params": rest, "factor": 1.0}], weight_decay=0.02
    )
    for step in range(recipe.answer_steps):
        set_rate(optimizer, schedule(step, recipe.answer_steps, recipe.rate, warm=100))
        rows = torch.randint(len(faces.pixels), (64,), generator=generator)
        pixels = augmented(faces.pixels[rows].to(device).float() / 255, generator)
        share = step / recipe.answer_steps
        if share >= FIRST_SHARE and len(embeddings) == 1:
            embed([topic for topic in UNASKED if topic != "action"])
        later = min(1.0, max(0.0, (share - FIRST_SHARE) / 0.3))
        total = torch.zeros((), device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            queries = query_inputs(model, pixels)
        for topic, places in QUERIES.items():
            total = total + F.mse_loss(query_readouts[topic](queries[:, places].float()), factors[topic][rows])
        for topic in _two_topics(rng):
            ids = torch.tensor(tokenizer(draw_instruction(topic, rng)).input_ids, device=device)
            written = tokenizer([answer(faces.faces[row], topic, rng) for row in rows.tolist()], padding=True)
            labels = torch.tensor(written.input_ids, device=device)
            labels[labels == tokenizer.pad_token_id] = -100
            with torch.autocast(device.type, dtype=torch.bfloat16):
                states = encoder_states(model, queries, ids)
                logits = model.language_model(encoder_outputs=(states,), labels=labels).logits
            words = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
            total = total + words
            if topic in factors:
                means, asked = states.float().mean(dim=1), factors[topic][rows]
                total = total + F.mse_loss(readouts[topic](means), asked)
                if topic in embeddings:
                    beyond = embeddings[topic].beyond(means, asked, constant_at(share))
                    distance, leak = beyond.square().sum(dim=1).mean(), leaks[topic](beyond, left_out[topic][rows])
                    weight = 1.0 if topic == "action" else later
                    total = total + weight * distance + recipe.leak_weight * later * leak
            if topic == "action":
                losses.append(words.item())
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % max(1, recipe.answer_steps // 10) == 0:
            check(step + 1, sum(losses[-60:]) / max(1, len(losses[-60:])), embeddings)
    return sum(losses[-60:]) / len(losses[-60:])


def missed_and_leaked(
    means: torch.Tensor, embedding: Embedding, asked: torch.Tensor, left_out: torch.Tensor, constant: float
) -> tuple[float, float]:
    """How far mean encoder states (n, t) of other faces are from their targets.

    Returns:
        The share of the content's variance that they miss, and the variance, relative to the content's, that the
        unasked factors explain linearly in what is beyond the targets.
    """
    beyond = embedding.beyond(means, asked, constant)
    beyond = beyond - beyond.mean(dim=0)
    explained = left_out @ torch.linalg.lstsq(left_out, beyond, driver="gelsd").solution
    return float(beyond.var(dim=0).sum()), float(explained.var(dim=0).sum())


def constant_at(share: float) -> float:
    """Value of r after a share of the batches: 0 at first, then rising, and constant in the end."""
    return CONSTANT * min(1.0, max(0.0, (share - 0.42) / 0.3))


def _two_topics(rng: RandomStream) -> tuple[Topic, Topic]:
    first = rng.choose(tuple(SHARES), tuple(SHARES.values()))
    others: dict[Topic, float] = {topic: share for topic, share in SHARES.items() if topic != first}
    return first, rng.choose(tuple(others), tuple(others.values()))
