"""How the images that a cache was made from differ from those that are requested, for the message that refuses them."""

from contextlib import suppress

from expclip_cache.base import CacheError, DataError
from expclip_cache.cache import Store, read_stored_manifest
from expclip_cache.datasets import Manifest, image_difference
from expclip_cache.extraction.survey import Survey


def other_images(found: Survey, store: Store, manifest: Manifest) -> str:
    """The first difference, in words; empty if there is none, or no list of the cache's images.

    Args:
        found: in the store.
        manifest: that is requested.
    """
    identities = [found.index.identity] if found.index else [entry.identity for entry in found.entries[:1]]
    if all(identity.settings.get("manifest") == manifest.sha256 for identity in identities):
        return ""
    with suppress(CacheError, DataError):  # what is wrong with the cache is said elsewhere
        there = read_stored_manifest(store)
        if there is not None:
            return image_difference(there, manifest, ("the cache", "the dataset"))
    return ""
