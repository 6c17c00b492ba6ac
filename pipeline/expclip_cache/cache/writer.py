"""Write a feature cache: rows in, whole shards out, the index last."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from expclip_cache.base import CacheError, write_atomically
from expclip_cache.cache.conditioning import refuse_other_conditioning
from expclip_cache.cache.format import (
    CONDITIONING,
    FEATURE_TYPES,
    INDEX,
    MANIFEST,
    OLD_MANIFEST,
    Block,
    Identity,
    Json,
    identity_differences,
    plan_shards,
    shard_name,
)
from expclip_cache.cache.index import write_index
from expclip_cache.cache.layout import layout_of
from expclip_cache.cache.lock import Claim, writing
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.shard import ShardEntry
from expclip_cache.cache.shard_writer import ShardWriter
from expclip_cache.cache.stored_manifest import manifest_sha256
from expclip_cache.cache.stores.folder import Folder
from expclip_cache.cache.stores.store import Store, store_at
from expclip_cache.datasets import UNLABELLED, Manifest, write_manifest


class CacheWriter:
    """The right to write one cache, as a context manager: rows or finished shards in, the index last.

    Leaving the block without an exception writes the index, if every shard is there: only then is the cache complete.
    Whole shards that were written before an exception, or before a kill, stay; the index is not there.

    >>> with CacheWriter("features/mine", manifest="my faces", classes=("happiness", "anger")) as writer:
    ...     writer.add(features, labels=labels, paths=paths)  # doctest: +SKIP

    Attributes:
        store: where the cache is stored.
        settings: what was requested and changes a number, `dtype` and `manifest` included.
        shard_rows: rows per shard.
        claim: the lock, inside the block.
    """

    claim: Claim

    def __init__(
        self,
        place: str | Path | Store,
        *,
        manifest: Manifest | str,
        settings: Mapping[str, Json] | None = None,
        encoder: Mapping[str, Json] | None = None,
        library: str = "",
        classes: Sequence[str] = (),
        shard_rows: int = 2048,
        dtype: str = "float16",
        part: range | None = None,
        replace: bool = False,
        conditioning: bytes | None = None,
    ):
        """Nothing is opened or locked before the block is entered.

        Args:
            place: folder or address of the cache.
            manifest: of the rows; it gives their number, labels and paths, and is stored beside the shards. Or a text
                that names the list of rows: caches of the same rows, in the same order, have the same text.
            settings: what the features depend on and is known without an encoder, such as the name of a model.
            encoder: what is known once the encoder is loaded. For features of a CLIP that are to be projected by a
                head, `logit_scale`. `add` adds the `width` unless it is there.
            library: names and versions of what makes the features; recorded, but not part of the identity.
            classes: the names that labels index, if `manifest` is a text.
            dtype: of the stored features, float16 or float32.
            part: the numbers of the shards to be written here, where other processes write the others; all by default.
            replace: whether `add` may replace what is in the folder.
            conditioning: content of the file `CONDITIONING`, whose SHA-256 is `conditioning_sha256` in `encoder`;
                without it, or with another, such texts get no index.

        Raises:
            CacheError: the dtype is not one that is stored.
        """
        if dtype not in FEATURE_TYPES:
            raise CacheError(f"{place}: expected features of type {' or '.join(FEATURE_TYPES)}, found {dtype!r}.")
        self.store = store_at(place)
        self.manifest = manifest if isinstance(manifest, Manifest) else None
        self.classes = tuple(self.manifest.classes if self.manifest else classes)
        self.shard_rows = shard_rows
        identity = self.manifest.sha256 if self.manifest else str(manifest)
        self.settings: dict[str, Json] = {**(settings or {}), "dtype": dtype, "manifest": identity}
        self._encoder = dict(encoder or {})
        self._library = library
        self._part = part
        self._rows = len(self.manifest.rows) if self.manifest else None
        self._entries: dict[int, ShardEntry] = {}
        self._replace = replace
        self._conditioning = conditioning
        self._pending: list[Block] = []
        self._added = 0
        self._complete: FeatureCache | None = None
        self._open = ExitStack()
        self._prove_lease: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        """Lock the cache.

        Raises:
            CacheError: another process writes the same shards, or the folder cannot be written to.
        """
        with ExitStack() as stack:
            self.claim = stack.enter_context(writing(self.store.folder, self._part))
            self._prove_lease = stack.enter_context(self.store.leased(self._part))
            own = None if self._part is None else [shard_name(number) for number in self._part]
            self.store.remove_temporaries(own)
            with self.claim.index():
                self.store.remove_temporaries([INDEX, MANIFEST])
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._complete is None:
                self.finish()
        finally:
            self._open.close()

    def add(
        self,
        features: np.ndarray,
        *,
        labels: Sequence[int] | np.ndarray | None = None,
        paths: Sequence[str] | None = None,
        errors: Sequence[str] | None = None,
    ) -> None:
        """Append rows; whenever there are enough for a shard, it is written. Replaces what is in the folder.

        Args:
            features: (m, w) of any float type, raw; of the same width in every call.
            labels: (m,) integers, -1 for none; by default the manifest's, without one -1.
            paths: m names; by default the manifest's, without one the row ids.
            errors: m reasons, "" where a row has features; a row with a reason is skipped by readers.

        Raises:
            CacheError: the lengths or widths differ; there are more rows than in the manifest; a row has neither
                finite features nor an error; or a shard cannot be written.
        """
        features = np.asarray(features)
        if features.ndim == 2:
            self._encoder.setdefault("width", features.shape[1])
        expected = layout_of(Identity(self.settings, self._encoder)).row_width if "width" in self._encoder else "w"
        if features.shape[1:] != (expected,):
            raise CacheError(f"{self.store}: expected features (m, {expected}), found {features.shape}.")
        if not self._added:
            self._make_room()
        rows = range(self._added, self._added + len(features))
        if self._rows is not None and rows.stop > self._rows:
            raise CacheError(f"{self.store}: {rows.stop} rows were added, the manifest has {self._rows}.")
        listed = self.manifest.rows[rows.start : rows.stop] if self.manifest else None
        if labels is None:
            labels = [row.label for row in listed] if listed else [UNLABELLED] * len(rows)
        if paths is None:
            paths = [row.path for row in listed] if listed else [str(row) for row in rows]
        reasons = [""] * len(rows) if errors is None else errors
        if not len(labels) == len(paths) == len(reasons) == len(rows):
            found = f"{len(labels)} labels, {len(paths)} paths and {len(reasons)} errors"
            raise CacheError(f"{self.store}: expected as many as the {len(rows)} rows of features, found {found}.")
        # Too large for float16 becomes infinite, which is refused when the shard is written.
        with np.errstate(over="ignore"):
            stored = features.astype(self.settings["dtype"])
        stored[[bool(reason) for reason in reasons]] = np.nan
        self._pending.append(
            Block(
                number=-1,
                first_row=rows.start,
                features=stored,
                labels=np.asarray(labels, dtype=np.int32),
                paths=tuple(map(os.fsencode, paths)),
                errors=tuple(reason.encode() for reason in reasons),
            )
        )
        self._added = rows.stop
        self._write_full_shards()

    def shard_writer(self, encoder: Mapping[str, Json], library: str) -> ShardWriter:
        """Writes blocks of rows as shards, in this or another process; `record` takes what it returns.

        Args:
            encoder: what is known once the encoder is loaded, `width` included.
            library: see the constructor.
        """
        return ShardWriter(self.store, Identity(self.settings, encoder), library)

    def record(self, entry: ShardEntry) -> None:
        """Count a shard as part of the cache: one that a `ShardWriter` wrote, or one that was there before."""
        self._entries[entry.number] = entry

    @property
    def recorded(self) -> Mapping[int, ShardEntry]:
        """The shards recorded so far, by number."""
        return self._entries

    def put_manifest(self) -> None:
        """Store the manifest beside the shards, so that a cache, finished or not, can be verified on its own."""
        if self.manifest is None:
            return
        with self.claim.index():
            if manifest_sha256(self.store) != self.manifest.sha256:
                write_manifest(self.manifest, self.store.folder / MANIFEST)
                self.store.put(MANIFEST)
                self.store.remove(OLD_MANIFEST)

    def _put_conditioning(self, identity: Identity) -> None:
        refuse_other_conditioning(self.store.path(CONDITIONING), self._conditioning, identity)
        if self._conditioning is None:
            self.store.remove(CONDITIONING)
            return
        write_atomically(self.store.folder / CONDITIONING, self._conditioning)
        self.store.put(CONDITIONING)

    def finish(self) -> FeatureCache | None:
        """Write the index, if every shard is recorded; the cache is complete from then on.

        Returns:
            The complete cache, or None while shards are missing.

        Raises:
            CacheError: shards come from different encoders or settings; fewer rows were added than the manifest has; or
                the index cannot be written.
        """
        if self._added:
            if self._rows is not None and self._added < self._rows:
                raise CacheError(f"{self.store}: {self._added} rows were added, the manifest has {self._rows}.")
            self._rows = self._added
            self._write_full_shards(rest=True)
        plan = plan_shards(self._rows or 0, self.shard_rows)
        if not plan or any(number not in self._entries for number in range(len(plan))):
            return None
        entries = [self._entries[number] for number in range(len(plan))]
        refuse_other_identity(self.store, entries, entries[0].identity)
        if self._added:
            self._remove_other_shards()
            self.put_manifest()
            self._put_conditioning(entries[0].identity)
        with self.claim.index():
            self._prove_lease()
            self._refuse_replaced_shards(entries)
            write_index(
                self.store.folder,
                entries[0].identity,
                [entry.record for entry in entries],
                [item for entry in entries for item in entry.skipped],
                rows=self._rows or 0,
                shard_rows=self.shard_rows,
                classes=self.classes,
                libraries=sorted({entry.library for entry in entries}),
            )
            self.store.put(INDEX)
        self._complete = FeatureCache(self.store)
        return self._complete

    def _refuse_replaced_shards(self, entries: Sequence[ShardEntry]) -> None:
        """The index must list what is there. In a folder the kernel's lock sees to that.

        Raises:
            CacheError: another process has replaced or removed a shard of a remote cache.
        """
        if isinstance(self.store, Folder):
            return

        def is_there(entry: ShardEntry) -> bool:
            try:
                return self.store.proved(shard_name(entry.number)) == entry
            except CacheError:
                return False

        changed = [entry for entry, same in zip(entries, self.store.each(is_there, entries), strict=True) if not same]
        if changed:
            raise CacheError(
                f"{self.store}: {shard_name(changed[0].number)} is not what this process put there or found "
                f"({len(changed)} of {len(entries)} shards are not), so no index was written: another process has been "
                "at work here. Run the same command again: it keeps what is as requested."
            )

    def _write_full_shards(self, *, rest: bool = False) -> None:
        """Write the pending rows as shards; those that fill none stay pending, unless it is the end."""
        pending = sum(len(block.features) for block in self._pending)
        if pending < self.shard_rows and not (rest and pending):
            return
        features = np.concatenate([block.features for block in self._pending])
        labels = np.concatenate([block.labels for block in self._pending])
        paths = tuple(chain.from_iterable(block.paths for block in self._pending))
        errors = tuple(chain.from_iterable(block.errors for block in self._pending))
        shards, self._pending = self.shard_writer(self._encoder, self._library), []
        for part in plan_shards(pending, self.shard_rows):
            rows, number = slice(part.start, part.stop), len(self._entries)
            block = Block(
                number=number,
                first_row=number * self.shard_rows,
                features=features[rows],
                labels=labels[rows],
                paths=paths[rows],
                errors=errors[rows],
            )
            if len(part) == self.shard_rows or rest:
                self.record(shards.write(block))
            else:
                self._pending = [block]

    def _make_room(self) -> None:
        """Remove the index of what is there, so that it never lists shards that are about to change."""
        there = [name for name in self.store.sizes() if name == INDEX or name.startswith("shard-")]
        if there and not self._replace:
            raise CacheError(
                f"{self.store}: already holds a cache ({len(there)} files). Choose another folder or pass replace=True."
            )
        self.store.remove(INDEX)

    def _remove_other_shards(self) -> None:
        """Remove shards of what was there before that no new one has replaced."""
        own = {shard_name(number) for number in self._entries}
        for name in self.store.sizes():
            if name.startswith("shard-") and name not in own:
                self.store.remove(name)


def refuse_other_identity(store: Store, entries: Iterable[ShardEntry], identity: Identity) -> None:
    """All shards of a cache must come from the same encoder under the same settings.

    Raises:
        CacheError: one of them does not.
    """
    for entry in entries:
        if changed := identity_differences(entry.identity, identity):
            raise CacheError(
                f"{store}: {shard_name(entry.number)} was made with another encoder or settings.\n  "
                + "\n  ".join(changed)
                + "\nChoose another output folder, or delete this one."
            )
