"""The file beside some prompts with the weights that condition their texts on the item they are compared with."""

import hashlib

from expclip_cache.base import CacheError
from expclip_cache.cache.format import CONDITIONING, Identity
from expclip_cache.cache.layout import TEXT
from expclip_cache.cache.stores.store import Store

SHA256 = "conditioning_sha256"
"""Under which an encoder's facts name the file's content."""


def needs_conditioning(identity: Identity) -> bool:
    """Whether the rows are texts that are conditioned by what they are compared with."""
    return SHA256 in identity.encoder and identity.settings.get("encoder") == TEXT


def read_conditioning(store: Store, identity: Identity) -> bytes | None:
    """The weights, as a safetensors file; None if nothing conditions these texts, or the rows are no texts.

    Raises:
        CacheError: they are missing, or not those that belong to these texts.
    """
    if not needs_conditioning(identity):
        return None
    content = None if store.size(CONDITIONING) is None else store.read(CONDITIONING)
    refuse_other_conditioning(store.path(CONDITIONING), content, identity)
    return content


def refuse_other_conditioning(path: object, content: bytes | None, identity: Identity) -> None:
    """Make sure that texts which need weights have their own.

    Args:
        path: of the file, for errors.
        content: of the file; None if there is none.

    Raises:
        CacheError: they are missing, or not those that belong to these texts.
    """
    if not needs_conditioning(identity):
        return
    if content is None:
        raise CacheError(f"{path}: is missing, and these prompts cannot be compared without it. Encode them again.")
    if hashlib.sha256(content).hexdigest() != identity.encoder[SHA256]:
        raise CacheError(f"{path}: is damaged, or belongs to other prompts. Encode the prompts again.")
