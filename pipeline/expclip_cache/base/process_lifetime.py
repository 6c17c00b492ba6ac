"""Child processes that never outlive their parent, and that leave Ctrl-C to it."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when its parent ends."""

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM while child processes are started; they arrive when the block ends.

    The children inherit the blocked signals until they call `exit_with_parent`.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def exit_with_parent(parent: int) -> None:
    """Make this child process exit when its parent does, even by `kill -9`; every child calls it first.

    Ctrl-C reaches parent and child: the child ignores it, so that only the parent reacts.

    Args:
        parent: process id of the process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # If the parent ended before the call above, this process has been adopted and would never get the signal.
    if os.getppid() != parent:
        os._exit(1)
