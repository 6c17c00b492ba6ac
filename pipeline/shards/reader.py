"""Read a feature cache: refuse what is incomplete, damaged or hostile, then map the features in place."""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from pipeline.errors import CacheError
from pipeline.shards.schema import (
    DATASETS,
    FORMAT,
    INDEX,
    VERSION,
    Block,
    Identity,
    Json,
    plan_shards,
    shard_name,
)
from pipeline.shards.writer import content_digest, file_digest, index_bytes, shard_attributes

MAX_INDEX_BYTES = 1 << 30
FEATURE_TYPES = (np.dtype("float16"), np.dtype("float32"))


@dataclass(frozen=True)
class Shard:
    """One opened shard: its features mapped from the file, its columns in memory."""

    number: int
    first_row: int
    identity: Identity
    library: str
    features: np.ndarray
    labels: np.ndarray
    paths: np.ndarray
    errors: np.ndarray
    content_digest: str

    def check_content(self, path: Path) -> None:
        """Prove that every byte is what was written, and that features and errors agree.

        Raises:
            CacheError: they are not.
        """
        block = Block(self.number, self.first_row, self.features, self.labels, tuple(self.paths), tuple(self.errors))
        attributes = shard_attributes(self.number, self.first_row, self.identity, self.library)
        if content_digest(attributes, block.arrays()) != self.content_digest:
            raise CacheError(f"{path}: the content does not match its checksum: the file is damaged.")
        finite = np.isfinite(self.features).all(axis=1)
        if (finite != (self.errors == b"")).any():
            row = self.first_row + int(np.flatnonzero(finite != (self.errors == b""))[0])
            raise CacheError(f"{path}: row {row} must have finite features or an error, and has not exactly one.")


class FeatureCache:
    """A complete cache, opened for reading.

    Opening reads and checks the index alone. A shard is checked against its checksum when it is first used, so
    damaged bytes never reach a caller.

    Attributes:
        rows: n, number of manifest rows, skipped ones included.
        width: w of the features.
        dtype: float16 or float32.
        classes: the class names that labels refer to.
        identity: settings and encoder.
        skipped: row id -> reason.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        index = read_index(self.folder)
        self.index = index
        self.identity = Identity(index["settings"], index["encoder"])
        self.rows: int = index["rows"]
        self.classes = tuple(index["classes"])
        self.width: int = self.identity.encoder["width"]
        self.dtype = np.dtype(self.identity.settings["dtype"])
        self.skipped: dict[int, str] = {item["row"]: item["reason"] for item in index["skipped"]}
        self._shards: dict[int, Shard] = {}

    def shard(self, number: int) -> Shard:
        """Shard `number`, mapped; checked on first use.

        Raises:
            CacheError: it is missing, damaged, or no part of this cache.
        """
        if number not in self._shards:
            record = self.index["shards"][number]
            path = self.folder / record["name"]
            if not path.is_file():
                raise CacheError(f"{path}: the shard is missing. Run the extraction again: it makes only this one.")
            if path.stat().st_size != record["bytes"] or file_digest(path) != record["xxh3_128"]:
                raise CacheError(
                    f"{path}: the file is not the one the index recorded (size or checksum differ). "
                    "Delete it and run the extraction again: it makes only this one."
                )
            shard = open_shard(path)
            if (shard.identity, shard.features.shape) != (self.identity, (record["rows"], self.width)):
                raise CacheError(f"{path}: belongs to another cache than {self.folder / INDEX}.")
            self._shards[number] = shard
        return self._shards[number]

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
        for number, places in self._by_shard(rows):
            shard = self.shard(number)
            found[places] = shard.features[rows[places] - shard.first_row]
        return found

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """(m,) int32 labels of the given row ids, -1 where there is none."""
        rows = self._checked(rows)
        found = np.empty(len(rows), dtype=np.int32)
        for number, places in self._by_shard(rows):
            shard = self.shard(number)
            found[places] = shard.labels[rows[places] - shard.first_row]
        return found

    def paths(self, rows: np.ndarray) -> list[bytes]:
        """Paths (file system encoded) or prompt texts of the given row ids."""
        rows = self._checked(rows)
        found: list[bytes] = [b""] * len(rows)
        for number, places in self._by_shard(rows):
            shard = self.shard(number)
            for place in places:
                found[place] = bytes(shard.paths[rows[place] - shard.first_row])
        return found

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.rows):
            raise CacheError(f"{self.folder}: rows 0 to {self.rows - 1} exist, asked for {rows.min()} to {rows.max()}.")
        bad = [int(row) for row in rows if int(row) in self.skipped] if self.skipped else []
        if bad:
            raise CacheError(f"{self.folder}: row {bad[0]} has no features: {self.skipped[bad[0]]}.")
        return rows

    def _by_shard(self, rows: np.ndarray):
        numbers = rows // self.index["shard_rows"]
        for number in np.unique(numbers):
            yield int(number), np.flatnonzero(numbers == number)


def paired_rows(images: FeatureCache, targets: FeatureCache) -> np.ndarray:
    """(m,) int64, ids of the rows that have features in both caches.

    Raises:
        CacheError: the caches were made from different manifests, so equal ids would not mean equal pictures.
    """
    ours, theirs = (cache.identity.settings["manifest"] for cache in (images, targets))
    if ours != theirs:
        raise CacheError(
            f"{images.folder} and {targets.folder} were made from different manifests ({ours[:12]}, {theirs[:12]}): "
            "their rows are not the same pictures. Encode both from one manifest."
        )
    return np.intersect1d(images.good_rows, targets.good_rows, assume_unique=True)


def read_index(folder: Path) -> Json:
    """Read and check `index.json`.

    Raises:
        CacheError: it is missing (the cache is incomplete), damaged, of another version, or contradicts itself.
    """
    path = folder / INDEX
    try:
        if path.stat().st_size > MAX_INDEX_BYTES:
            raise CacheError(f"{path}: is larger than an index can be.")
        raw = path.read_bytes()
    except OSError as error:
        raise CacheError(
            f"{folder}: is no complete feature cache ({INDEX} cannot be read: {error.strerror}). "
            "Run the extraction again: finished shards are kept."
        ) from None
    try:
        index = json.loads(raw)
        body = {key: value for key, value in index.items() if key != "xxh3_128"}
        intact = index_bytes(body) == raw
    except (ValueError, AttributeError, RecursionError) as error:
        raise CacheError(
            f"{path}: is damaged ({type(error).__name__}). Delete it and run the extraction again."
        ) from None
    if not intact:
        raise CacheError(f"{path}: does not match its own checksum. Delete it and run the extraction again.")
    if (body.get("format"), body.get("version")) != (FORMAT, VERSION):
        raise CacheError(
            f"{path}: expected {FORMAT!r} version {VERSION}, "
            f"found {body.get('format')!r} version {body.get('version')!r}."
        )
    _check_plan(path, body)
    return body


def open_shard(path: Path) -> Shard:
    """Open one shard without trusting it; its content is not checked against a checksum here.

    Refused: anything that is not a plain file with exactly our five contiguous, unfiltered, internal datasets.

    Raises:
        CacheError: the file is not such a shard.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise CacheError(f"{path}: is not a plain file.")
        with h5py.File(path, "r") as file:
            attributes = {name: file.attrs[name] for name in file.attrs}
            if (attributes.get("format"), attributes.get("version")) != (FORMAT, VERSION):
                raise CacheError(f"{path}: is no {FORMAT} of version {VERSION}.")
            if sorted(file) != sorted(DATASETS):
                raise CacheError(f"{path}: expected the datasets {', '.join(DATASETS)}, found {', '.join(file)}.")
            features, row, label, names, errors = (_map_dataset(file, name, path) for name in DATASETS)
        identity = Identity(json.loads(attributes["settings"]), json.loads(attributes["encoder"]))
        first_row, count = int(attributes["first_row"]), len(features)
        _check_columns(path, features, row, label, names, errors, first_row)
        if attributes["fingerprint"] != identity.fingerprint:
            raise CacheError(f"{path}: the fingerprint does not match the settings.")
        if {len(values) for values in (row, label, names, errors)} != {count}:
            raise CacheError(f"{path}: the datasets differ in length.")
        return Shard(
            int(attributes["shard"]),
            first_row,
            identity,
            str(attributes["library"]),
            features,
            label,
            names,
            errors,
            str(attributes["content_xxh3_128"]),
        )
    except CacheError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, RecursionError, OverflowError) as error:
        raise CacheError(f"{path}: cannot be read as a shard ({type(error).__name__}: {error}).") from None


def _map_dataset(file: h5py.File, name: str, path: Path) -> np.ndarray:
    """Map one dataset from the file itself, refusing every way HDF5 has to point elsewhere or to compute."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise CacheError(f"{path}: {name} is a link, not a dataset.")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise CacheError(f"{path}: {name} is not a dataset.")
    plain = dataset.id.get_create_plist()
    if plain.get_layout() != h5py.h5d.CONTIGUOUS or plain.get_external_count() or plain.get_nfilters():
        raise CacheError(f"{path}: {name} is not stored contiguously, unfiltered and inside the file.")
    if dataset.dtype.hasobject or dataset.dtype.fields is not None:
        raise CacheError(f"{path}: {name} has the type {dataset.dtype}, which no shard has.")
    size = dataset.size * dataset.dtype.itemsize
    if size == 0:
        return np.empty(dataset.shape, dataset.dtype)
    offset = dataset.id.get_offset()
    if offset is None or offset + size > path.stat().st_size:
        raise CacheError(f"{path}: {name} reaches beyond the end of the file.")
    return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)


def _check_columns(path: Path, features, row, label, names, errors, first_row: int) -> None:
    if features.ndim != 2 or features.dtype not in FEATURE_TYPES:
        raise CacheError(
            f"{path}: features must be (n, w) float16 or float32, found {features.shape} {features.dtype}."
        )
    for name, values, kind in (
        ("row", row, "i8"),
        ("label", label, "i4"),
        ("path", names, "S"),
        ("error", errors, "S"),
    ):
        right = values.dtype.kind == "S" if kind == "S" else values.dtype == np.dtype(kind)
        if values.ndim != 1 or not right:
            raise CacheError(f"{path}: {name} must be (n,) {kind}, found {values.shape} {values.dtype}.")
    if (row != np.arange(first_row, first_row + len(row))).any():
        raise CacheError(f"{path}: rows do not count up from {first_row}.")


def _check_plan(path: Path, body: Mapping[str, Json]) -> None:
    """The parts of an index must agree with each other: a valid checksum does not make it sensible."""
    try:
        identity = Identity(body["settings"], body["encoder"])
        rows, shard_rows = int(body["rows"]), int(body["shard_rows"])
        # Compared before planning: a hostile count must not be expanded.
        if len(body["shards"]) != -(-rows // shard_rows):
            raise ValueError(f"{len(body['shards'])} shards of {shard_rows} for {rows} rows")
        plan = plan_shards(rows, shard_rows)
        expected = [(shard_name(k), part.start, len(part)) for k, part in enumerate(plan)]
        found = [(shard["name"], shard["first_row"], shard["rows"]) for shard in body["shards"]]
        sensible = (
            expected == found
            and body["fingerprint"] == identity.fingerprint
            and all(0 <= item["row"] < body["rows"] and isinstance(item["reason"], str) for item in body["skipped"])
            and isinstance(identity.encoder["width"], int)
            and np.dtype(identity.settings["dtype"]) in FEATURE_TYPES
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise CacheError(f"{path}: is not a sensible index ({error!r}).") from None
    if not sensible:
        raise CacheError(f"{path}: its shards, rows and fingerprint contradict each other.")
