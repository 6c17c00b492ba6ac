"""Tiny encoders of the real model classes, in folders like those that users have."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import open_clip
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5Tokenizer,
)

from expclip_cache.encoders.blip2_t5 import Blip2T5Encoder
from expclip_cache.encoders.clip import ClipEncoder
from expclip_cache.encoders.llm_settings import LlmSettings
from expclip_cache.encoders.settings import ClipSettings

CompleteBlip2 = Blip2ForConditionalGeneration | InstructBlipForConditionalGeneration

INSTRUCTION = "describe the face in the image ."
WORDS = ["describe", "the", "face", "in", "image", ".", "a", "photo", "of", "happiness", "anger", "an", "expression"]
SIZE = 28
IMAGE_TOKEN = 60

CLIP_MODEL = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 7},
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 64,
        "width": 32,
        "heads": 4,
        "layers": 2,
        "hf_tokenizer_name": "tokenizer",
    },
}


def write_tokenizer(folder: Path, specials: list[str], template: str) -> None:
    """A word-level tokenizer whose ids are the specials, then WORDS; `template` adds start and end tokens."""
    vocabulary = {word: number for number, word in enumerate([*specials, *WORDS])}
    # CLIP takes a text's feature at its highest token id, so the end token must be the last of the vocabulary.
    vocabulary["<end>"] = 63
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    named = [(token, vocabulary[token]) for token in (*specials, "<end>") if token in template]
    tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=named)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token=specials[0]).save_pretrained(
        folder
    )


def write_t5_tokenizer(folder: Path) -> None:
    """The library's own T5 tokenizer, which ends a text with </s>, with a small vocabulary."""
    pieces = ["<pad>", "</s>", "<unk>", *(f"▁{word}" for word in dict.fromkeys(WORDS)), "▁", "."]
    scores = [(piece, -float(number)) for number, piece in enumerate(pieces)]
    T5Tokenizer(vocab=scores, extra_ids=0).save_pretrained(folder)


def write_clip(folder: Path, model_cfg: dict | None = None) -> ClipSettings:
    """An open_clip folder with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_cfg or CLIP_MODEL, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_tokenizer(folder, ["<pad>", "<unk>", "<start>"], "<start> $A <end>")
    torch.manual_seed(1)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
        elif "bias" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return ClipSettings(model=str(folder))


def blip2_config(kind: str = "blip2", **text: object) -> Blip2Config | InstructBlipConfig:
    """A tiny BLIP-2 or InstructBLIP with a gated T5, like Flan-T5."""
    sections = {
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIZE,
            "patch_size": 7,
            "initializer_range": 0.05,
        },
        "qformer_config": {
            "vocab_size": 64,
            "hidden_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "max_position_embeddings": 32,
        },
        "text_config": {
            "model_type": "t5",
            "vocab_size": 64,
            "d_model": 40,
            "d_kv": 10,
            "d_ff": 64,
            "num_layers": 2,
            "num_decoder_layers": 1,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
            "dense_act_fn": "gelu",
            "decoder_start_token_id": 0,
            **text,
        },
        "num_query_tokens": 6,
        "image_token_index": IMAGE_TOKEN,
    }
    return Blip2Config(**sections) if kind == "blip2" else InstructBlipConfig(**sections)


def write_blip2(folder: Path, kind: str = "blip2", **text: object) -> tuple[LlmSettings, CompleteBlip2]:
    """A complete model, decoder included, saved by the library itself and returned for comparison."""
    config = blip2_config(kind, **text)
    torch.manual_seed(2)
    if isinstance(config, Blip2Config):
        model = Blip2ForConditionalGeneration(config).eval()
    else:
        model = InstructBlipForConditionalGeneration(config).eval()
    with torch.no_grad():
        model.query_tokens.normal_(0, 1)
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.normal_(0, 0.2)
    model.save_pretrained(folder)
    # Flan-T5 has its own output layer; the library ties a new T5's to the token table and would not save it.
    head = torch.randn(config.text_config.vocab_size, config.text_config.d_model)
    edit_weights(folder / "model.safetensors", {"language_model.lm_head.weight": head})
    write_t5_tokenizer(folder)
    if kind != "blip2":
        write_tokenizer(folder / "qformer_tokenizer", ["[PAD]", "<unk>", "[CLS]", "[SEP]"], "[CLS] $A [SEP]")
    return LlmSettings(model=str(folder), instruction=INSTRUCTION), model


def edit_weights(file: Path, add: dict[str, torch.Tensor], drop: Sequence[str] = ()) -> None:
    """Add, replace and drop tensors of a safetensors file."""
    kept = {name: value for name, value in load_file(file).items() if name not in drop}
    save_file(kept | add, file, metadata={"format": "pt"})


def random_pixels(count: int = 5) -> torch.Tensor:
    """(count, 3, SIZE, SIZE) uint8, the same in every call."""
    return torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def model_of(encoder: ClipEncoder | Blip2T5Encoder) -> torch.nn.Module:
    """The module inside an encoder."""
    return cast(torch.nn.Module, encoder._model)
