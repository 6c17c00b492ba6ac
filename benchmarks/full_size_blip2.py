"""BLIP-2 with Flan-T5-XXL by its published sizes, as a folder that needs no model hub, for timing."""

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from transformers import Blip2Config, Blip2QFormerConfig, Blip2VisionConfig, T5Config

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def write_full_size_blip2(folder: Path, layers: int | None = None) -> None:
    """Write the config of EVA ViT-g, a Q-Former of BERT's size and Flan-T5-XXL, and the demo's tokenizer.

    The instruction has other tokens than with T5's own vocabulary, and about as many.

    Args:
        layers: keep only so many of each of the three stacks, for a machine that does not hold them all.
    """
    vision = Blip2VisionConfig(num_hidden_layers=layers or 39)
    qformer = Blip2QFormerConfig(num_hidden_layers=layers or 12, encoder_hidden_size=vision.hidden_size)
    text = T5Config(
        vocab_size=32_128,
        d_model=4_096,
        d_kv=64,
        d_ff=10_240,
        num_heads=64,
        num_layers=layers or 24,
        num_decoder_layers=layers or 24,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    config = Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=qformer.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=32,
        architectures=["Blip2ForConditionalGeneration"],
    )
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=1))
    with as_file(files("expclip_cache.demo") / "blip2") as demo:
        for name in TOKENIZER:
            shutil.copy(demo / name, folder / name)
