"""The only place that knows which driver is used: pymongo's asynchronous client, or motor.

Both have the same API for everything that the store does, except closing. Motor is deprecated by its makers; it stays
for installations that have standardised on it (`mongodb.driver = "motor"`, extra `motor`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Literal, cast

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI

from collector.errors import StoreError
from collector.store import credentials

Driver = Literal["pymongo", "motor"]
Document = dict[str, Any]
"""A document of any collection, as the driver reads it."""
Query = Mapping[str, Any]
"""A filter in MongoDB's query language: conditions by field."""
Client = AsyncMongoClient[Document]

_IDLE_SECONDS = 60.0
"""How long an unused connection is kept. The embedded server, and proxies in front of others, close idle connections
after some minutes, which the next query would discover too late."""
_ANSWER_SECONDS = 60.0
"""How long an answer may take, so that a server that never answers does not block us for ever: far more than a batch
takes during an election. An operation that is cut off is repeated, which is harmless because writing twice is writing
once."""


def connect(uri: str, driver: Driver, *, timeout: float) -> Client:
    """A client for the server at `uri`; it connects when it is first used, and gives up after `timeout` seconds.

    The URI of an embedded store needs no password, which is found by the address.

    Time-outs in the URI itself (serverSelectionTimeoutMS, socketTimeoutMS, maxIdleTimeMS) win. The driver's
    connectTimeoutMS is unchanged: it is also how long a busy server may take to answer a heartbeat before all
    operations on it are given up.

    Raises:
        StoreError: the URI cannot be read, the driver is not installed, or the URI is that of another user's embedded
            store.
    """
    times = {
        "serverSelectionTimeoutMS": int(timeout * 1000),
        "socketTimeoutMS": int(_ANSWER_SECONDS * 1000),
        "maxIdleTimeMS": int(_IDLE_SECONDS * 1000),
    }
    given = uri.partition("?")[2].lower()
    options: dict[str, Any] = {
        "tz_aware": True,
        "tzinfo": UTC,
        "appname": "bgpledger",
        **{name: value for name, value in times.items() if f"{name.lower()}=" not in given},
        **credentials.options_for(uri),
    }
    try:
        if driver == "pymongo":
            return AsyncMongoClient(uri, **options)
        return _motor(uri, options)
    except (InvalidURI, ConfigurationError, ValueError) as error:
        # The driver's message names the fault; it is not shown where it may quote the URI, which may contain a
        # password.
        text = str(error) if uri and "@" not in uri else type(error).__name__
        raise StoreError(
            f"the MongoDB URI cannot be used: {text}",
            "give one like mongodb://HOST:27017/?replicaSet=rs0 (--mongodb-uri, BGPLEDGER_MONGODB_URI or mongodb.uri)",
        ) from None


def _motor(uri: str, options: dict[str, Any]) -> Client:
    try:
        from motor.motor_asyncio import AsyncIOMotorClient
    except ImportError:
        raise StoreError(
            'mongodb.driver = "motor", but motor is not installed',
            'pip install "bgpledger[motor]", or leave mongodb.driver at "pymongo"',
        ) from None
    return cast("Client", AsyncIOMotorClient(uri, **options))


async def close(client: Client) -> None:
    """Close a client of either driver. Motor's close waits for the server's answer; it must not block anything else."""
    if isinstance(client, AsyncMongoClient):
        await client.close()
    else:
        await asyncio.to_thread(client.close)
