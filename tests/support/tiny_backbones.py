"""Tiny backbones of transformers' real classes, saved by the library into folders like those that users have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    AlignConfig,
    AlignModel,
    AltCLIPConfig,
    AltCLIPModel,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPModel,
    FlavaConfig,
    FlavaForPreTraining,
    MetaClip2Config,
    MetaClip2Model,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)

from expclip_cache.encoders.preprocess import CLIP_MEAN, CLIP_STD
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.prompts.templates import prompt_table
from tiny_encoders import SIZE, WORDS

CLASSES = ["happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear", "contempt"]

CONTEXT = 64
WIDTH = 24
VOCABULARY = 512
PAD, START, UNKNOWN, END = 0, 1, 2, VOCABULARY - 1
"""Token ids; CLIP takes a text's feature at its highest."""

LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = {**LAYERS, "image_size": SIZE, "patch_size": 7}
TEXT = {
    **LAYERS,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": PAD,
    "bos_token_id": START,
    "eos_token_id": END,
}
ALIGN_SIZE = {"height": 64, "width": 64}
EFFICIENT_NET = {
    "image_size": 600,  # as in the published config, whatever the images
    "width_coefficient": 0.25,
    "depth_coefficient": 0.1,
    "depth_divisor": 8,
}

CLIP_PREPROCESSOR = {
    "do_center_crop": True,
    "crop_size": SIZE,
    "size": SIZE,
    "resample": 3,
    "image_mean": list(CLIP_MEAN),
    "image_std": list(CLIP_STD),
}
SQUASHING = {**CLIP_PREPROCESSOR, "size": {"height": SIZE, "width": SIZE}}
SIGLIP_PREPROCESSOR = {
    "size": {"height": SIZE, "width": SIZE},
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def write_words(folder: Path) -> None:
    """A tokenizer of whole words in lower case, which knows the words of every prompt about the usual expressions."""
    prompts = prompt_table("reference", (1, 2, 3, 4, 5), CLASSES)
    texts = " ".join([*WORDS, *(prompt.text for prompt in prompts)])
    words = dict.fromkeys(texts.lower().replace(".", " . ").replace("'", " ' ").split())
    ids = {"<pad>": PAD, "<start>": START, "<unk>": UNKNOWN, "<end>": END}
    ids |= {word: number for number, word in enumerate(words, start=UNKNOWN + 1)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", START), ("<end>", END)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", bos_token="<start>", eos_token="<end>"
    ).save_pretrained(folder)


def write_model(
    folder: Path,
    kind: str,
    model: Callable[[Any], PreTrainedModel],
    config: PretrainedConfig,
    preprocessor: dict[str, Any],
) -> ClipSettings:
    """The model with random weights, a tokenizer and a preprocessor_config.json."""
    torch.manual_seed(1)
    built = model(config)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if parameter.ndim == 4:
                parameter.normal_(0, 2 * parameter[0].numel() ** -0.5)
            elif parameter.ndim > 1:
                parameter.normal_(0, 0.2)
            elif "bias" in name:
                parameter.normal_(0, 0.1)
    built.save_pretrained(folder)
    write_words(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
    return ClipSettings(kind=kind, model=str(folder))


def write_hf_clip(folder: Path) -> ClipSettings:
    """A CLIP, with the end token's id that OpenAI's configs name, which is not their tokenizers'."""
    config = CLIPConfig(text_config={**TEXT, "eos_token_id": 2}, vision_config=VISION, projection_dim=WIDTH)
    return write_model(folder, "transformers", CLIPModel, config, CLIP_PREPROCESSOR)


def write_metaclip_2(folder: Path) -> ClipSettings:
    """A MetaCLIP 2."""
    config = MetaClip2Config(text_config=TEXT, vision_config=VISION, projection_dim=WIDTH)
    return write_model(folder, "transformers", MetaClip2Model, config, CLIP_PREPROCESSOR)


def write_siglip(folder: Path) -> ClipSettings:
    """A SigLIP, or a SigLIP 2 of a fixed resolution."""
    config = SiglipConfig(text_config={**TEXT, "projection_size": LAYERS["hidden_size"]}, vision_config=VISION)
    return write_model(folder, "transformers", SiglipModel, config, SIGLIP_PREPROCESSOR)


def write_altclip(folder: Path) -> ClipSettings:
    """An AltCLIP."""
    text = {**TEXT, "project_dim": 20, "max_position_embeddings": 2 * CONTEXT}
    config = AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=WIDTH)
    return write_model(folder, "transformers", AltCLIPModel, config, CLIP_PREPROCESSOR)


def write_chinese_clip(folder: Path) -> ClipSettings:
    """A Chinese-CLIP."""
    config = ChineseCLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=WIDTH)
    return write_model(folder, "transformers", ChineseCLIPModel, config, SQUASHING)


def write_align(folder: Path) -> ClipSettings:
    """An ALIGN, whose image side is an EfficientNet."""
    config = AlignConfig(text_config=TEXT, vision_config=EFFICIENT_NET, projection_dim=80)
    return write_model(
        folder, "transformers", AlignModel, config, {**SQUASHING, "size": ALIGN_SIZE, "crop_size": ALIGN_SIZE}
    )


def write_flava(folder: Path) -> ClipSettings:
    """A FLAVA as facebook/flava-full is stored: with the encoder of both sides, heads and codebook."""
    config = FlavaConfig(
        image_config=VISION,
        text_config=TEXT,
        multimodal_config=LAYERS,
        image_codebook_config={"hidden_size": 8, "vocab_size": 16, "num_blocks_per_group": 1},
        hidden_size=LAYERS["hidden_size"],
        projection_dim=WIDTH,
    )
    return write_model(folder, "flava", FlavaForPreTraining, config, CLIP_PREPROCESSOR)
