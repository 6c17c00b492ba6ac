"""How every command and stage ends: user errors without a traceback, and a clear last line when it is stopped."""

import errno
import io
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from expclip_cache.base.errors import ExpclipError
from expclip_cache.base.idle_threads import let_idle_threads_sleep
from expclip_cache.base.printable import printable

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EFBIG: "Raise the limit on the size of files",
    errno.EMFILE: "Raise the limit on open files (ulimit -n)",
    errno.ENFILE: "Raise the limit on open files",
    errno.EACCES: "Make it accessible",
    errno.EPERM: "Make it accessible",
    errno.EROFS: "Make it writable",
    errno.EIO: "Check the disk or the network",
    errno.ESTALE: "Check the disk or the network",
}
"""What to do about an error of the system."""

PACKAGES = {
    "faiss": "'expclip-cache[cpu]', or on a GPU 'expclip-cache[gpu]'; not both",
    "dlib": "'expclip-cache[face]'",
    "open_clip": "open_clip_torch",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "matplotlib": "'expclip-cache[figures]'",
    "sklearn": "'expclip-cache[maps]', or 'expclip-cache[probes]', which is the same",
    "onnx": "'expclip-cache[onnx]'",
    "onnxruntime": "'expclip-cache[onnx]'",
    "onnxscript": "'expclip-cache[onnx]'",
}
"""What to install for a library, where it is not of the library's own name."""


@contextmanager
def handle_errors(resumes: bool = False) -> Iterator[None]:
    """Print errors that the user can fix as one message, and set the exit code.

    The exit code is 1 after an `ExpclipError`, an error of the system on a file and lack of memory, 130 after Ctrl-C
    and 143 after SIGTERM. Any other exception is a bug of ours and keeps its traceback. Every command and stage enters
    here before it loads torch or prints, so idle threads are told to sleep here too, and printing to cope with every
    terminal.

    Args:
        resumes: whether the same command, run again, goes on from finished work; messages say so.
    """
    again = "run the same command again" + (": finished work is kept" if resumes else "")
    let_idle_threads_sleep()
    _print_whatever_the_terminal()
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
        _end_stopped(signal.SIGINT, again)
    except SystemExit as error:
        if error.code == EXIT_CODES[signal.SIGTERM]:
            _end_stopped(signal.SIGTERM, again)
        raise
    except Exception as error:
        # Compiled code that a signal interrupts may replace our exception by one of its own.
        if arrived:
            _end_stopped(arrived[0], again)
        line = str(error) if isinstance(error, ExpclipError) else _of_the_machine(error, again) or _of_a_library(error)
        if not line:
            raise
        _print_last_line(f"error: {line}")
        raise SystemExit(1) from None


def _print_whatever_the_terminal() -> None:
    """Escape what a terminal's encoding does not have, instead of failing while a result is printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _of_the_machine(error: Exception, again: str) -> str:
    """Trouble of the machine on one line; empty if the error is of another kind."""
    if isinstance(error, MemoryError):
        return f"there is not enough memory. Free some, then {again}."
    # A closed pipe is no error: `expclip-cache inspect | head`.
    if not isinstance(error, OSError) or error.errno is None or error.errno == errno.EPIPE:
        return ""
    if error.filename is None and error.errno not in ADVICE:
        return ""
    where = "" if error.filename is None else f"{error.filename}: "
    advice = ADVICE.get(error.errno, "Repair that")
    return f"{where}{error.strerror}. {advice}, then {again}."


def _of_a_library(error: Exception) -> str:
    """A library that is missing or does not load, on one line; empty if the error is of another kind."""
    mismatched = isinstance(error, RuntimeError) and "torchvision::nms" in str(error)
    if not isinstance(error, ImportError) and not mismatched:
        return ""
    innermost = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    named = error.name if isinstance(error, ImportError) and error.name else str(innermost.f_globals.get("__name__"))
    library = named.partition(".")[0]
    if library == __name__.partition(".")[0]:
        return ""
    if mismatched:
        return f"torch and torchvision do not belong together ({error}). Install builds of both from the same place."
    found = "is not installed" if isinstance(error, ModuleNotFoundError) else "is installed but does not load"
    packages = PACKAGES.get(library, library)
    return f"the library {library} {found} ({' '.join(str(error).split())}). Install it: pip install {packages}"


def _end_stopped(number: int, again: str) -> NoReturn:
    """Say that a signal ended the command, and exit.

    Raises:
        SystemExit: always.
    """
    word = "interrupted" if number == signal.SIGINT else "terminated"
    _print_last_line(f"{word}; {again}")
    raise SystemExit(EXIT_CODES[signal.Signals(number)]) from None


def _print_last_line(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)  # noqa: T201 - the only place where the library prints by itself
