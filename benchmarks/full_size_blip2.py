"""A folder with a BLIP-2 with Flan-T5-XXL at its published sizes, for timing without the model hub."""

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from transformers import Blip2Config, Blip2QFormerConfig, Blip2VisionConfig

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def write_full_size_blip2(folder: Path, layers: int | None = None) -> None:
    """Write the config of EVA ViT-g, a Q-Former of BERT's size and Flan-T5-XXL, with the demo's tokenizer.

    The instruction's tokens differ from those of T5's own vocabulary, but there are about as many.

    Args:
        folder: a new folder.
        layers: layers of each of the three stacks, to fit a smaller machine; by default all.
    """
    vision = Blip2VisionConfig(num_hidden_layers=layers or 39)
    qformer = Blip2QFormerConfig(num_hidden_layers=layers or 12, encoder_hidden_size=vision.hidden_size)
    text = {
        "model_type": "t5",
        "vocab_size": 32_128,
        "d_model": 4_096,
        "d_kv": 64,
        "d_ff": 10_240,
        "num_heads": 64,
        "num_layers": layers or 24,
        "num_decoder_layers": layers or 24,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    }
    config = Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=qformer.to_dict(),
        text_config=text,
        num_query_tokens=32,
        architectures=["Blip2ForConditionalGeneration"],
    )
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=1))
    with as_file(files("expclip_cache.demo") / "blip2") as demo:
        for name in TOKENIZER:
            shutil.copy(demo / name, folder / name)
