"""A few seconds of fuzzing; EXPCLIP_FUZZ_SECONDS=1800 gives the half hour that docs/faults.md reports."""

import os
import sys
import time

import pytest
from fuzzing import fuzz

SECONDS = float(os.environ.get("EXPCLIP_FUZZ_SECONDS", "6"))


def say(line):
    sys.stdout.write(line + "\n")


@pytest.mark.slow
def test_no_mutant_crashes_hangs_or_is_misread(tmp_path):
    first = int(time.time()) * 1_000_000 if SECONDS > 60 else 0
    tally = fuzz(tmp_path, SECONDS, first)
    say(f"{tally.cases} cases from {first} in {SECONDS:.0f} s, slowest {tally.slowest:.3f} s of CPU time")
    say("\n".join(f"  {count:9d} {outcome}" for outcome, count in sorted(tally.outcomes.items())))
    assert not tally.failures, "\n".join(tally.failures[:20])
    assert tally.cases > 100
    # Mutants with valid checksums must have reached the checks behind them, and some must have passed.
    assert tally.outcomes["resealed shard: read"]
    assert tally.outcomes["header: refused"]
    assert tally.outcomes["resealed index: refused"]


def test_a_crash_counts_as_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzzing.run_case", lambda samples, case: os.kill(os.getpid(), 9) if case == 3 else "fine")
    tally = fuzz(tmp_path, 0.5)
    assert "case 3" in tally.failures[0]


@pytest.mark.parametrize("message", ["took", "passed"])
def test_an_unexpected_exception_counts_as_a_failure(tmp_path, monkeypatch, message):
    def fail(samples, case):
        raise AssertionError(message)

    monkeypatch.setattr("fuzzing.run_case", fail)
    assert message in fuzz(tmp_path, 0.2).failures[0]
