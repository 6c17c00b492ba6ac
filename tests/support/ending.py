"""End a forked process as the interpreter would, without freeing its memory."""

import atexit
import os
import sys
import threading


def end_process(end: SystemExit) -> None:
    """Wait for threads, run the exit functions, flush the output and exit with the code of `end`.

    The memory is not freed object by object, since a forked process would first copy most pages of its parent: that
    takes longer than a short run.
    """
    if not isinstance(end.code, int | None):
        raise end
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code or 0)
