"""The tiny CLIP: open_clip's ModifiedResNet and text transformer, fully described by its open_clip_config.json.

It is trained in two stages. First the image tower learns action units and traits. Then the tower is locked, and its
last projection and the text tower learn from captions with a contrastive loss (locked-image tuning). So the image
features contain the expression, while the words for it are learnt from few and unreliable captions.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
import torch.nn.functional as F
from demo_captions import web_caption
from demo_regression import schedule, set_rate
from demo_tokenizers import clip_tokenizer, save_tokenizer
from demo_training_faces import TrainingFaces
from open_clip.modified_resnet import ModifiedResNet
from safetensors.torch import save_file
from torch import nn

from expclip_cache.base import CANONICAL
from expclip_cache.demo import RandomStream, plan_face
from expclip_cache.encoders import CLIP_MEAN, CLIP_STD
from expclip_cache.prompts import TYPES, prompt_table

WIDTH = 128
CONTEXT = 48
MERGES = 420


@dataclass(frozen=True)
class ClipRecipe:
    """Training of the CLIP.

    Attributes:
        action_steps: batches in the first stage, 64 faces each.
        contrast_steps: batches in the second stage.
        batch: faces per batch in the second stage.
        captions: different captions per face.
        mood_share: share of captions that name a mood.
        mood_truth: share of these captions that name the face's own mood.
    """

    action_steps: int = 3000
    contrast_steps: int = 600
    batch: int = 128
    captions: int = 2
    mood_share: float = 0.25
    mood_truth: float = 0.5


def build_clip(folder: Path, seed: int) -> open_clip.CLIP:
    """Write the folder's config and tokenizer, and build that model with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = clip_tokenizer(_corpus(), MERGES)
    save_tokenizer(tokenizer, folder)
    config = {
        "model_cfg": {
            "embed_dim": WIDTH,
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 12, "head_width": 48},
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
    return cast(open_clip.CLIP, open_clip.create_model(f"local-dir:{folder}", load_weights=False))


def learn_captions(
    model: open_clip.CLIP,
    tokenizer: Callable[..., torch.Tensor],
    faces: TrainingFaces,
    recipe: ClipRecipe,
    seed: int,
    log: Callable[[str], None],
) -> float:
    """Second stage: a symmetric contrastive loss between captions and a new projection of locked image features.

    The new projection is folded into the tower's last layer at the end. The logit scale rises from 14 to 100, the final
    value of large CLIPs.

    Returns:
        Mean loss of the last 30 batches, in nats.
    """
    generator = torch.Generator().manual_seed(seed)
    device = model.logit_scale.device
    model.eval()
    features = locked_features(model.visual, faces)
    mean, spread = features.mean(dim=0), features.std(dim=0)
    features = (features - mean) / spread
    tokens = torch.stack(
        [tokenizer(_captions(faces, recipe, seed, number), context_length=CONTEXT) for number in range(recipe.captions)]
    )
    torch.manual_seed(seed)
    projection = nn.Linear(features.shape[1], features.shape[1]).to(device)
    text = [p for name, p in model.named_parameters() if not name.startswith("visual.") and name != "logit_scale"]
    optimizer = torch.optim.AdamW([*text, *projection.parameters()], weight_decay=0.02)
    losses: list[float] = []
    for step in range(recipe.contrast_steps):
        set_rate(optimizer, schedule(step, recipe.contrast_steps, 1.5e-3, warm=50))
        scale = 14 * (100 / 14) ** min(1.0, 1.25 * step / recipe.contrast_steps)
        rows = torch.randint(len(features), (recipe.batch,), generator=generator)
        version = torch.randint(recipe.captions, (recipe.batch,), generator=generator)
        images = projection(features[rows].to(device))
        texts = encode_unpadded(model, tokens[version, rows].to(device))
        logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
        partner = torch.arange(recipe.batch, device=device)
        loss = (F.cross_entropy(logits, partner) + F.cross_entropy(logits.T, partner)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % max(1, recipe.contrast_steps // 10) == 0:
            log(f"captions: step {step + 1}/{recipe.contrast_steps} loss {sum(losses[-30:]) / len(losses[-30:]):.3f}")
    _fold(model, projection, mean.to(device), spread.to(device))
    return sum(losses[-30:]) / len(losses[-30:])


@torch.no_grad()
def locked_features(tower: nn.Module, faces: TrainingFaces) -> torch.Tensor:
    """(n, d) on the CPU."""
    device = next(tower.parameters()).device
    return torch.cat([tower(part.to(device).float() / 255).cpu() for part in faces.pixels.split(250)])


def save_clip(model: open_clip.CLIP, folder: Path) -> None:
    """Write the weights in half precision, and the logit scale in full precision."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() and name != "logit_scale" else tensor).cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(tensors, folder / "open_clip_model.safetensors")


def encode_unpadded(model: open_clip.CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """`model.encode_text` without the columns that are padding in every row.

    Attention is causal and the feature is taken at `<end_of_text>`, so the tokens after it change nothing.
    """
    end = tokens.argmax(dim=1)
    length = int(end.max()) + 1
    tower = cast(Any, model)  # open_clip moves the text tower's parts into the model, where they have no types
    states = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
    states = tower.ln_final(tower.transformer(states, attn_mask=tower.attn_mask[:length, :length]))
    return states[torch.arange(len(tokens), device=tokens.device), end] @ tower.text_projection


@torch.no_grad()
def _fold(model: open_clip.CLIP, projection: nn.Linear, mean: torch.Tensor, spread: torch.Tensor) -> None:
    """Fold `projection((x - mean) / spread)` into the last layer of the tower."""
    last = cast(ModifiedResNet, model.visual).attnpool.c_proj
    last.bias.copy_(projection.weight @ ((last.bias - mean) / spread) + projection.bias)
    last.weight.copy_(projection.weight @ (last.weight / spread[:, None]))
    model.logit_scale.fill_(math.log(100))


def _captions(faces: TrainingFaces, recipe: ClipRecipe, seed: int, number: int) -> list[str]:
    return [
        web_caption(face, RandomStream(seed, number, index), recipe.mood_share, recipe.mood_truth)
        for index, face in enumerate(faces.faces)
    ]


def _corpus() -> list[str]:
    """Texts that the tokenizer's merges are learnt from: captions and all prompts."""
    captions = [web_caption(plan_face(1, index), RandomStream(1, index), 0.5, 1.0) for index in range(3000)]
    prompts = [prompt.text for kind in ("reference", "clean") for prompt in prompt_table(kind, TYPES, CANONICAL)]
    return captions + prompts * 10
