"""Read a feature cache: refuse what is incomplete or damaged, then give rows from the mapped files."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.base import CacheError
from expclip_cache.cache.conditioning import read_conditioning
from expclip_cache.cache.format import INDEX, Identity, Json, plan_shards
from expclip_cache.cache.index import read_index, skipped_in
from expclip_cache.cache.layout import RowLayout, layout_of
from expclip_cache.cache.shard import Shard
from expclip_cache.cache.stores.store import Store, store_at

if TYPE_CHECKING:
    import pandas
    import torch

MAX_MAPPED = 128
"""Shards that are mapped at once. Each costs a file descriptor, and 1,024 are a usual limit for a process."""

READERS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Threads that read and verify shards; reading, hashing and copying release Python's global lock."""

Rows = int | slice | Sequence[int] | Sequence[bool] | np.ndarray
"""What selects rows, as in NumPy: an id, a slice, ids in any order, or a mask of n booleans."""


class FeatureCache:
    """A complete cache, opened for reading.

    Opening reads and checks the index alone. A shard is checked against its checksum when it is first used, so
    damaged bytes never reach a caller. The shards of a remote cache are mirrored on this machine as they are used.

    >>> cache = FeatureCache("features/photos")  # doctest: +SKIP
    >>> cache[cache.good_rows], cache.labels[cache.good_rows]  # doctest: +SKIP

    Attributes:
        store: where the cache is stored; `str()` of it is its folder or address.
        identity: settings and encoder, and the fingerprint over both.
        layout: the vectors that a row holds.
        vector: which vector of every row is read; None: all of them.
        width: w of the rows that are read, d for a single vector.
        dtype: float16 or float32.
        classes: the c class names that labels index; empty for an unlabelled cache.
        shards: the row ids of each shard.
        shard_rows: rows per shard; the last may have fewer.
        libraries: names and versions of what made the features, one string for each combination.
    """

    def __init__(self, place: str | Path | Store, mirror: Path | None = None, *, vector: int | None = None):
        """Open a cache.

        Args:
            place: its folder, or its address such as s3://bucket/features/photos.
            mirror: for an address, the folder that keeps its shards on this machine; by default that of the
                environment variable EXPCLIP_CACHE_MIRROR, else one in the user's cache folder.
            vector: read this vector of every row alone, as if the cache held no other.

        Raises:
            CacheError: the cache is incomplete, its index is damaged, or its rows have no such vector.
        """
        self.store = store_at(place, mirror)
        index = read_index(self.store)
        self._records: list[dict[str, Json]] = index["shards"]
        self._skipped_records: list[dict[str, Json]] = index["skipped"]
        self.identity = Identity(index["settings"], index["encoder"])
        stored = layout_of(self.identity)
        self._stored_width = stored.row_width
        self.vector = vector
        self.layout, self._columns = (stored, slice(None)) if vector is None else self._only(stored, vector)
        self.width = self.layout.row_width
        self.dtype = np.dtype(self.identity.settings["dtype"])
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.shard_rows: int = index["shard_rows"]
        self.shards = plan_shards(index["rows"], self.shard_rows)
        self.libraries: tuple[str, ...] = tuple(index["libraries"])
        self._rows: int = index["rows"]
        self._mapped: OrderedDict[int, Shard] = OrderedDict()
        self._opened: set[int] = set()
        self._turn = threading.Lock()

    def _only(self, stored: RowLayout, vector: int) -> tuple[RowLayout, slice]:
        """The layout of a single vector, and its columns."""
        count = stored.frames * stored.vectors
        if not 0 <= vector < count:
            raise CacheError(f"{self}: has {count} vectors in a row, 0 to {count - 1}, requested {vector}.")
        columns = slice(vector * stored.width, (vector + 1) * stored.width)
        return stored._replace(frames=1, vectors=1), columns

    def __str__(self) -> str:
        return str(self.store)

    @property
    def fingerprint(self) -> str:
        """That of the identity; if one vector is read alone, with its number."""
        own = self.identity.fingerprint
        return own if self.vector is None else f"{own} vector {self.vector}"

    def __len__(self) -> int:
        """n, the number of rows, skipped ones included."""
        return self._rows

    def __getitem__(self, rows: Rows) -> np.ndarray:
        """Raw features in the stored dtype, not L2-normalised.

        Args:
            rows: one row id gives (w,); a slice, m ids in any order, or a mask of n booleans gives (m, w). Negative
                ids count from the end, as in NumPy.

        Raises:
            CacheError: a row was skipped; or a shard is missing, damaged or not part of this cache.
            IndexError: a row is outside the cache.
        """
        ids = self._row_ids(rows)
        found = self._gather(np.atleast_1d(ids))
        return found if ids.ndim else found[0]

    def item_vectors(self, rows: Rows) -> np.ndarray:
        """(m, d), one raw vector for each of some rows, see `RowLayout.item_vectors`.

        Raises:
            CacheError, IndexError: see `__getitem__`.
        """
        return self.layout.item_vectors(np.atleast_2d(self[rows]))

    @cached_property
    def skipped(self) -> dict[int, str]:
        """Row id -> reason, for the rows without features."""
        return {item["row"]: item["reason"] for item in self._skipped_records}

    @cached_property
    def skipped_rows(self) -> np.ndarray:
        """(k,) int64, ids of the rows without features, ascending."""
        return np.array([item["row"] for item in self._skipped_records], dtype=np.int64)

    @cached_property
    def good_rows(self) -> np.ndarray:
        """(m,) int64, ids of the rows that have features, ascending."""
        good = np.ones(self._rows, dtype=bool)
        good[self.skipped_rows] = False
        return np.flatnonzero(good)

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) int32, indices into `classes`; -1 where there is no label. Reads every shard on first use.

        Raises:
            CacheError: a shard is missing, damaged or not part of this cache.
        """
        found = np.empty(self._rows, dtype=np.int32)
        for number, rows in enumerate(self.shards):
            found[rows.start : rows.stop] = self._shard(number).labels
        found.flags.writeable = False
        return found

    def paths(self, rows: Rows = slice(None)) -> list[str]:
        """Paths relative to the dataset's root, or the prompts of a cache of prompts; skipped rows have one too.

        Bytes of a path that are not UTF-8 are lone surrogates, as `os.fsdecode` gives them.

        Raises:
            CacheError, IndexError: see `__getitem__`.
        """
        ids = np.atleast_1d(self._row_ids(rows))
        found = [""] * len(ids)
        for number, places in self._by_shard(ids):
            shard = self._shard(number)
            for place in np.arange(len(ids))[places]:
                found[place] = os.fsdecode(bytes(shard.paths[ids[place] - shard.rows.start]))
        return found

    @property
    def logit_scale(self) -> float:
        """Exp of CLIP's parameter `logit_scale` (100 for OpenAI's weights).

        Raises:
            CacheError: the features are not a CLIP's.
        """
        scale = self.identity.encoder.get("logit_scale")
        if scale is None:
            found = self.identity.settings.get("encoder", "features without a logit scale")
            raise CacheError(f"{self}: expected the features of a CLIP, found {found!r}.")
        return scale

    def conditioning(self) -> bytes | None:
        """The weights, as a safetensors file, that condition these texts on an item; None if nothing does.

        Raises:
            CacheError: they are missing, or not those that belong to these texts.
        """
        return read_conditioning(self.store, self.identity)

    def to_torch(self, rows: Rows | None = None) -> "torch.Tensor":
        """(m, w) tensor of raw features in the stored dtype, on the CPU; of the good rows by default.

        Raises:
            CacheError, IndexError: see `__getitem__`.
        """
        import torch

        return torch.from_numpy(np.atleast_2d(self[self.good_rows if rows is None else rows]))

    def to_pandas(self) -> "pandas.DataFrame":
        """One line per row: `path`, `label` (class name or None), `skipped` (reason or None), features `f0`, `f1`, ...

        The index is the row id; a skipped row has NaN features.

        Raises:
            CacheError: see `__getitem__`.
            ImportError: pandas is not installed.
        """
        import pandas as pd

        features = np.full((self._rows, self.width), np.nan, dtype=self.dtype)
        features[self.good_rows] = self[self.good_rows]
        frame = pd.DataFrame(features, columns=[f"f{column}" for column in range(self.width)])
        frame.index.name = "row"
        names = [self.classes[label] if label >= 0 else None for label in self.labels]
        frame.insert(0, "path", self.paths())
        frame.insert(1, "label", pd.Series(names, dtype=object))
        frame.insert(2, "skipped", pd.Series([self.skipped.get(row) for row in range(self._rows)], dtype=object))
        return frame

    def describe(self) -> dict[str, Json]:
        """What results carry along, as JSON values: fingerprint, rows, settings, encoder, and the skipped rows."""
        return {
            "fingerprint": self.identity.fingerprint,
            "rows": self._rows,
            "settings": dict(self.identity.settings),
            "encoder": dict(self.identity.encoder),
            "skipped": [{key: item[key] for key in ("row", "path", "reason")} for item in self._skipped_records],
        }

    def has_every_shard(self) -> bool:
        """Whether every shard is there and as long as recorded, by one listing; the bytes are not read."""
        sizes = self.store.sizes()
        return all(sizes.get(record["name"]) == record["bytes"] for record in self._records)

    def _shard(self, number: int) -> Shard:
        """Shard `number`, mapped; checked on first use. May be called from several threads."""
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
        shard = self.store.shard(self._records[number], into)
        self._check_membership(shard, number)
        self._opened.add(number)
        return shard

    def _gather(self, ids: np.ndarray) -> np.ndarray:
        """(m, w) features of (m,) ids: whole shards are read into the result, others are mapped first."""
        ascending = bool((ids[1:] > ids[:-1]).all())
        self._refuse_skipped(ids, ascending)
        found = np.empty((len(ids), self.width), dtype=self.dtype)
        shares = list(self._by_shard(ids))
        # With ascending ids, as many ids as a shard has rows are all of its rows, in its order.
        straight = ascending and self.vector is None
        whole = {number for number, places in shares if straight and len(ids[places]) == len(self.shards[number])}

        def fill(share: tuple[int, slice | np.ndarray]) -> None:
            number, places = share
            if number in whole:
                part = found[places]
                features = self._open(number, part).features
                if features is not part:
                    part[:] = features
                return
            inside = ids[places] - self.shards[number].start
            features = self._shard(number).features[:, self._columns]
            if isinstance(places, slice):
                # "clip" because "raise" copies once more; that all rows exist is known by now.
                np.take(features, inside, axis=0, out=found[places], mode="clip")
            else:
                found[places] = features[inside]

        # Mapping a shard again takes so little that threads would only wait for each other.
        if sum(number in whole or number not in self._opened for number, _ in shares) > 1:
            with ThreadPoolExecutor(READERS, "shard-reader") as readers:
                list(readers.map(fill, shares))
        else:
            for share in shares:
                fill(share)
        return found

    def _check_membership(self, shard: Shard, number: int) -> None:
        """A shard must be the very one the index recorded: this cache's identity, rows, bytes and skipped rows."""
        entry = shard.entry()
        if (
            entry.record != self._records[number]
            or entry.identity != self.identity
            or shard.features.shape[1] != self._stored_width
            or shard.features.dtype != self.dtype
            or entry.skipped != skipped_in(self._skipped_records, entry.rows)
        ):
            raise CacheError(
                f"{shard.path}: is intact, but not the shard that {self.store.path(INDEX)} recorded. "
                "Delete the index and run the extraction again: it checks every shard."
            )

    def _row_ids(self, rows: Rows) -> np.ndarray:
        """() or (m,) int64 ids within the cache."""
        if isinstance(rows, slice):
            return np.arange(*rows.indices(self._rows), dtype=np.int64)
        ids = np.asarray(rows)
        if ids.dtype == bool:
            if ids.shape != (self._rows,):
                raise IndexError(f"{self}: expected a mask of {self._rows} booleans, found shape {ids.shape}.")
            return np.flatnonzero(ids)
        if ids.ndim > 1 or not (ids.size == 0 or np.issubdtype(ids.dtype, np.integer)):
            raise IndexError(f"{self}: expected row ids, found shape {ids.shape} of {ids.dtype}.")
        ids = ids.astype(np.int64)
        if ids.size and (ids.min() < -self._rows or ids.max() >= self._rows):
            found = f"{ids.min()} to {ids.max()}" if ids.ndim else f"{ids}"
            raise IndexError(f"{self}: has rows 0 to {self._rows - 1}, requested {found}.")
        return np.where(ids < 0, ids + self._rows, ids)

    def _refuse_skipped(self, ids: np.ndarray, ascending: bool) -> None:
        # A bit per row would do too, but of 100 million rows few are skipped.
        skipped = self.skipped_rows
        sought, among = (skipped, ids) if ascending and len(skipped) < len(ids) else (ids, skipped)
        if not among.size:
            return
        place = np.minimum(np.searchsorted(among, sought), len(among) - 1)
        bad = among[place] == sought
        if bad.any():
            row = int(sought[bad][0])
            raise CacheError(f"{self}: row {row} has no features: {self.skipped[row]}.")

    def _by_shard(self, ids: np.ndarray) -> Iterator[tuple[int, slice | np.ndarray]]:
        """Each shard that holds some of the rows, and their places among the ids: a slice if the ids ascend."""
        numbers = ids // self.shard_rows
        order = None if (numbers[1:] >= numbers[:-1]).all() else np.argsort(numbers, kind="stable")
        ascending = numbers if order is None else numbers[order]
        ends = np.flatnonzero(ascending[1:] != ascending[:-1]) + 1
        for start, stop in pairwise([0, *ends.tolist(), len(ids)] if len(ids) else []):
            places = slice(start, stop)
            yield int(ascending[start]), places if order is None else order[places]
