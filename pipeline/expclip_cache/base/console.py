"""How every command and stage ends: user errors without a traceback, and a clear last line when it is stopped."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from expclip_cache.base.errors import ExpclipError
from expclip_cache.base.idle_threads import let_idle_threads_sleep
from expclip_cache.base.printable import printable

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@contextmanager
def handle_errors() -> Iterator[None]:
    """Print errors that the user can fix as one message, and set the exit code.

    The exit code is 1 after an `ExpclipError`, 130 after Ctrl-C and 143 after SIGTERM. Any other exception is a bug of
    ours and keeps its traceback. Every command and stage enters here before it loads torch, so idle threads are told to
    sleep here too.
    """
    let_idle_threads_sleep()
    arrived: list[int] = []

    def stop(number: int, _: object) -> None:
        arrived.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(EXIT_CODES[signal.SIGTERM])

    signal.signal(signal.SIGTERM, stop)
    # Shells ignore Ctrl-C for what they start in the background.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt:
        _end_stopped(signal.SIGINT)
    except SystemExit as error:
        if error.code == EXIT_CODES[signal.SIGTERM]:
            _end_stopped(signal.SIGTERM)
        raise
    except Exception as error:
        # Compiled code that a signal interrupts may replace our exception by one of its own.
        if arrived:
            _end_stopped(arrived[0])
        if not isinstance(error, ExpclipError):
            raise
        _print_last_line(f"error: {error}")
        raise SystemExit(1) from None


def _end_stopped(number: int) -> NoReturn:
    """Say that a signal ended the command, and exit.

    Raises:
        SystemExit: always.
    """
    word = "interrupted" if number == signal.SIGINT else "terminated"
    _print_last_line(f"{word}; finished work is kept, run the same command again to resume")
    raise SystemExit(EXIT_CODES[signal.Signals(number)]) from None


def _print_last_line(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)  # noqa: T201 - the only place where the library prints by itself
