"""Write shards: whole, durable, in one rename each; nothing is ever appended to."""

import io
from dataclasses import dataclass
from pathlib import Path

import h5py

from expclip_cache.base import CacheError, write_atomically
from expclip_cache.cache.format import Block, Identity, Json, canonical_json, inconsistent_row, shard_name
from expclip_cache.cache.header import Column, digest_of, facts_of, first_line, header_size, header_text
from expclip_cache.cache.shard import ShardEntry, open_shard
from expclip_cache.cache.stores.store import Store


@dataclass(frozen=True)
class ShardWriter:
    """Writes shards of one cache, in whatever process or on whatever machine. Picklable.

    Attributes:
        store: of the cache.
        identity: of the features.
        library: names and versions of what made the features; recorded, but not part of the identity.
    """

    store: Store
    identity: Identity
    library: str

    def write(self, block: Block) -> ShardEntry:
        """Make one shard part of the cache.

        Returns:
            Its part of the index, read back from the disk: what the disk gives, not what was meant to be written.

        Raises:
            CacheError: it cannot be written; or a row has not exactly one of finite features and an error.
        """
        path = write_shard(self.store.folder, block, self.identity, self.library)
        entry = open_shard(path).entry()
        self.store.put(path.name)
        return entry


def write_shard(folder: Path, block: Block, identity: Identity, library: str) -> Path:
    """Write one shard file. The same content gives the same bytes, on every run.

    The HDF5 file is laid out in memory, so that a full disk meets one plain write and never the HDF5 library.

    Returns:
        The path of the shard, which exists only if it is complete and on the disk.

    Raises:
        CacheError: see `ShardWriter.write`.
    """
    path = folder / shard_name(block.number)
    rows = range(block.first_row, block.first_row + len(block.features))
    wrong = inconsistent_row(rows, block.features, block.errors)
    if wrong is not None:
        raise CacheError(f"{path}: row {wrong} must have either finite features or an error.")
    facts = facts_of(block.number, block.first_row, identity, library)
    size = header_size(facts)
    image, columns = _hdf5_image(block, facts, size)
    total = len(image)
    text = header_text(facts, columns, size, total)
    body = memoryview(image)[size:]
    write_atomically(path, first_line(digest_of(text, body)), text, body)
    return path


def _hdf5_image(block: Block, facts: dict[str, Json], head: int) -> tuple[memoryview, dict[str, Column]]:
    """The file as HDF5 lays it out, its user block still empty, and the offsets of the columns in it."""
    image = io.BytesIO()
    # Time stamps off and the oldest object format: the bytes follow from the content, and every HDF5 can read them.
    # Columns start at multiples of 64 bytes, so that mapped arrays are aligned.
    with h5py.File(
        image,
        "w",
        libver=("earliest", "v110"),
        userblock_size=head,
        alignment_threshold=1,
        alignment_interval=64,
    ) as file:
        columns = {}
        for name, values in block.arrays().items():
            dataset = file.create_dataset(name, data=values, track_times=False)
            columns[name] = Column(values.dtype.str, values.shape, dataset.id.get_offset())
        for name, value in facts.items():
            file.attrs[name] = canonical_json(value).decode() if isinstance(value, dict) else value
    return image.getbuffer(), columns
