"""Mutated shards and indexes, thrown at the reader in a process of its own.

A case follows from its number. Plain mutations leave the checksums wrong; others mend them, so that what lies behind
the checksums is reached. Whatever is thrown, the reader must refuse it with a CacheError or read it soundly.
"""

import copy
import json
import mmap
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from caches import head_of, make_cache, sealed, with_head
from expclip_cache.base.errors import CacheError
from expclip_cache.cache.format import INDEX, Identity, shard_name
from expclip_cache.cache.index import index_bytes
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.shard import open_shard

SECONDS_A_CASE = 1.0
WORDS = [0, 1, 2**8 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 4096, 512]
EVIL = [
    None,
    True,
    -1,
    0,
    1,
    3,
    1 << 31,
    1 << 62,
    1 << 64,
    10**400,
    1.5,
    "",
    "x",
    "<f8",
    ">f2",
    "|O8",
    "|S0",
    "|S99999999",
    "\0",
    "\udcff",
    [],
    {},
    [4, 4],
    [1 << 40, 4],
    [-1, -1],
    ["<f2", [4, 4], 0],
    ["|V8", [4], 4096],
    "shard-00001.h5",
    "../../outside",
]


@dataclass
class Tally:
    """What came of the cases."""

    cases: int = 0
    outcomes: Counter = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


def fuzz(folder: Path, seconds: float, first_case: int = 0) -> Tally:
    """Run cases for some time, in children that may crash; a crash or a hang is a failure and the rest goes on."""
    samples = Samples(folder)
    tally, end, case = Tally(), time.monotonic() + seconds, first_case
    while time.monotonic() < end:
        shared = mmap.mmap(-1, 4096)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _run(samples, case, end, shared, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            report = pipe.read()
        _, status = os.waitpid(child, 0)
        last = int.from_bytes(shared[:8], "little")
        if os.WIFSIGNALED(status) or not report:
            tally.failures.append(f"case {last}: ended by status {status}")
            tally.cases += last - case + 1
        else:
            found = json.loads(report)
            tally.cases += found["cases"]
            tally.outcomes.update(found["outcomes"])
            tally.slowest = max(tally.slowest, found["slowest"])
            tally.failures += found["failures"]
        case = last + 1
    return tally


class Samples:
    """A valid cache of two shards, one with a skipped row, and a place to put mutants."""

    def __init__(self, folder: Path):
        self.whole = make_cache(folder / "whole", rows=8, bad=(1,))
        self.mutant = make_cache(folder / "mutant", rows=8, bad=(1,))
        self.shard = (self.whole / shard_name(0)).read_bytes()
        self.index = (self.whole / INDEX).read_bytes()
        self.good = FeatureCache(self.whole).good_rows
        self.features = FeatureCache(self.whole)[self.good]


def _run(samples: Samples, case: int, end: float, shared: mmap.mmap, pipe: int) -> None:
    """Cases until the time is over; never returns."""
    outcomes, failures, slowest, first = Counter(), [], 0.0, case
    while time.monotonic() < end:
        shared[:8] = case.to_bytes(8, "little")
        signal.alarm(20)
        try:
            start = time.process_time()
            outcomes[attack(samples, case)] += 1
            took = time.process_time() - start
            slowest = max(slowest, took)
            if took > SECONDS_A_CASE:
                failures.append(f"case {case}: took {took:.1f} s")
        except Exception as error:  # noqa: BLE001 - anything but a CacheError is what we are looking for
            failures.append(f"case {case}: {error!r}")
        case += 1
    report = {"cases": case - first, "outcomes": outcomes, "slowest": slowest, "failures": failures}
    os.write(pipe, json.dumps(report).encode())
    os._exit(0)


def attack(samples: Samples, case: int) -> str:
    """One case; returns what came of it.

    Raises:
        Exception: the reader did something it must not do.
    """
    dice = random.Random(case)
    kind = dice.choice(["shard", "sealed shard", "head", "index", "sealed index"])
    if "index" in kind:
        mutant = mutated(dice, samples.index) if kind == "index" else mutated_index(dice, samples.index)
        (samples.mutant / INDEX).write_bytes(mutant)
        outcome = _read_cache(samples, trusted=kind == "index")
    else:
        make = {"shard": mutated, "sealed shard": lambda *a: sealed(mutated(*a)), "head": mutated_head}
        mutant = make[kind](dice, samples.shard)
        (samples.mutant / INDEX).write_bytes(samples.index)
        (samples.mutant / shard_name(0)).write_bytes(mutant)
        outcome = _read_shard(samples, changed=mutant != samples.shard, resealed=kind != "shard")
        _read_cache(samples, trusted=True)
        (samples.mutant / shard_name(0)).write_bytes(samples.shard)
    return f"{kind}: {outcome}"


def mutated(dice: random.Random, raw: bytes) -> bytes:
    """Between one and eight changes of bytes, words, pieces or length."""
    mutant = bytearray(raw)
    for _ in range(dice.choice([1, 1, 1, 2, 4, 8])):
        # Half of all changes go to the head, where most of the meaning is.
        place = dice.randrange(min(len(mutant), dice.choice([1500, len(raw)])) or 1)
        kind = dice.randrange(8)
        if kind == 0 and mutant:
            mutant[place] ^= 1 << dice.randrange(8)
        elif kind == 1 and mutant:
            mutant[place] = dice.randrange(256)
        elif kind == 2:
            mutant[place & ~7 : (place & ~7) + 8] = (dice.choice(WORDS) % 2**64).to_bytes(8, "little")
        elif kind == 3:
            mutant[place : place + dice.randrange(64)] = b""
        elif kind == 4:
            mutant[place:place] = dice.randbytes(dice.randrange(64))
        elif kind == 5:
            other = dice.randrange(len(mutant) or 1)
            mutant[place : place + 16] = mutant[other : other + 16]
        elif kind == 6:
            del mutant[dice.randrange(len(mutant) or 1) :]
        else:
            mutant[place : place + 64] = bytes(64)
    return bytes(mutant)


def mutated_head(dice: random.Random, raw: bytes) -> bytes:
    """One or two values of the head's JSON replaced; length, fingerprint and checksum often mended."""
    body = head_of(raw)
    for _ in range(dice.choice([1, 1, 2])):
        _replace_somewhere(dice, body)
    if dice.random() < 0.3:
        raw = mutated(dice, raw[4096:]).join([raw[:4096], b""])
        body["bytes"] = len(raw)
    if dice.random() < 0.7:
        _mend_fingerprint(body)
    return _or_plain(lambda: with_head(raw, body), raw)


def mutated_index(dice: random.Random, raw: bytes) -> bytes:
    """One or two values of the index replaced, fingerprint often and checksum always mended."""
    body = json.loads(raw)
    del body["xxh3_128"]
    for _ in range(dice.choice([1, 1, 2])):
        _replace_somewhere(dice, body)
    if dice.random() < 0.7:
        _mend_fingerprint(body)
    return _or_plain(lambda: index_bytes(body), raw)


def _replace_somewhere(dice: random.Random, tree: object) -> None:
    """Walk down at random, then replace, remove or add an entry."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else range(len(tree))
        if not keys:
            return
        key = dice.choice(keys)
        if isinstance(tree[key], dict | list) and dice.random() < 0.8:
            tree = tree[key]
            continue
        change = dice.randrange(10)
        if change == 0:
            del tree[key]
        elif change == 1 and isinstance(tree, dict):
            tree[dice.choice(["more", "features", ""])] = copy.deepcopy(dice.choice(EVIL))
        elif change == 2 and isinstance(tree[key], int):
            tree[key] += dice.choice([-64, -8, -1, 1, 8, 64])
        else:
            tree[key] = copy.deepcopy(dice.choice(EVIL))
        return


def _mend_fingerprint(body: object) -> None:
    try:
        body["fingerprint"] = Identity(dict(body["settings"]), dict(body["encoder"])).fingerprint
    except (KeyError, TypeError, ValueError):
        return


def _or_plain(make, raw: bytes) -> bytes:
    """What JSON cannot hold is no mutant."""
    try:
        return make()
    except (ValueError, UnicodeEncodeError):
        return raw


def _read_shard(samples: Samples, changed: bool, resealed: bool) -> str:
    path = samples.mutant / shard_name(0)
    try:
        shard = open_shard(path)
        shard.check_rows()
    except CacheError:
        return "refused"
    if not resealed and changed:
        raise AssertionError("a changed shard passed its checksum")
    n, width = shard.features.shape
    assert shard.labels.shape == shard.paths.shape == shard.errors.shape == (n,)
    assert shard.features.nbytes <= path.stat().st_size
    assert width > 0
    shard.entry()
    # Touch every byte: a view that reaches beyond the file would end this process.
    for values in (shard.features, shard.labels, shard.paths, shard.errors):
        np.ascontiguousarray(values).view(np.uint8).sum()
    return "read"


def _read_cache(samples: Samples, trusted: bool) -> str:
    """Read every row of the mutant cache; what carries its own checksum can only be refused or be as it was."""
    try:
        cache = FeatureCache(samples.mutant)
        found = cache[cache.good_rows]
        cache.labels[cache.good_rows], cache.paths(cache.good_rows)
    except CacheError:
        return "refused"
    if trusted or found.shape == samples.features.shape:
        np.testing.assert_array_equal(found, samples.features)
    return "read"
