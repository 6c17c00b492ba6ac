"""Texts as BLIP-2 was trained to read them.

transformers leaves the cleaning out, so that a full stop at the end of a prompt changes its vector there.
"""

import re
from collections.abc import Sequence

import torch

from expclip_cache.encoders.kinds.hugging_face_texts import Texts

CONTEXT_LENGTH = 32
"""Tokens of a text that the makers trained with, start and end included."""

REMOVED = re.compile(r"""[.!"()*#:;~]""")


class CleanedTexts(Texts):
    """A tokenizer that sees what `cleaned` leaves of a text."""

    def __call__(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """See `Texts`."""
        return super().__call__([cleaned(text) for text in texts])


def cleaned(text: str) -> str:
    """What LAVIS's processor `blip_caption` makes of a text: lower case, spaces instead of some punctuation.

    >>> cleaned('A "photo" of a face (fear).')
    'a photo of a face fear'
    """
    return re.sub(r"\s{2,}", " ", REMOVED.sub(" ", text.lower())).strip()
