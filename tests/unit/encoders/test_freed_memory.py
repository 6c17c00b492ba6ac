"""Memory that is freed on a CPU stays with the process."""

import platform
import subprocess
import sys

import pytest

from expclip_cache.encoders import freed_memory

ALLOCATE = """
import os, resource, torch
from expclip_cache.encoders.freed_memory import keep_freed_memory

for kept in (False, True):
    if os.fork() == 0:
        if kept:
            assert keep_freed_memory()
        seen = [0]
        for _ in range(40):
            torch.zeros(16 << 20)
            seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        os.write(1, f"{seen[-1] - seen[-11]} ".encode())
        os._exit(0)
    os.wait()
"""
"""Prints the pages that the kernel hands out in the last 10 of 40 rounds of allocating and freeing 64 MiB."""

FORK = """
import os, torch
from expclip_cache.encoders.freed_memory import give_back_freed_memory, keep_freed_memory

def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

keep_freed_memory()
for given_back in (False, True):
    if os.fork() == 0:
        if given_back:
            give_back_freed_memory()
        before, image, after = held(), torch.ones(60 << 20), torch.ones(1 << 20)
        del image
        os.write(1, f"{(held() - before) >> 20} ".encode())
        os._exit(0)
    os.wait()
"""


def numbers_of(program: str) -> list[int]:
    """What a program prints; no memory was allocated in its process before."""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [int(number) for number in run.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_reused():
    default, kept = numbers_of(ALLOCATE)
    assert default > 200
    assert kept < 100


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_forked_process_can_give_memory_back():
    kept, given_back = numbers_of(FORK)
    assert kept > 200
    assert given_back < 50


@pytest.mark.parametrize(
    ("largest", "calls", "kept"),
    [(1 << 31, 2, True), (1 << 25, 3, True), (0, 2, False)],
    ids=["recent glibc", "older glibc", "another library"],
)
def test_an_older_c_library_gets_a_value_that_it_accepts(monkeypatch, largest, calls, kept):
    settings = []

    def mallopt(setting, value):
        settings.append((setting, value))
        return int(value <= largest if setting == -3 else largest > 0)

    monkeypatch.setattr(freed_memory, "_mallopt", lambda: mallopt)
    assert freed_memory.keep_freed_memory() is kept
    assert len(settings) == calls
