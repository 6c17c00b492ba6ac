"""Fuzz the reader with mutated shards and indexes, in a process of its own.

A case is determined by its number. Plain mutations leave the checksums wrong; others get valid checksums, so that the
checks behind them are reached too. The reader must refuse every mutant with a CacheError or read it correctly.
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

from caches import header_of, make_cache, resealed, with_header
from expclip_cache.base.errors import CacheError
from expclip_cache.cache.format import INDEX, Identity, shard_name
from expclip_cache.cache.index import index_bytes
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.shard import open_shard

SECONDS_PER_CASE = 1.0
BOUNDARY_WORDS = [0, 1, 2**8 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 4096, 512]
BAD_VALUES = [
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
    """How many cases ran, and how they ended."""

    cases: int = 0
    outcomes: Counter = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


def fuzz(folder: Path, seconds: float, first_case: int = 0) -> Tally:
    """Run cases for some time, in child processes: a crash or a hang counts as a failure, and the next child starts."""
    samples = Samples(folder)
    tally, end, case = Tally(), time.monotonic() + seconds, first_case
    while time.monotonic() < end:
        shared = mmap.mmap(-1, 4096)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _run_cases(samples, case, end, shared, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            report = pipe.read()
        _, status = os.waitpid(child, 0)
        last = int.from_bytes(shared[:8], "little")
        if os.WIFSIGNALED(status) or not report:
            tally.failures.append(f"case {last}: the process ended with status {status}")
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
    """A valid cache of two shards, one with a skipped row, and a copy of it that receives the mutants."""

    def __init__(self, folder: Path):
        self.valid = make_cache(folder / "valid", rows=8, bad=(1,))
        self.mutant = make_cache(folder / "mutant", rows=8, bad=(1,))
        self.shard = (self.valid / shard_name(0)).read_bytes()
        self.index = (self.valid / INDEX).read_bytes()
        self.good = FeatureCache(self.valid).good_rows
        self.features = FeatureCache(self.valid)[self.good]


def _run_cases(samples: Samples, case: int, end: float, shared: mmap.mmap, pipe: int) -> None:
    """Run cases until the time is over; never returns."""
    outcomes, failures, slowest, first = Counter(), [], 0.0, case
    while time.monotonic() < end:
        shared[:8] = case.to_bytes(8, "little")
        signal.alarm(20)
        try:
            start = time.process_time()
            outcomes[run_case(samples, case)] += 1
            took = time.process_time() - start
            slowest = max(slowest, took)
            if took > SECONDS_PER_CASE:
                failures.append(f"case {case}: took {took:.1f} s")
        except Exception as error:  # noqa: BLE001 - anything but a CacheError is what the fuzzing looks for
            failures.append(f"case {case}: {error!r}")
        case += 1
    report = {"cases": case - first, "outcomes": outcomes, "slowest": slowest, "failures": failures}
    os.write(pipe, json.dumps(report).encode())
    os._exit(0)


def run_case(samples: Samples, case: int) -> str:
    """Run one case; returns its kind and outcome.

    Raises:
        Exception: the reader did something that it must not do.
    """
    rng = random.Random(case)
    kind = rng.choice(["shard", "resealed shard", "header", "index", "resealed index"])
    if "index" in kind:
        mutant = mutated(rng, samples.index) if kind == "index" else mutated_index(rng, samples.index)
        (samples.mutant / INDEX).write_bytes(mutant)
        outcome = _read_cache(samples, must_be_equal=kind == "index")
    else:
        mutate = {"shard": mutated, "resealed shard": lambda *a: resealed(mutated(*a)), "header": mutated_header}
        mutant = mutate[kind](rng, samples.shard)
        (samples.mutant / INDEX).write_bytes(samples.index)
        (samples.mutant / shard_name(0)).write_bytes(mutant)
        outcome = _read_shard(samples, changed=mutant != samples.shard, checksum_is_valid=kind != "shard")
        _read_cache(samples, must_be_equal=True)
        (samples.mutant / shard_name(0)).write_bytes(samples.shard)
    return f"{kind}: {outcome}"


def mutated(rng: random.Random, raw: bytes) -> bytes:
    """Make one to eight changes: of bits, bytes, words, pieces or the length."""
    mutant = bytearray(raw)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 8])):
        # Half of all changes go to the header, which decides how the rest is read.
        place = rng.randrange(min(len(mutant), rng.choice([1500, len(raw)])) or 1)
        kind = rng.randrange(8)
        if kind == 0 and mutant:
            mutant[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and mutant:
            mutant[place] = rng.randrange(256)
        elif kind == 2:
            mutant[place & ~7 : (place & ~7) + 8] = (rng.choice(BOUNDARY_WORDS) % 2**64).to_bytes(8, "little")
        elif kind == 3:
            mutant[place : place + rng.randrange(64)] = b""
        elif kind == 4:
            mutant[place:place] = rng.randbytes(rng.randrange(64))
        elif kind == 5:
            other = rng.randrange(len(mutant) or 1)
            mutant[place : place + 16] = mutant[other : other + 16]
        elif kind == 6:
            del mutant[rng.randrange(len(mutant) or 1) :]
        else:
            mutant[place : place + 64] = bytes(64)
    return bytes(mutant)


def mutated_header(rng: random.Random, raw: bytes) -> bytes:
    """Change one or two values of the header; often correct length and fingerprint, always the checksum."""
    body = header_of(raw)
    for _ in range(rng.choice([1, 1, 2])):
        _change_one_value(rng, body)
    if rng.random() < 0.3:
        raw = raw[:4096] + mutated(rng, raw[4096:])
        body["bytes"] = len(raw)
    if rng.random() < 0.7:
        _correct_fingerprint(body)
    return _made_or(lambda: with_header(raw, body), raw)


def mutated_index(rng: random.Random, raw: bytes) -> bytes:
    """Change one or two values of the index; often correct the fingerprint, always the checksum."""
    body = json.loads(raw)
    del body["xxh3_128"]
    for _ in range(rng.choice([1, 1, 2])):
        _change_one_value(rng, body)
    if rng.random() < 0.7:
        _correct_fingerprint(body)
    return _made_or(lambda: index_bytes(body), raw)


def _change_one_value(rng: random.Random, tree: object) -> None:
    """Walk down the tree at random, then replace, remove or add an entry."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else range(len(tree))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(tree[key], dict | list) and rng.random() < 0.8:
            tree = tree[key]
            continue
        change = rng.randrange(10)
        if change == 0:
            del tree[key]
        elif change == 1 and isinstance(tree, dict):
            tree[rng.choice(["more", "features", ""])] = copy.deepcopy(rng.choice(BAD_VALUES))
        elif change == 2 and isinstance(tree[key], int):
            tree[key] += rng.choice([-64, -8, -1, 1, 8, 64])
        else:
            tree[key] = copy.deepcopy(rng.choice(BAD_VALUES))
        return


def _correct_fingerprint(body: object) -> None:
    try:
        body["fingerprint"] = Identity(dict(body["settings"]), dict(body["encoder"])).fingerprint
    except (KeyError, TypeError, ValueError):
        return


def _made_or(make, raw: bytes) -> bytes:
    """The mutant, or the original bytes if the mutant cannot be written as JSON."""
    try:
        return make()
    except (ValueError, UnicodeEncodeError):
        return raw


def _read_shard(samples: Samples, changed: bool, checksum_is_valid: bool) -> str:
    path = samples.mutant / shard_name(0)
    try:
        shard = open_shard(path)
        shard.check_rows()
    except CacheError:
        return "refused"
    if not checksum_is_valid and changed:
        raise AssertionError("a changed shard passed its checksum")
    n, width = shard.features.shape
    assert shard.labels.shape == shard.paths.shape == shard.errors.shape == (n,)
    assert shard.features.nbytes <= path.stat().st_size
    assert width > 0
    shard.entry()
    # Touch every byte: a view that reaches beyond the file would crash this process.
    for values in (shard.features, shard.labels, shard.paths, shard.errors):
        np.ascontiguousarray(values).view(np.uint8).sum()
    return "read"


def _read_cache(samples: Samples, must_be_equal: bool) -> str:
    """Read every row of the mutated cache.

    Args:
        must_be_equal: whether the features, if they can be read at all, must be the original ones.
    """
    try:
        cache = FeatureCache(samples.mutant)
        found = cache[cache.good_rows]
        cache.labels[cache.good_rows], cache.paths(cache.good_rows)
    except CacheError:
        return "refused"
    if must_be_equal or found.shape == samples.features.shape:
        np.testing.assert_array_equal(found, samples.features)
    return "read"
