"""All errors that users see: the cause, and the cure.

This is the root of all errors that this program raises on purpose. The command line prints `error: CAUSE` and `cure:
CURE` on stderr and exits with `exit_status`; nothing else turns an exception into an exit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class BgpledgerError(Exception):
    """A failure that a user can cause, see and fix.

    Args:
        cause: one sentence: what happened, with the file, address or key that it happened to.
        cure: what to do about it, as a sentence or a command; empty only where nothing can be done.
    """

    exit_status = 1

    def __init__(self, cause: str, cure: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.cure = cure


class UsageError(BgpledgerError):
    """An invalid argument: a bad prefix, time, address or combination."""

    exit_status = 2


class ConfigurationError(BgpledgerError):
    """A configuration file or environment variable that cannot be used; the cause names file and key."""


class StoreError(BgpledgerError):
    """The database cannot be reached, denies access, or contains something unexpected."""


class StoreUnavailableError(StoreError):
    """The database does not answer now; retrying later may help."""


class DeadlineError(BgpledgerError):
    """A query was not answered before its deadline."""


class SpoolError(BgpledgerError):
    """The spool directory cannot be used: locked by another process, not writable, damaged."""


class ReplayError(BgpledgerError):
    """A file cannot be replayed, or the BGP daemon at the other end refuses the session."""


class ImportFileError(BgpledgerError):
    """A file cannot be imported as requested."""


class ExportError(BgpledgerError):
    """A file cannot be written, or there is nothing to write into it."""


class CollectorError(BgpledgerError):
    """The collector cannot start or continue: a port is taken, a program is missing, a process keeps ending."""


class RefusedError(BgpledgerError):
    """An order is refused: the announcement is not allowed, or no peer can receive it."""


@contextmanager
def one_error() -> Iterator[None]:
    """Wraps a task group: raises the first of its user errors instead of the group.

    Tasks that fail together nearly always do so for one reason. A group with any other error is a bug, and is raised
    unchanged. (`raise` under `except*` would not work: until 3.11.4 Python wraps what is raised there in a group.)

    Raises:
        BgpledgerError: the first one.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        errors, bugs = group.split(BgpledgerError)
        if errors is None or bugs is not None:
            raise
        raise _first(errors) from None


def _first(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
