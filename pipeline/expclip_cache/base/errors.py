"""The exceptions a user can meet.

Every message says where, what was expected, what was found and what to do next. The command line and the stages
print them without a traceback; any other exception is a bug of ours and keeps its traceback.
"""


class ExpclipError(Exception):
    """Base of every error that is the user's to mend."""


class SettingsError(ExpclipError):
    """A setting is unknown, missing or out of range."""


class DataError(ExpclipError):
    """Input data are missing, empty or unreadable."""


class LostWorkerError(DataError):
    """A process that took part died or hung; the same work may succeed on another try."""


class CacheError(ExpclipError):
    """A feature cache is incomplete, damaged, locked or made with other settings."""


class EncoderError(ExpclipError):
    """An encoder cannot be built or run as asked (unknown model, missing weights, absent device)."""
