"""How every command and stage ends: user errors without a traceback, and a clear last line when it is stopped."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from expclip_cache.base.errors import ExpclipError


@contextmanager
def handle_errors() -> Iterator[None]:
    """Print errors that the user can fix as one message, and set the exit code.

    The exit code is 1 after an `ExpclipError`, 130 after Ctrl-C and 143 after SIGTERM. Any other exception is a bug of
    ours and keeps its traceback.
    """

    def terminate(*_: object) -> None:
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except ExpclipError as error:
        _print_last_line(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _print_last_line("interrupted; finished work is kept, run the same command again to resume")
        raise SystemExit(130) from None
    except SystemExit as error:
        if error.code == 143:
            _print_last_line("terminated; finished work is kept, run the same command again to resume")
        raise


def _print_last_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the only place where the library prints by itself
