"""What every command has in common: errors without a traceback, and an orderly end when stopped."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from expclip_cache.base.errors import ExpclipError


@contextmanager
def orderly() -> Iterator[None]:
    """Turn the user's errors into one message and exit code 1, and SIGTERM or Ctrl-C into a last line and 143 or 130.

    Anything else is a bug of ours and keeps its traceback.
    """

    def terminate(*_: object) -> None:
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except ExpclipError as error:
        _last_words(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _last_words("stopped; what was finished is kept, the same command goes on from there")
        raise SystemExit(130) from None
    except SystemExit as error:
        if error.code == 143:
            _last_words("terminated; what was finished is kept, the same command goes on from there")
        raise


def _last_words(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one place where the library speaks by itself
