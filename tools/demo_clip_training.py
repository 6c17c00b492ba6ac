"""The tiny CLIP: an open_clip ModifiedResNet and text transformer that its config.json alone describes."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from demo_captions import web_caption
from demo_regression import Readout, learn_actions, schedule, set_rate, unexplained
from demo_tokenizers import clip_tokenizer, save_tokenizer
from demo_training_faces import TrainingFaces, augmented
from safetensors.torch import save_file
from torch import nn

from pipeline.classes import CANONICAL
from pipeline.demo.dice import Dice
from pipeline.images import CLIP_MEAN, CLIP_STD
from pipeline.prompts import TYPES, prompt_table

CONTEXT = 48
MERGES = 420


@dataclass(frozen=True)
class ClipRecipe:
    """How the CLIP is trained.

    Attributes:
        action_steps: batches of the first lesson, 64 faces each.
        contrast_steps: batches of contrast.
        batch: faces per contrast batch.
        mood_share: share of captions that name a mood.
        mood_truth: share of these that name the face's own.
        unit_weight: weight of the action unit loss that stays on during contrast.
        captions: captions written per face, each with other words.
    """

    action_steps: int = 4000
    contrast_steps: int = 1200
    batch: int = 256
    mood_share: float = 0.3
    mood_truth: float = 0.6
    unit_weight: float = 0.05
    captions: int = 4


def build_clip(folder: Path, seed: int) -> nn.Module:
    """Write the folder's config and tokenizer, and build the model of random weights that they describe."""
    folder.mkdir(parents=True, exist_ok=True)
    faces_words = _corpus()
    tokenizer = clip_tokenizer(faces_words, MERGES)
    save_tokenizer(tokenizer, folder)
    config = {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": len(tokenizer),
                "width": 96,
                "heads": 3,
                "layers": 2,
                "hf_tokenizer_name": "demo",
            },
        },
        "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    torch.manual_seed(seed)
    return open_clip.create_model(f"local-dir:{folder}", load_weights=False)


def train_clip(
    model: nn.Module,
    tokenizer: Callable[..., torch.Tensor],
    faces: TrainingFaces,
    held_out: TrainingFaces,
    recipe: ClipRecipe,
    seed: int,
    log: Callable[[str], None],
) -> dict[str, float]:
    """First lesson, then image-text contrast; returns the figures for the model card."""
    generator = torch.Generator().manual_seed(seed)
    device = model.logit_scale.device
    tower, readout = model.visual, Readout(model.visual.output_dim, faces).to(device)
    figures = {
        "action loss": learn_actions(
            tower, nn.ModuleList([tower]), readout, faces, recipe.action_steps, 64, 2e-3, generator, log
        )
    }
    tokens = torch.cat(
        [tokenizer(_captions(faces, recipe, seed, number), context_length=CONTEXT) for number in range(recipe.captions)]
    )
    tokens = tokens.view(recipe.captions, len(faces.pixels), CONTEXT)
    figures["contrast loss"] = _contrast(model, readout, tokens, faces, recipe, generator, log)
    model.eval()
    readout.eval()
    figures["units missed"], figures["traits missed"] = unexplained(tower, readout, held_out)
    return figures


def save_clip(model: nn.Module, folder: Path) -> None:
    """Write the weights in half precision."""
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()
    }
    tensors["logit_scale"] = model.logit_scale.detach().float()
    save_file(
        {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, folder / "open_clip_model.safetensors"
    )


def _contrast(
    model: nn.Module,
    readout: Readout,
    tokens: torch.Tensor,
    faces: TrainingFaces,
    recipe: ClipRecipe,
    generator: torch.Generator,
    log: Callable[[str], None],
) -> float:
    """Symmetric contrast; the logit scale is led from 14 to 100, where large CLIPs arrive."""
    device = model.logit_scale.device
    model.train()
    visual = set(model.visual.parameters())
    rest = [p for p in model.parameters() if p not in visual and p is not model.logit_scale]
    groups = [
        {"params": [*model.visual.parameters(), *readout.parameters()], "factor": 0.4},
        {"params": rest, "factor": 1.0},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    losses: list[float] = []
    for step in range(recipe.contrast_steps):
        set_rate(optimiser, schedule(step, recipe.contrast_steps, 1e-3, warm=50))
        with torch.no_grad():
            share = min(1.0, 1.25 * step / recipe.contrast_steps)
            model.logit_scale.fill_(math.log(14) + (math.log(100) - math.log(14)) * share)
        rows = torch.randint(len(faces.pixels), (recipe.batch,), generator=generator)
        version = torch.randint(len(tokens), (recipe.batch,), generator=generator)
        pixels = augmented(faces.pixels[rows].to(device).float() / 255, generator)
        images = model.visual(pixels.contiguous(memory_format=torch.channels_last))
        texts = encode_short(model, tokens[version, rows].to(device))
        logits = model.logit_scale.exp().detach() * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
        partner = torch.arange(len(rows), device=device)
        contrast = (F.cross_entropy(logits, partner) + F.cross_entropy(logits.T, partner)) / 2
        loss = contrast + recipe.unit_weight * readout.loss(images, faces, rows, units_only=True)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(contrast.item())
        if (step + 1) % max(1, recipe.contrast_steps // 20) == 0:
            recent = losses[-max(1, recipe.contrast_steps // 20) :]
            log(f"  contrast: step {step + 1}/{recipe.contrast_steps} loss {sum(recent) / len(recent):.3f}")
    recent = losses[-max(1, recipe.contrast_steps // 20) :]
    return sum(recent) / len(recent)


def encode_short(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """`model.encode_text` without the columns that are padding in every row.

    Attention is causal and the feature is read at `<end_of_text>`, so what follows it changes nothing.
    """
    length = int(tokens.argmax(dim=1).max()) + 1
    tokens = tokens[:, :length]
    states = model.token_embedding(tokens) + model.positional_embedding[:length]
    states = model.ln_final(model.transformer(states, attn_mask=model.attn_mask[:length, :length]))
    return states[torch.arange(len(tokens)), tokens.argmax(dim=1)] @ model.text_projection


def _captions(faces: TrainingFaces, recipe: ClipRecipe, seed: int, number: int) -> list[str]:
    return [
        web_caption(face, Dice(seed, number, index), recipe.mood_share, recipe.mood_truth)
        for index, face in enumerate(faces.faces)
    ]


def _corpus() -> list[str]:
    """Texts the tokenizer's merges are learnt from: captions of every kind and all prompts."""
    from pipeline.demo.sets import plan_face

    captions = [web_caption(plan_face(1, index), Dice(1, index), 0.5, 1.0) for index in range(3000)]
    prompts = [prompt.text for kind in ("reference", "clean") for prompt in prompt_table(kind, TYPES, CANONICAL)]
    return captions + prompts * 10
