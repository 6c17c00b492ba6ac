"""Small byte-level BPE tokenizers: they encode any text, and the demo's words as one token each."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CLIP_SPECIAL = ("<pad>", "<start_of_text>", "<end_of_text>")
T5_SPECIAL = ("<pad>", "</s>", "<unk>")


def clip_tokenizer(texts: Iterable[str], merges: int) -> PreTrainedTokenizerFast:
    """For the text tower: lower case, `<start_of_text> ... <end_of_text>`, padded with `<pad>`.

    open_clip takes a text's feature at its largest token, so `<end_of_text>` gets the last id.
    """
    tokenizer = _byte_level(texts, merges, CLIP_SPECIAL[:2], lower=True)
    tokenizer.add_special_tokens([CLIP_SPECIAL[2]])
    ids = [(token, tokenizer.token_to_id(token)) for token in CLIP_SPECIAL[1:]]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLIP_SPECIAL[1]} $A {CLIP_SPECIAL[2]}", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=CLIP_SPECIAL[0], bos_token=CLIP_SPECIAL[1], eos_token=CLIP_SPECIAL[2]
    )


def t5_tokenizer(texts: Iterable[str], merges: int) -> PreTrainedTokenizerFast:
    """For T5: `<pad>` is 0, and `</s>`, which ends every text, is 1."""
    tokenizer = _byte_level(texts, merges, T5_SPECIAL, lower=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`, which AutoTokenizer loads without a network."""
    tokenizer.save_pretrained(folder)


def _byte_level(texts: Iterable[str], merges: int, special: tuple[str, ...], lower: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + 256 + merges,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
