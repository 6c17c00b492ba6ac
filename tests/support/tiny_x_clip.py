"""A tiny X-CLIP of transformers' own class, with random weights, in a folder as its makers publish one."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import XCLIPConfig, XCLIPModel

from expclip_cache.encoders.settings import ClipSettings
from tiny_encoders import SIZE, write_tokenizer

FRAMES, D = 4, 16


def x_clip_config() -> XCLIPConfig:
    """Four frames of 16 patches, a text tower that ends at the highest token, as CLIP's."""
    return XCLIPConfig(
        text_config={
            "vocab_size": 64,
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 12,
            "eos_token_id": 63,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "mit_hidden_size": D,
            "mit_intermediate_size": 32,
            "mit_num_hidden_layers": 1,
            "mit_num_attention_heads": 2,
            "image_size": SIZE,
            "patch_size": 7,
            "num_frames": FRAMES,
        },
        projection_dim=D,
        prompt_layers=2,
        # Large enough for a clip to change which class a text stands for.
        prompt_alpha=0.8,
        prompt_num_attention_heads=4,
    )


def write_x_clip(folder: Path, words: Sequence[str] = ()) -> ClipSettings:
    """The folder of a tiny X-CLIP.

    Args:
        words: of the tokenizer, beside those of `tiny_encoders`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(6)
    model = XCLIPModel(x_clip_config())
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
        elif "bias" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    write_tokenizer(folder, ["<pad>", "<unk>", "<start>"], "<start> $A <end>")
    preprocessor = {
        "image_processor_type": "VideoMAEImageProcessor",
        "size": {"shortest_edge": SIZE},
        "crop_size": {"height": SIZE, "width": SIZE},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 2,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return ClipSettings(kind="x-clip", model=str(folder))
