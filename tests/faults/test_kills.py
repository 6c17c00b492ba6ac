"""`kill -9` at any moment: finished shards stay, partial files are ignored, and resuming gives the same bytes.

EXPCLIP_KILLS=200 gives the run that docs/faults.md reports.
"""

import os
import random
import signal
import sys
from collections import Counter

import pytest
from harness import MANY_SHARDS, files_in, finished_shards

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("EXPCLIP_KILLS", "8"))
STEPS_PER_FILE = ["fsync of file", "rename", "fsync of folder"]


def check_and_resume(zygote, out, uninterrupted, *options):
    """Compare what a killed run left with the uninterrupted cache, then resume; returns how many shards it encoded."""
    expected, _ = uninterrupted
    before = finished_shards(out)
    left = files_in(out) if out.exists() else {}
    for name, content in left.items():
        assert name.endswith(".tmp") or content == expected[name], name
    if "index.json" in left:
        assert set(expected) <= set(left)
    run = zygote.extract(out, *options)
    assert run.status == 0, run.output
    assert files_in(out) == expected
    after = finished_shards(out)
    assert {name: after[name] for name in before} == before, "a finished shard was encoded again"
    return len(after) - len(before)


def test_kills_at_every_step_of_the_writer(zygote, uninterrupted, tmp_path):
    log = tmp_path / "steps.txt"
    zygote.extract(tmp_path / "logged", fault={"log steps": str(log)})
    steps = log.read_text().splitlines()
    files = len(uninterrupted[0])
    # The first is the folder above the new one.
    assert steps == ["fsync of folder", *STEPS_PER_FILE * files]
    moments = [("before", step) for step in range(len(steps))]
    # The files are the manifest, the shards and the index: tear one of each kind.
    moments += [("torn", 1), ("torn", 4), ("torn", len(steps) - 3), ("after", len(steps) - 1)]
    for when, step in moments:
        out = tmp_path / f"{when}-{step}"
        run = zygote.extract(out, fault={"kill at step": {"step": step, "when": when}})
        assert run.status == -signal.SIGKILL, run.output
        # A file exists from its rename on.
        renamed = (step - 1) // 3 + ((step - 1) % 3 == 2) if step else 0
        assert len(finished_shards(out)) == min(max(renamed - 1, 0), files - 2)
        check_and_resume(zygote, out, uninterrupted)


def test_kills_at_random_moments(zygote, uninterrupted_many_shards, tmp_path):
    rng, working, missing, killed = random.Random(KILLS), uninterrupted_many_shards[1], Counter(), 0
    for number in range(KILLS):
        out, options = tmp_path / str(number), [*MANY_SHARDS, f"--workers={number % 2}"]
        # Every second pair of runs also keeps decoded images, and the resumed run uses those that are complete.
        options += [f"--pixels={tmp_path}/{number}-pixels"] if number % 4 > 1 else []
        # Spread over the shards and not over time, most of which goes into loading the encoder.
        moment = {"shards": rng.randrange(11), "after": rng.uniform(0, working / 10)}
        run = zygote.extract(out, *options, signal=int(signal.SIGKILL), **moment)
        killed += run.status == -signal.SIGKILL
        assert run.left == []
        missing[check_and_resume(zygote, out, uninterrupted_many_shards, *options)] += 1
    sys.stdout.write(
        f"{KILLS} kills, {killed} of them before the end; missing shards: {dict(sorted(missing.items()))}\n"
    )
    assert killed > KILLS // 3


def test_an_extraction_that_is_killed_repeatedly_still_finishes(zygote, uninterrupted_many_shards, tmp_path):
    rng, working, out, done = random.Random(1), uninterrupted_many_shards[1], tmp_path / "out", 0
    for _ in range(40):
        run = zygote.extract(out, *MANY_SHARDS, signal=int(signal.SIGKILL), after=rng.uniform(0, working))
        assert len(finished_shards(out)) >= done
        done = len(finished_shards(out))
        if run.status == 0:
            break
    check_and_resume(zygote, out, uninterrupted_many_shards, *MANY_SHARDS)


@pytest.mark.parametrize("step", [6, 8])
def test_a_finished_shard_that_is_damaged_after_a_kill_is_encoded_again(zygote, uninterrupted, tmp_path, step):
    out = tmp_path / "out"
    zygote.extract(out, fault={"kill at step": {"step": step, "when": "before"}})
    path = out / "shard-00000.h5"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    run = zygote.extract(out)
    assert "does not match its checksum: the file is damaged. Encoding it again." in run.output
    assert files_in(out) == uninterrupted[0]
