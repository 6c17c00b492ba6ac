"""Who is writing to a distant cache: a small object that says so and is refreshed while it is true.

It is advice, not a lock: no object store gives one by means that all have. Two extractions that start in the same
moment both look again after they have signed, and the later yields; where even that fails (clocks hours apart, a
machine asleep for longer than `STALE`), both do the same work, and put whole files with equal content.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from expclip_cache.base import CacheError, write_atomically
from expclip_cache.cache.lock import may_live

LEASES = ".leases"
REFRESH = 30.0
"""Seconds between two signatures."""

STALE = 300.0
"""Seconds after the last signature until a lease says nothing any more. Clocks may differ by less than that."""

ALL = (0, 1 << 40)


@contextmanager
def lease(store, shards: range | None) -> Iterator[None]:
    """Sign for some shards of a store for the block.

    Args:
        store: see `expclip_cache.cache.stores.remote.Remote`.
        shards: None for all there are or could be, and the index.

    Raises:
        CacheError: another process has signed for one of them, not long ago; the message names it.
    """
    first, end = ALL if shards is None else (shards.start, shards.stop)
    me = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time(), "shards": [first, end]}
    name = f"{LEASES}/{secrets.token_hex(8)}.json"
    _refuse(store, _others(store, name, me))
    _sign(store, name, me)
    try:
        # Whoever signed meanwhile sees us too, and both agree on who came later.
        _refuse(store, [other for other in _others(store, name, me) if _rank(other) < _rank(me | {"name": name})])
        ended = threading.Event()
        keeper = threading.Thread(target=_refresh, args=(store, name, me, ended), name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()
    finally:
        # A lease that stays behind goes stale.
        with suppress(CacheError):
            store.remove(name)


def _others(store, mine: str, me: dict) -> list[dict]:
    """The leases of others that hold and concern our shards; stale ones are removed."""
    found = []
    for file in store.leases():
        name = f"{LEASES}/{file}"
        if name == mine:
            continue
        try:
            other = json.loads(store.read(name)) | {"name": name}
            overlap = max(other["shards"][0], me["shards"][0]) < min(other["shards"][1], me["shards"][1])
            if not _holds(other):
                store.remove(name)
            elif overlap:
                found.append(other)
        except (CacheError, ValueError, KeyError, TypeError, IndexError):
            # It has gone meanwhile, or is none of ours.
            continue
    return found


def _holds(other: dict) -> bool:
    """Whether its holder may still be at work: it signed lately and, if it is on this machine, its process is there."""
    if time.time() - other["signed"] >= STALE:
        return False
    return other["host"] != socket.gethostname() or may_live(other["pid"])


def _refuse(store, others: list[dict]) -> None:
    for other in others:
        since = datetime.fromtimestamp(other["started"], UTC).isoformat(timespec="seconds")
        raise CacheError(
            f"{store}: another extraction is writing here (process {other['pid']} on {other['host']} since {since}). "
            "Wait for it to end, or stop it; what it has finished is kept. If it is gone, its claim ends "
            f"{STALE:.0f} s after it last signed."
        )


def _rank(holder: dict) -> tuple[float, str]:
    return holder["started"], holder["name"]


def _sign(store, name: str, me: dict) -> None:
    path = store.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(me | {"signed": time.time()}).encode())
    store.put(name)


def _refresh(store, name: str, me: dict, ended: threading.Event) -> None:
    while not ended.wait(REFRESH):
        # A store that is out of reach is reported by the next shard that is put.
        with suppress(CacheError):
            _sign(store, name, me)
