"""Child processes that never outlive the process that asked for them, and that leave Ctrl-C to it."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when its parent ends."""

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def stop_signals_blocked(*, forked: bool = False) -> Iterator[None]:
    """Block SIGINT and SIGTERM while child processes are started; they arrive when the block ends.

    The children inherit the blocked signals until they call `exit_with_parent` or `exit_with_requester`.

    Args:
        forked: whether all of them are forked from this process.
    """
    if not forked:
        # A process that multiprocessing starts with the first of the others; its start would unblock the signals.
        resource_tracker.ensure_running()
    arrived: list[int] = []
    replaced: dict[int, Any] = {}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # The mask holds for this thread only. The kernel may deliver the signal to another one, such as the monitor of
        # a progress bar, and Python runs the handler in the main thread nevertheless: here, in the middle of the block.
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                replaced[number] = signal.signal(number, lambda number, _: arrived.append(number))
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in replaced.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in arrived:
            signal.raise_signal(number)


def exit_with_parent(parent: int) -> None:
    """Make this child process exit when its parent does, even by `kill -9`; every child calls it first.

    Ctrl-C reaches parent and child: the child ignores it, so that only the parent reacts.

    Args:
        parent: process id of the process that started this one.
    """
    _leave_interrupts()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # If the parent ended before the call above, this process has been adopted and would never get the signal.
    if os.getppid() != parent:
        os._exit(1)


def exit_with_requester() -> None:
    """The same for a process that multiprocessing's fork server started at the request of another process.

    Its parent, the server, stays as long as any of its processes does, so a thread watches the requester.
    """
    _leave_interrupts()
    requester = multiprocessing.parent_process()
    assert requester, "multiprocessing did not start this process"

    def watch() -> None:
        wait([requester.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="requester-watch", daemon=True).start()


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
