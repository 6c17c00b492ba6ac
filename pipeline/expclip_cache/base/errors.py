"""The errors that a user can cause and fix.

Each message says where the problem is, what was expected, what was found and what to do next. Commands and stages
print them without a traceback; any other exception is a bug of ours and keeps its traceback.
"""


class ExpclipError(Exception):
    """Base class of all errors that the user can fix."""


class SettingsError(ExpclipError):
    """A setting is unknown, missing or out of range."""


class DataError(ExpclipError):
    """Input data are missing, empty or unreadable."""


class FileAccessError(DataError):
    """A file cannot be read for a reason that is not in its bytes; the same task may succeed when it is tried again.

    It is gone, the disk or the network fails, or memory or open files have run out.
    """


class AddressAccessError(FileAccessError):
    """What is at an address cannot be read now, because of the network, the store or the credentials.

    It says nothing about any file, so it is never recorded as the fault of one.
    """


class LostWorkerError(DataError):
    """A worker process died or hung; the same task may succeed when it is tried again."""


class CacheError(ExpclipError):
    """A feature cache is incomplete, damaged, locked or made with other settings."""


class ReadOnlyCacheError(CacheError):
    """Its folder cannot be written to."""


class UntouchableCacheError(CacheError):
    """A part of a feature cache may be sound although it is of no use here, so it is neither replaced nor deleted."""


class LaterFormatError(UntouchableCacheError):
    """It was written by a later version."""


class CacheAccessError(UntouchableCacheError):
    """It cannot be read at the moment, for a reason that is not in its bytes."""


class EncoderError(ExpclipError):
    """An encoder cannot be built or run as requested (unknown model, missing weights, missing device)."""
