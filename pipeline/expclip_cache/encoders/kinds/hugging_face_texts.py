"""Texts -> what the text side of a model of transformers takes."""

from collections.abc import Sequence

import torch
from transformers import AutoTokenizer

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import TOKENIZER_CONFIG, tokenizer_failed
from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles

MAX_LETTERS = 100
"""Letters of a token at most, more than any has."""


class Texts:
    """A model's tokenizer. Every text is padded on the right to the same length, whichever texts are beside it.

    Args:
        context_length: tokens that the model reads, start and end included.
        vocabulary: how many tokens the model knows.
        inputs: what the model takes, of the tokenizer's outputs.

    Raises:
        EncoderError: there is no tokenizer, it cannot be loaded, or it has no token for padding.
    """

    def __init__(
        self,
        files: HuggingFaceFiles,
        context_length: int,
        vocabulary: int,
        inputs: Sequence[str] = ("input_ids", "attention_mask"),
    ):
        self.context_length = context_length
        self._vocabulary, self._inputs = vocabulary, tuple(inputs)
        if not (files.folder / TOKENIZER_CONFIG).is_file():
            raise EncoderError(f"backbone: expected a tokenizer in {files.folder}, found no {TOKENIZER_CONFIG} there.")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                files.folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise tokenizer_failed("backbone", files.folder, files.folder, error) from error
        if self._tokenizer.pad_token is None:
            raise EncoderError(f"backbone: the tokenizer in {files.folder} has no pad_token. Its files are incomplete.")

    def __call__(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """P texts -> tensors of (p, context_length) int64 by the names of the model's arguments.

        Raises:
            EncoderError: a text is longer than the context, or the tokenizer belongs to another model.
        """
        for text in texts:
            # Tokenizing a text of megabytes takes minutes, only to find that it is too long.
            if len(text) > MAX_LETTERS * self.context_length or self._length(text) > self.context_length:
                raise EncoderError(
                    f"prompt {text[:200]!r} has more than the {self.context_length} tokens that this model reads. "
                    "Shorten it."
                )
        tokens = self._tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.context_length,
            truncation=False,
            padding_side="right",
            return_attention_mask=True,
            return_tensors="pt",
        )
        if (largest := int(tokens["input_ids"].max())) >= self._vocabulary:
            raise EncoderError(
                f"backbone: its tokenizer gives token {largest}, but its text side has {self._vocabulary} tokens. The "
                "folder's tokenizer files are missing or belong to another model."
            )
        return {name: tokens[name] for name in self._inputs}

    def _length(self, text: str) -> int:
        return len(self._tokenizer(text, truncation=False, verbose=False).input_ids)
