"""What every worker process of ours does first: end when the process that started it does, however that ends."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal a process gets when its parent ends."""

STOPS = {signal.SIGINT, signal.SIGTERM}
"""Signals that whoever starts a worker blocks meanwhile; the worker unblocks them itself."""


def live_no_longer_than(parent: int) -> None:
    """Have this process end with its parent, also by `kill -9`, and leave Ctrl-C, which reaches both, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # One that starts as its parent dies would take whoever inherits it for the parent, and wait for ever.
    if os.getppid() != parent:
        os._exit(1)
