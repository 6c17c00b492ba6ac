"""Write shards: whole, durable, in one rename each; nothing is ever appended to."""

import io
from pathlib import Path

import h5py

from pipeline.atomic import write_atomically
from pipeline.errors import CacheError
from pipeline.shards.header import Column, digest_of, facts_of, first_line, head_size, head_text
from pipeline.shards.schema import Block, Identity, Json, canonical_json, shard_name, unlike


def write_shard(folder: Path, block: Block, identity: Identity, library: str) -> Path:
    """Write one shard. The same content gives the same bytes, on every run.

    The HDF5 file is laid out in memory, so that a full disk meets one plain write and never the HDF5 library.

    Args:
        library: names and versions of what made the features; said, but no part of the identity.

    Returns:
        The path of the shard, which exists only if it is complete and on the disk.

    Raises:
        CacheError: it cannot be written; or a row has not exactly one of finite features and an error.
    """
    path = folder / shard_name(block.number)
    wrong = unlike(range(block.first_row, block.first_row + len(block.features)), block.features, block.errors)
    if wrong is not None:
        raise CacheError(f"{path}: row {wrong} must have finite features or an error, and has not exactly one.")
    facts = facts_of(block.number, block.first_row, identity, library)
    size = head_size(facts)
    image, columns = _hdf5_image(block, facts, size)
    total = len(image)
    text = head_text(facts, columns, size, total)
    body = memoryview(image)[size:]
    write_atomically(path, first_line(digest_of(text, body)), text, body)
    return path


def _hdf5_image(block: Block, facts: dict[str, Json], head: int) -> tuple[memoryview, dict[str, Column]]:
    """The file as HDF5 wants it, its user block still empty, and where the columns lie in it."""
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
