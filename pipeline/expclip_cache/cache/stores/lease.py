"""Who is writing to a remote cache: a small object that names the writer and is refreshed while it works.

It is advisory, not a lock: no object store offers a lock by means that all of them have, and a conditional PUT, which
some have, does not expire with its process. Two extractions that start at the same moment both check again after they
have signed, and the later one yields. Where even that fails (clocks further apart than `STALE`, a machine asleep for
longer than that), both put complete files, and whoever finishes proves its lease and every shard before the index.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from expclip_cache.base import CacheError, write_atomically
from expclip_cache.cache.lock import may_be_alive
from expclip_cache.cache.stores.store import Store

LENGTH = 512
"""Bytes of a lease, filled up with spaces."""

LEASES = ".leases"
REFRESH = 30.0
"""Seconds between two signatures."""

STALE = 300.0
"""Seconds after the last signature until a lease expires. Clocks may differ by less than that."""

ALL = (0, 1 << 40)


class LeasedStore(Store, Protocol):
    """A remote store, which can list the leases in it."""

    def leases(self) -> list[str]:
        """Names of the leases that exist now."""
        ...


@contextmanager
def lease(store: LeasedStore, shards: range | None) -> Iterator[Callable[[], None]]:
    """Sign for some shards of a store for the block.

    Args:
        shards: their numbers; None for all that exist or could exist, and the index.

    Yields:
        A function that raises a CacheError if the lease has been lost, because this machine slept for longer than it
        lasts.

    Raises:
        CacheError: another process has signed for one of them recently; the message names it.
    """
    first, end = ALL if shards is None else (shards.start, shards.stop)
    me = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time(), "shards": [first, end]}
    name = f"{LEASES}/{secrets.token_hex(8)}.json"
    _refuse(store, _others(store, name, me))
    _sign(store, name, me)
    try:
        # Whoever signed in the meantime sees us too, and both agree on who came later.
        _refuse(store, [other for other in _others(store, name, me) if _rank(other) < _rank(me | {"name": name})])
        ended = threading.Event()
        keeper = threading.Thread(target=_refresh, args=(store, name, me, ended), name="lease", daemon=True)
        keeper.start()
        try:
            yield lambda: _prove(store, name, me)
        finally:
            ended.set()
            keeper.join()
    finally:
        # A lease that is left behind expires.
        with suppress(CacheError):
            store.remove(name)


def _others(store: LeasedStore, mine: str, me: dict[str, Any]) -> list[dict[str, Any]]:
    """The valid leases of others that concern our shards; expired ones are removed."""
    found = []
    for file in store.leases():
        name = f"{LEASES}/{file}"
        if name == mine:
            continue
        try:
            other = json.loads(store.read(name)) | {"name": name}
            overlap = max(other["shards"][0], me["shards"][0]) < min(other["shards"][1], me["shards"][1])
            other["since"] = datetime.fromtimestamp(other["started"], UTC).isoformat(timespec="seconds")
            if not _holds(other):
                store.remove(name)
            elif overlap:
                found.append(other)
        except (CacheError, ValueError, KeyError, TypeError, IndexError, OverflowError, OSError, RecursionError):
            # It was removed in the meantime, or is no lease: numbers may have any size, brackets any depth.
            continue
    return found


def _holds(other: dict[str, Any]) -> bool:
    """Whether its holder may still be at work: it signed recently and, if on this machine, its process is alive.

    A signature from far in the future says no more than one from long ago.
    """
    if not abs(time.time() - other["signed"]) < STALE:
        return False
    return other["host"] != socket.gethostname() or may_be_alive(other["pid"])


def _refuse(store: LeasedStore, others: list[dict[str, Any]]) -> None:
    for other in others:
        raise CacheError(
            f"{store}: another extraction is writing here (process {other['pid']} on {other['host']} since "
            f"{other['since']}). Wait for it to end, or stop it; what it has finished is kept. If it no longer runs, "
            f"its lease expires {STALE:.0f} s after it last signed."
        )


def _rank(holder: dict[str, Any]) -> tuple[float, str]:
    return holder["started"], holder["name"]


def _sign(store: LeasedStore, name: str, me: dict[str, Any]) -> None:
    path = store.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always as long: a store that looks up an object's length before it reads it must not cut off a newer signature.
    write_atomically(path, json.dumps(me | {"signed": time.time()}).ljust(LENGTH).encode())
    store.put(name)


def _refresh(store: LeasedStore, name: str, me: dict[str, Any], ended: threading.Event) -> None:
    while not ended.wait(REFRESH):
        # A store that cannot be reached is reported by the next shard that is put.
        with suppress(CacheError):
            if store.size(name) is None:
                # It expired while this machine slept, and another process removed it.
                return
            _sign(store, name, me)


def _prove(store: LeasedStore, name: str, me: dict[str, Any]) -> None:
    _refuse(store, _others(store, name, me))
    if store.size(name) is None:
        raise CacheError(
            f"{store}: this process lost its lease: it has not signed for {STALE:.0f} s (was the machine asleep?), and "
            "another process has been at work here since. Run the same command again: it keeps what is as requested."
        )
