"""Converts the driver's exceptions to our own errors, with causes and cures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import (
    ConnectionFailure,
    CursorNotFound,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
)

from collector.errors import StoreError, StoreUnavailableError

_NOT_AUTHORISED = (13, 18)


@contextmanager
def errors_of(shown_uri: str) -> Iterator[None]:
    """Convert the driver's exceptions to ours.

    Args:
        shown_uri: the server's, without secrets.

    Raises:
        StoreUnavailableError: the server cannot be reached.
        StoreError: it refuses.
    """
    try:
        yield
    except (ConnectionFailure, NetworkTimeout) as error:
        if (task := asyncio.current_task()) and task.cancelling():
            # An operation that is cancelled while it waits for the server reports that its connection failed.
            raise asyncio.CancelledError from error
        state = "has no primary" if isinstance(error, NotPrimaryError) else "does not answer"
        raise StoreUnavailableError(
            f"the store at {shown_uri} {state} ({type(error).__name__})",
            "start the collector (bgpledger run) or the MongoDB server, or give another --mongodb-uri",
        ) from error
    except CursorNotFound as error:
        raise StoreError(
            f"the store at {shown_uri} has dropped the cursor of this query: it was restarted, or the cursor"
            " was idle for ten minutes",
            "ask again",
        ) from error
    except OperationFailure as error:
        if error.code in _NOT_AUTHORISED:
            raise StoreError(
                f"the store at {shown_uri} denies access: {error.details and error.details.get('errmsg')}",
                "check user, password and authSource of the MongoDB URI; readWrite on the database is needed",
            ) from error
        raise StoreError(f"the store at {shown_uri} refuses: {str(error)[:300]}", "see the server's log") from error
    except (PyMongoError, BSONError) as error:
        raise StoreError(f"the store at {shown_uri} fails: {str(error)[:300]}") from error
