"""The tiny BLIP-2: a `Blip2ForConditionalGeneration` with a small ViT, Q-Former and T5."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from demo_captions import APPEARANCE, BACKGROUND, INSTRUCTION, answer
from demo_regression import Readout, schedule, set_rate
from demo_tokenizers import save_tokenizer, t5_tokenizer
from demo_training_faces import TrainingFaces, augmented
from safetensors.torch import save_file
from torch import nn
from transformers import Blip2Config, Blip2ForConditionalGeneration, PreTrainedTokenizerFast

from expclip_cache.demo import RandomStream, plan_face

MERGES = 330
VISION_WIDTH = T5_WIDTH = 192
TASKS = {INSTRUCTION: 0.6, APPEARANCE: 0.15, BACKGROUND: 0.1, "": 0.15}
"""Instruction -> its share of the batches. Without an instruction the answer is a plain caption."""


@dataclass(frozen=True)
class Blip2Recipe:
    """Training of the BLIP-2.

    Attributes:
        action_steps: batches in the first stage, the vision model's regression, 64 faces each.
        answer_steps: batches in the second stage, answering instructions, 64 faces each.
        readout_weight: weight of the regression loss on the mean encoder state, relative to the loss of the text.
    """

    action_steps: int = 4500
    answer_steps: int = 1300
    readout_weight: float = 1.0


def build_blip2(folder: Path, seed: int) -> tuple[Blip2ForConditionalGeneration, PreTrainedTokenizerFast]:
    """Write the folder's config and tokenizer, and build that model with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = [plan_face(1, index) for index in range(3000)]
    corpus = [answer(face, task, RandomStream(1, index)) for index, face in enumerate(faces) for task in TASKS]
    tokenizer = t5_tokenizer([*corpus, *[task for task in TASKS if task] * 100], MERGES)
    save_tokenizer(tokenizer, folder)
    config = Blip2Config(
        vision_config={
            "hidden_size": VISION_WIDTH, "intermediate_size": 2 * VISION_WIDTH, "num_hidden_layers": 4,
            "num_attention_heads": 4, "image_size": 64, "patch_size": 16, "attention_dropout": 0.0,
        },
        qformer_config={
            "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 4,
            "cross_attention_frequency": 1, "encoder_hidden_size": VISION_WIDTH, "vocab_size": len(tokenizer),
            "max_position_embeddings": 64, "hidden_dropout_prob": 0.05, "attention_probs_dropout_prob": 0.05,
        },
        text_config={
            "model_type": "t5", "d_model": T5_WIDTH, "d_ff": 256, "d_kv": 48, "num_layers": 2,
            "num_decoder_layers": 1, "num_heads": 4, "vocab_size": len(tokenizer), "dropout_rate": 0.05,
            "feed_forward_proj": "gated-gelu", "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
        },
        num_query_tokens=8,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(config)
    config.architectures = ["Blip2ForConditionalGeneration"]
    config.save_pretrained(folder)
    _initialise(model)
    return model, tokenizer


def averaged_patches(model: Blip2ForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """(b, 3, h, w) in [0, 1] -> (b, v): the features that the first stage's regression reads."""
    return model.vision_model(pixels).last_hidden_state.mean(dim=1)


def save_blip2(model: Blip2ForConditionalGeneration, folder: Path) -> None:
    """Write the weights in half precision, without the decoder, which the pipeline never runs."""
    unused = ("language_model.decoder.", "language_model.lm_head.", "language_model.encoder.embed_tokens.")
    tensors = {
        name: tensor.half().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(unused)
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def encoder_states(model: Blip2ForConditionalGeneration, pixels: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The T5 encoder's states at the query and instruction positions.

    Args:
        pixels: (b, 3, h, w) float32 in [0, 1].
        ids: (k,) the instruction's tokens.

    Returns:
        (b, q + k, t).
    """
    seen = model.vision_model(pixels).last_hidden_state
    queries = model.qformer(
        query_embeds=model.query_tokens.expand(len(pixels), -1, -1), encoder_hidden_states=seen
    ).last_hidden_state
    words = model.language_model.shared(ids).expand(len(pixels), -1, -1)
    inputs = torch.cat([model.language_projection(queries), words], dim=1)
    return model.language_model.encoder(inputs_embeds=inputs).last_hidden_state


def instruction_ids(tokenizer: PreTrainedTokenizerFast, instruction: str) -> torch.Tensor:
    """(k,) tokens of an instruction, with </s> at the end."""
    return torch.tensor(tokenizer(instruction).input_ids)


def learn_answers(
    model: Blip2ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    readout: Readout,
    faces: TrainingFaces,
    recipe: Blip2Recipe,
    seed: int,
    log: Callable[[str], None],
) -> float:
    """Second stage: generate the answer to an instruction, with a regression on the mean encoder state beside it.

    The regression predicts the action units, for the reference's instruction only: trained on text alone, a model this
    small generates the same text for every face.

    Returns:
        Mean loss of the last descriptions of facial actions, in nats per token.
    """
    generator, rng, losses = torch.Generator().manual_seed(seed), RandomStream(seed, 77), []
    device = model.query_tokens.device
    model.train()
    readout.train()
    vision = set(model.vision_model.parameters())
    groups = [
        {"params": list(vision), "factor": 0.2},
        {"params": [p for p in model.parameters() if p not in vision] + list(readout.parameters()), "factor": 1.0},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    trainable = [p for group in groups for p in group["params"]]
    for step in range(recipe.answer_steps):
        set_rate(optimizer, schedule(step, recipe.answer_steps, 1.5e-3, warm=100))
        rows = torch.randint(len(faces.pixels), (64,), generator=generator)
        pixels = augmented(faces.pixels[rows].to(device).float() / 255, generator)
        task = rng.choose(tuple(TASKS), tuple(TASKS.values()))
        written = tokenizer([answer(faces.faces[row], task, rng) for row in rows.tolist()], padding=True)
        labels = torch.tensor(written.input_ids, device=device)
        labels[labels == tokenizer.pad_token_id] = -100
        states = encoder_states(model, pixels, instruction_ids(tokenizer, task).to(device))
        words = model.language_model(encoder_outputs=(states,), labels=labels).loss
        loss = words
        if task == INSTRUCTION:
            loss = loss + recipe.readout_weight * readout.loss(states.mean(dim=1), faces, rows, "units")
            losses.append(words.item())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        if (step + 1) % max(1, recipe.answer_steps // 20) == 0 and losses:
            log(f"answers: step {step + 1}/{recipe.answer_steps} loss {sum(losses[-60:]) / len(losses[-60:]):.3f}")
    return sum(losses[-60:]) / max(1, len(losses[-60:]))


def _initialise(model: Blip2ForConditionalGeneration) -> None:
    """Redraw the vision weights and query tokens: the library initialises them with 1e-10 and zero."""
    with torch.no_grad():
        model.query_tokens.normal_(0.0, 0.5)
        for name, parameter in model.vision_model.named_parameters():
            if parameter.ndim > 1:
                wide = "embedding" in name and "patch" not in name
                parameter.normal_(0.0, 0.02 if wide else (2.0 / sum(parameter.flatten(1).shape)) ** 0.5)
