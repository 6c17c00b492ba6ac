"""Memory that is freed on a CPU stays with the process."""

import platform
import subprocess
import sys

import pytest

from expclip_cache.encoders import freed_memory

PROGRAM = """
import resource, sys, torch
from expclip_cache.encoders.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
seen = [0]
for _ in range(40):
    torch.zeros(16 << 20)
    seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(seen[-1] - seen[-11])
"""


def page_faults(mode: str) -> int:
    """Pages that the kernel hands out in the last 10 of 40 rounds of allocating and freeing 64 MiB."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(run.stdout)


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_reused():
    assert page_faults("default") > 200
    assert page_faults("kept") < 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_forked_process_can_give_memory_back():
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    kept, given_back = map(int, run.stdout.split())
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
