import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from expclip_cache.base import stop_signals_blocked


class StoppedError(Exception):
    pass


@pytest.fixture
def raising_handlers():
    """Handlers that raise, as those of a command do."""

    def stop(number, _):
        raise StoppedError(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    yield stop
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("with_another_thread", [False, True])
def test_a_stop_signal_takes_effect_when_the_block_ends(raising_handlers, number, with_another_thread):
    """The kernel delivers a signal that this thread blocks to another thread, if there is one."""
    end = threading.Event()
    other = threading.Thread(target=end.wait, daemon=True)
    if with_another_thread:
        other.start()
    steps = []

    def start_processes():
        with stop_signals_blocked(forked=True):
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            steps.append("end of the block")
        steps.append("after the block")

    with pytest.raises(StoppedError):
        start_processes()
    end.set()
    assert steps == ["end of the block"]
    assert signal.getsignal(number) is raising_handlers
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_signal_that_is_ignored_stays_ignored(raising_handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_signals_blocked():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_may_start_processes(raising_handlers):
    """Only the main thread may replace handlers."""
    masks = []

    def start():
        with stop_signals_blocked():
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert masks[0] >= {signal.SIGINT, signal.SIGTERM}
    assert signal.getsignal(signal.SIGINT) is raising_handlers


FIRST_CHILD = """
import multiprocessing, signal
from expclip_cache.base import stop_signals_blocked

def show_blocked_signals():
    print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=show_blocked_signals)
    with stop_signals_blocked():
        child.start()
    child.join()
"""


def test_the_first_child_inherits_the_blocked_signals(tmp_path):
    """With the first child, Python starts a process of its own, and unblocks both signals after it."""
    script = tmp_path / "script.py"
    script.write_text(FIRST_CHILD)
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert run.stdout == f"{sorted([signal.SIGINT, signal.SIGTERM])}\n"
