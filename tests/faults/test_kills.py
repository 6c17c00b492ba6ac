"""kill -9 at any moment: what was finished stays, nothing half-written counts, and the resume ends in the same bytes.

EXPCLIP_KILLS=200 gives the run that docs/faults.md reports.
"""

import os
import random
import signal
import sys
from collections import Counter

import pytest
from harness import MANY, contents, finished

KILLS = int(os.environ.get("EXPCLIP_KILLS", "8"))
STEPS_OF_A_FILE = ["fsync of file", "rename", "fsync of folder"]


def check_and_resume(zygote, out, undisturbed, *options):
    """Hold what a killed run left against the undisturbed cache, then finish it; returns how many shards were left."""
    whole, _ = undisturbed
    before = finished(out)
    left = contents(out) if out.exists() else {}
    for name, content in left.items():
        assert name.endswith(".tmp") or content == whole[name], name
    if "index.json" in left:
        assert set(whole) <= set(left)
    run = zygote.extract(out, *options)
    assert run.status == 0, run.output
    assert contents(out) == whole
    after = finished(out)
    assert {name: after[name] for name in before} == before, "a finished shard was made again"
    return len(after) - len(before)


def test_kills_at_every_step_of_the_writer(zygote, undisturbed, tmp_path):
    log = tmp_path / "steps.txt"
    zygote.extract(tmp_path / "counted", fault={"count steps": str(log)})
    steps = log.read_text().splitlines()
    files = len(undisturbed[0])
    assert steps == STEPS_OF_A_FILE * files
    moments = [("before", step) for step in range(len(steps))]
    # The files are the manifest, the shards and the index; half of one of each kind is enough.
    moments += [("torn", 0), ("torn", 3), ("torn", len(steps) - 3), ("after", len(steps) - 1)]
    for when, step in moments:
        out = tmp_path / f"{when}-{step}"
        run = zygote.extract(out, fault={"kill at step": {"step": step, "when": when}})
        assert run.status == -signal.SIGKILL, run.output
        # A file is there from its rename on.
        named = step // 3 + (step % 3 == 2)
        assert len(finished(out)) == min(max(named - 1, 0), files - 2)
        check_and_resume(zygote, out, undisturbed)


def test_kills_at_random_moments(zygote, many, tmp_path):
    dice, working, missing, hit = random.Random(KILLS), many[1], Counter(), 0
    for number in range(KILLS):
        out, options = tmp_path / str(number), [*MANY, f"--workers={number % 2}"]
        # Every other pair also leaves decoded pictures behind, which the resume takes as far as they are whole.
        options += [f"--pixels={tmp_path}/{number}-pixels"] if number % 4 > 1 else []
        # Spread over the work and not over the clock, of which most goes into loading the encoder.
        moment = {"shards": dice.randrange(11), "after": dice.uniform(0, working / 10)}
        run = zygote.extract(out, *options, signal=int(signal.SIGKILL), **moment)
        hit += run.status == -signal.SIGKILL
        assert run.left == []
        missing[check_and_resume(zygote, out, many, *options)] += 1
    sys.stdout.write(
        f"{KILLS} kills, {hit} of them before the end; shards still to make: {dict(sorted(missing.items()))}\n"
    )
    assert hit > KILLS // 3


def test_an_extraction_that_is_killed_again_and_again_still_ends(zygote, many, tmp_path):
    dice, working, out, done = random.Random(1), many[1], tmp_path / "out", 0
    for _ in range(40):
        run = zygote.extract(out, *MANY, signal=int(signal.SIGKILL), after=dice.uniform(0, working))
        assert len(finished(out)) >= done
        done = len(finished(out))
        if run.status == 0:
            break
    check_and_resume(zygote, out, many, *MANY)


@pytest.mark.parametrize("step", [6, 8])
def test_damage_to_a_finished_shard_after_a_kill_is_noticed_on_resume(zygote, undisturbed, tmp_path, step):
    out = tmp_path / "out"
    zygote.extract(out, fault={"kill at step": {"step": step, "when": "before"}})
    path = out / "shard-00000.h5"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    run = zygote.extract(out)
    assert "does not match its checksum: the file is damaged. Making it again." in run.output
    assert contents(out) == undisturbed[0]
