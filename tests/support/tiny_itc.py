"""Tiny BLIP-2s for image-text retrieval, in folders like those that users have: transformers' and LAVIS's."""

import string
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertTokenizer, Blip2Config, Blip2ForImageTextRetrieval

import paper_study
from expclip_cache.encoders.settings import ClipSettings
from tiny_backbones import CLASSES, SQUASHING, write_model
from tiny_encoders import SIZE, WORDS, edit_weights

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [*string.ascii_lowercase, *string.punctuation]

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIZE,
    "patch_size": 7,
}
BERT = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
QUERIES = 4
WIDTH = 20


def bert_vocabulary() -> list[str]:
    """Every word of every prompt about the usual expressions, and letters that spell other words."""
    words = dict.fromkeys(word.lower() for word in (*WORDS, *paper_study.words(CLASSES)))
    return list(dict.fromkeys([*SPECIALS, *words, *LETTERS, *(f"##{letter}" for letter in LETTERS)]))


def write_bert_tokenizer(folder: Path, more: tuple[str, ...] = ()) -> int:
    """BERT's own tokenizer with a small vocabulary, and `more` special tokens; returns how many tokens it has."""
    words = [*bert_vocabulary(), *more]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    tokenizer.add_special_tokens({"additional_special_tokens": list(more)})
    tokenizer.save_pretrained(folder)
    return len(words)


def write_blip2_itc(folder: Path) -> ClipSettings:
    """A BLIP-2 with its head for image-text matching, and a token for images that its Q-Former does not know."""
    vocabulary = len(bert_vocabulary()) + 1
    config = Blip2Config(
        vision_config=VISION,
        qformer_config={**BERT, "vocab_size": vocabulary, "use_qformer_text_input": True},
        num_query_tokens=QUERIES,
        image_text_hidden_size=WIDTH,
        image_token_index=vocabulary,
    )
    settings = write_model(folder, "blip2-itc", Blip2ForImageTextRetrieval, config, SQUASHING)
    file = folder / "model.safetensors"
    edit_weights(file, _doubled(load_file(file)))
    write_bert_tokenizer(folder, ("[DEC]", "<image>"))
    return settings


def write_lavis_itc(folder: Path) -> ClipSettings:
    """LAVIS's two files with its names for every tensor, and BERT's files, which know no [DEC]."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_bert_tokenizer(folder)
    BertConfig(**BERT, vocab_size=vocabulary).save_pretrained(folder)
    torch.manual_seed(4)
    torch.save(_vision(width=128, patch=7, layers=3), folder / "clip_vit_L.pth")
    torch.save({"model": _q_former(128, vocabulary + 1)}, folder / "blip2_pretrained_vitL.pth")
    return ClipSettings(kind="lavis-itc", model="pretrain_vitL", weights=str(folder))


def _vision(width: int, patch: int, layers: int) -> dict[str, torch.Tensor]:
    """With the layer norm and the projection at the end of a CLIP's, which LAVIS does not use."""
    tensors = {
        "class_embedding": _random(width),
        "positional_embedding": _random((SIZE // patch) ** 2 + 1, width),
        "proj": _random(width, WIDTH),
        "conv1.weight": _random(width, 3, patch, patch),
        **_norm("ln_pre", width),
        **_norm("ln_post", width),
    }
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}"
        tensors |= _norm(f"{block}.ln_1", width) | _norm(f"{block}.ln_2", width)
        tensors |= {f"{block}.attn.in_proj_weight": _random(3 * width, width)}
        tensors |= {f"{block}.attn.in_proj_bias": _random(3 * width)}
        tensors |= _linear(f"{block}.attn.out_proj", width, width)
        tensors |= _linear(f"{block}.mlp.c_fc", width, 4 * width) | _linear(f"{block}.mlp.c_proj", 4 * width, width)
    return tensors


def _q_former(vision_width: int, vocabulary: int) -> dict[str, torch.Tensor]:
    width, hidden, positions = BERT["hidden_size"], BERT["intermediate_size"], BERT["max_position_embeddings"]
    tensors = {
        "query_tokens": _random(1, QUERIES, width),
        "temp": torch.tensor(0.05),
        "Qformer.bert.embeddings.word_embeddings.weight": _random(vocabulary, width),
        "Qformer.bert.embeddings.position_embeddings.weight": _random(positions, width),
        **_norm("Qformer.bert.embeddings.LayerNorm", width),
        **_norm("ln_vision", vision_width),
        **_linear("vision_proj", width, WIDTH),
        **_linear("text_proj", width, WIDTH),
        **_linear("itm_head", width, 2),
        **_linear("Qformer.cls.predictions.decoder", width, vocabulary),
    }
    for number in range(BERT["num_hidden_layers"]):
        layer = f"Qformer.bert.encoder.layer.{number}"
        read = {"attention": width, "crossattention": vision_width} if number % 2 == 0 else {"attention": width}
        for attention, into in read.items():
            tensors |= _linear(f"{layer}.{attention}.self.query", width, width)
            tensors |= _linear(f"{layer}.{attention}.self.key", into, width)
            tensors |= _linear(f"{layer}.{attention}.self.value", into, width)
            tensors |= _linear(f"{layer}.{attention}.output.dense", width, width)
            tensors |= _norm(f"{layer}.{attention}.output.LayerNorm", width)
        for side in ("", "_query"):
            tensors |= _linear(f"{layer}.intermediate{side}.dense", width, hidden)
            tensors |= _linear(f"{layer}.output{side}.dense", hidden, width)
            tensors |= _norm(f"{layer}.output{side}.LayerNorm", width)
    return {**_doubled(tensors), "Qformer.bert.embeddings.position_ids": torch.arange(positions)[None]}


def _doubled(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Larger matrices, so that images and texts differ enough for classes to differ."""
    return {name: 2 * tensor if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}


def _random(*shape: int) -> torch.Tensor:
    return 0.2 * torch.randn(shape)


def _linear(name: str, into: int, out: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": _random(out, into), f"{name}.bias": _random(out)}


def _norm(name: str, width: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": 1 + _random(width), f"{name}.bias": _random(width)}
