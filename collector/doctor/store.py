"""The store: whether it can be used."""

from __future__ import annotations

from collections.abc import Iterator

from pymongo import ReadPreference
from pymongo.errors import PyMongoError

from collector.doctor.result import CheckResult
from collector.errors import BgpledgerError, StoreError
from collector.query.running import RunningCollector
from collector.settings.model import Settings
from collector.store.collections import SCHEMA_VERSION, VIEWS_SINCE
from collector.store.driver import Client, close, connect
from collector.store.embedded import find_program
from collector.store.rights import missing
from collector.store.uri import redact
from collector.tasks import run_interruptible

_PATIENCE = 3.0
_OLDEST_MONGODB = 6


def examine_store(settings: Settings, running: RunningCollector | None) -> Iterator[CheckResult]:
    """Check the configured store, or the embedded one."""
    if settings.mongodb.uri is None:
        try:
            yield CheckResult("ok", "store", f"embedded, {find_program(settings.mongodb.embedded).name}")
        except StoreError as error:
            yield CheckResult("error", "store", error.cause, error.cure)
            return
        if running and running.mongodb_uri:
            yield from _server(settings, running.mongodb_uri)
        return
    yield from _server(settings, settings.mongodb.uri.get_secret_value())


def _server(settings: Settings, uri: str) -> Iterator[CheckResult]:
    shown = redact(uri)
    try:
        yield from run_interruptible(_ask(uri, settings))
    except BgpledgerError as error:
        yield CheckResult("error", "store", error.cause, error.cure)
    except PyMongoError as error:
        # The driver's message names hosts but no credentials; it may be many lines long.
        reason = str(error).splitlines()[0].partition(" (configured timeouts")[0][:200]
        yield CheckResult(
            "error",
            "store",
            f"{shown} is not usable: {type(error).__name__}: {reason}",
            "start it, or correct the URI: address, user, password, authSource, tls; the user needs readWrite",
        )


async def _ask(uri: str, settings: Settings) -> list[CheckResult]:
    client = connect(uri, settings.mongodb.driver, timeout=_PATIENCE)
    try:
        database = settings.mongodb.database
        version = await _version(client, redact(uri))
        return [*version, *await _writable(client, database), *await _schema(client, settings)]
    finally:
        await close(client)


async def _version(client: Client, shown: str) -> list[CheckResult]:
    information = await client.server_info()
    if own := information.get("secantusVersion"):
        return [CheckResult("ok", "store", f"{shown} answers: SecantusDB {own}")]
    version = str(information["version"])
    results = [CheckResult("ok", "store", f"{shown} answers: MongoDB {version}")]
    if int(version.partition(".")[0]) < _OLDEST_MONGODB:
        results = [
            CheckResult("error", "store", f"MongoDB {version} is too old", f"use MongoDB {_OLDEST_MONGODB} or newer")
        ]
    hello = await client.admin.command("hello")
    if not hello.get("setName") and hello.get("msg") != "isdbgrid":
        results.append(
            CheckResult(
                "warning",
                "replica set",
                "the server is not in one: what it acknowledged may be lost with its machine",
                "make it a replica set, if only of one member (rs.initiate()), and name it in the URI",
            )
        )
    return results


async def _schema(client: Client, settings: Settings) -> list[CheckResult]:
    database = settings.mongodb.database
    found = await client[database].meta.with_options(read_preference=ReadPreference.PRIMARY).find_one({"_id": "schema"})
    version = found["version"] if found else SCHEMA_VERSION
    if version == SCHEMA_VERSION:
        return []
    what = f"database {database} is of schema {version}, this program's is {SCHEMA_VERSION}"
    if version > SCHEMA_VERSION:
        return [CheckResult("error", "schema", what, "use the newer bgpledger that wrote it")]
    if version < VIEWS_SINCE and (settings.bmp or settings.ris_live.is_on):
        return [CheckResult("error", "schema", f"{what}: what routers report is not stored", "bgpledger db migrate")]
    return [CheckResult("warning", "schema", f"{what}: --origin has no index", "bgpledger db migrate")]


async def _writable(client: Client, database: str) -> list[CheckResult]:
    found = [
        CheckResult("error" if one.needed else "warning", "store", one.says, one.cure)
        for one in await missing(client[database])
    ]
    if any(one.state == "error" for one in found):
        return found
    return [CheckResult("ok", "store", f"database {database} is writable"), *found]
