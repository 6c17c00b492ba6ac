"""Read a feature cache: refuse what is incomplete or damaged, then give rows from the mapped files."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.errors import CacheError
from pipeline.shards.index_file import read_index, skipped_in
from pipeline.shards.schema import INDEX, Identity, Json
from pipeline.shards.shard import Seal, Shard
from pipeline.shards.store import Store, store_at

MAX_MAPPED = 128
"""Shards that are mapped at once. Each costs a file descriptor, and 1,024 are a usual limit for a process."""

READERS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Shards that are read for the first time at once; hashing and copying leave Python's lock alone."""


class FeatureCache:
    """A complete cache, opened for reading.

    Opening reads and checks the index alone. A shard is checked against its checksum when it is first used, so
    damaged bytes never reach a caller. The shards of a distant cache are mirrored on this machine as they are used.

    Attributes:
        store: where the cache lives; `str()` of it is its folder or address.
        rows: n, number of manifest rows, skipped ones included.
        width: w of the features.
        dtype: float16 or float32.
        classes: the class names that labels refer to.
        identity: settings and encoder.
        skipped: row id -> reason.
    """

    def __init__(self, place: str | Path | Store, mirror: Path | None = None):
        """Open a cache.

        Args:
            place: its folder, or its address such as s3://bucket/features/photos.
            mirror: for an address, see `pipeline.shards.store.store_at`.
        """
        self.store = store_at(place, mirror)
        index = read_index(self.store)
        self.index = index
        self.identity = Identity(index["settings"], index["encoder"])
        self.rows: int = index["rows"]
        self.classes = tuple(index["classes"])
        self.width: int = self.identity.encoder["width"]
        self.dtype = np.dtype(self.identity.settings["dtype"])
        self.skipped: dict[int, str] = {item["row"]: item["reason"] for item in index["skipped"]}
        self._mapped: OrderedDict[int, Shard] = OrderedDict()
        self._seals: dict[int, Seal] = {}
        self._turn = threading.Lock()

    def shard(self, number: int) -> Shard:
        """Shard `number`, mapped; checked on first use. May be called from several threads.

        Raises:
            CacheError: it is missing, damaged, or no part of this cache.
        """
        with self._turn:
            if number in self._mapped:
                self._mapped.move_to_end(number)
                return self._mapped[number]
        shard = self._open(number)
        with self._turn:
            self._mapped[number] = shard
            while len(self._mapped) > MAX_MAPPED:
                self._mapped.popitem(last=False)
        return shard

    def _open(self, number: int, into: np.ndarray | None = None) -> Shard:
        """Shard `number`, checked; see `open_shard` for `into`."""
        shard = self.store.shard(self.index["shards"][number], self._seals.get(number), into)
        self._check_membership(shard, number)
        with self._turn:
            self._seals[number] = shard.seal
        return shard

    def record_of(self, row: int) -> Json:
        """The index's record of the shard that holds a row: name, first_row, rows, bytes, xxh3_128.

        Raises:
            CacheError: there is no such row.
        """
        if not 0 <= row < self.rows:
            raise CacheError(f"{self.store}: rows 0 to {self.rows - 1} exist, asked for {row}.")
        return self.index["shards"][row // self.index["shard_rows"]]

    @cached_property
    def good_rows(self) -> np.ndarray:
        """(m,) int64, ids of the rows that have features, ascending."""
        good = np.ones(self.rows, dtype=bool)
        good[list(self.skipped)] = False
        return np.flatnonzero(good)

    def features(self, rows: np.ndarray) -> np.ndarray:
        """(m, w) raw features of the given row ids, in their order, in the stored dtype.

        Raises:
            CacheError: a row was skipped or is outside the cache; or see `shard`.
        """
        rows = self._checked(rows)
        found = np.empty((len(rows), self.width), dtype=self.dtype)
        shares = list(self._by_shard(rows))
        # Then as many rows of a shard as it has are all of them, in its order.
        ascending = bool((rows[1:] > rows[:-1]).all())

        def fill(share: tuple[int, slice | np.ndarray]) -> None:
            number, places = share
            record, wanted = self.index["shards"][number], rows[places]
            if ascending and number not in self._seals and len(wanted) == record["rows"]:
                part = found[places]
                shard = self._open(number, part)
                if shard.features is not part:
                    part[:] = shard.features
                return
            inside = wanted - record["first_row"]
            if isinstance(places, slice):
                # "clip" because "raise" copies once more; that all rows exist is known by now.
                np.take(self.shard(number).features, inside, axis=0, out=found[places], mode="clip")
            else:
                found[places] = self.shard(number).features[inside]

        if sum(number not in self._seals for number, _ in shares) > 1:
            with ThreadPoolExecutor(READERS, "shard-reader") as readers:
                list(readers.map(fill, shares))
        else:
            for share in shares:
                fill(share)
        return found

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """(m,) int32 labels of the given row ids, -1 where there is none."""
        rows = self._checked(rows)
        found = np.empty(len(rows), dtype=np.int32)
        for number, places in self._by_shard(rows):
            shard = self.shard(number)
            found[places] = shard.labels[rows[places] - shard.rows.start]
        return found

    def paths(self, rows: np.ndarray) -> list[bytes]:
        """Paths (file system encoded) or prompt texts of the given row ids."""
        rows = self._checked(rows)
        found: list[bytes] = [b""] * len(rows)
        for number, places in self._by_shard(rows):
            shard = self.shard(number)
            for place in np.arange(len(rows))[places]:
                found[place] = bytes(shard.paths[rows[place] - shard.rows.start])
        return found

    def shuffled_batches(self, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every good row once, in an order that follows from the seed.

        Yields:
            (b,) int64 row ids and their (b, w) features; b is `size` but for the last batch.
        """
        order = np.random.default_rng(seed).permutation(self.good_rows)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield rows, self.features(rows)

    def _check_membership(self, shard: Shard, number: int) -> None:
        """A shard must be the very one the index recorded: this cache's, this cut, these bytes, these failures."""
        entry = shard.entry()
        if (
            entry.record != self.index["shards"][number]
            or entry.identity != self.identity
            or shard.features.shape[1] != self.width
            or shard.features.dtype != self.dtype
            or entry.skipped != skipped_in(self.index, entry.rows)
        ):
            raise CacheError(
                f"{shard.path}: is whole, but not the shard that {self.store.path(INDEX)} recorded. "
                "Delete the index and run the extraction again: it looks at every shard."
            )

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.rows):
            raise CacheError(f"{self.store}: rows 0 to {self.rows - 1} exist, asked for {rows.min()} to {rows.max()}.")
        # A bit a row would do too, but 100 million rows have few that were skipped.
        place = np.searchsorted(self._skipped_rows, rows)
        bad = self._skipped_rows[place] == rows
        if bad.any():
            row = int(rows[bad][0])
            raise CacheError(f"{self.store}: row {row} has no features: {self.skipped[row]}.")
        return rows

    @cached_property
    def _skipped_rows(self) -> np.ndarray:
        """Their ids, ascending, and one that no row has, so that every search ends at one."""
        return np.array([*self.skipped, self.rows], dtype=np.int64)

    def _by_shard(self, rows: np.ndarray) -> Iterator[tuple[int, slice | np.ndarray]]:
        """Each shard that holds some of the rows, and where they stand among them: a slice if the rows ascend."""
        numbers = rows // self.index["shard_rows"]
        order = None if (numbers[1:] >= numbers[:-1]).all() else np.argsort(numbers, kind="stable")
        ascending = numbers if order is None else numbers[order]
        for start, stop in pairwise([*np.flatnonzero(np.diff(ascending, prepend=-1)), len(rows)]):
            places = slice(start, stop)
            yield int(ascending[start]), places if order is None else order[places]


def paired_rows(images: FeatureCache, *targets: FeatureCache) -> np.ndarray:
    """(m,) int64, ids of the rows that have features in every cache.

    Raises:
        CacheError: the caches were made from different manifests, so equal ids would not mean equal pictures.
    """
    rows, ours = images.good_rows, images.identity.settings["manifest"]
    for cache in targets:
        theirs = cache.identity.settings["manifest"]
        if ours != theirs:
            raise CacheError(
                f"{images.store} and {cache.store} were made from different manifests ({ours[:12]}, {theirs[:12]}): "
                "their rows are not the same pictures. Encode both from one manifest."
            )
        rows = np.intersect1d(rows, cache.good_rows, assume_unique=True)
    return rows
