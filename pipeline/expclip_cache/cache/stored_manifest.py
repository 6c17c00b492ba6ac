"""The copy of the manifest in a cache: which images its rows are."""

from expclip_cache.base import CacheError
from expclip_cache.cache.format import MANIFEST, OLD_MANIFEST
from expclip_cache.cache.stores.store import Store
from expclip_cache.datasets import HEADER_BYTES, Manifest, read_manifest, recorded_sha256


def manifest_name(store: Store) -> str | None:
    """The name of its file; None if there is none."""
    found = _name_and_size(store)
    return found and found[0]


def manifest_sha256(store: Store) -> str | None:
    """The hash that the file states; None if there is no file, or one that states none."""
    if (found := _name_and_size(store)) is None:
        return None
    name, size = found
    return recorded_sha256(store.read(name, 0, min(HEADER_BYTES, size)))


def read_stored_manifest(store: Store, *, fresh: bool = False) -> Manifest | None:
    """The manifest in a cache, finished or not; None if there is none. It is mapped from a file of this machine.

    Args:
        fresh: copy it from a remote store, even if there is a copy already.

    Raises:
        CacheError: the file cannot be read.
        DataError: it is not a manifest.
    """
    name = manifest_name(store)
    return None if name is None else read_manifest(store.local_file(name, HEADER_BYTES, fresh=fresh))


def manifest_with(store: Store, sha256: str) -> Manifest:
    """The manifest in a cache that is being made.

    Args:
        sha256: of the manifest that it is made from.

    Raises:
        CacheError: it is not there.
        DataError: its file is not a manifest.
    """
    manifest = read_stored_manifest(store)
    if manifest is None or manifest.sha256 != sha256:
        found = "nothing" if manifest is None else f"that of {manifest.sha256[:12]}"
        raise CacheError(
            f"{store.path(MANIFEST)}: expected the manifest of {sha256[:12]}, found {found}. Somebody has changed the "
            "cache while it was being made: run the same command again."
        )
    return manifest


def _name_and_size(store: Store) -> tuple[str, int] | None:
    names = (MANIFEST, OLD_MANIFEST)
    return next(((name, size) for name in names if (size := store.size(name))), None)
