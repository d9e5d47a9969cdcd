"""Users with few rights, and servers with few features: what is necessary is reported, what is not is skipped."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import PyMongoError

from collector.settings.keeping import RetentionSettings
from collector.store.collections import COLLECTIONS
from collector.store.driver import Document
from collector.store.mongo import Store
from collector.store.rights import missing
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import Proxy, proxy
from tests.running import bgpledger, free_port
from tests.store.test_store import update

NO_COLLMOD = faults.refusing_commands({"collMod"}, 13, "Unauthorized")
ROLES = {"reader": ["read"], "writer": ["readWrite"], "admin": ["readWrite", "dbAdmin"]}


@contextmanager
def serving(place: Path, *options: str) -> Iterator[str]:
    """A SecantusDB whose users are stored in `place`; yields its address."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("secantusd-py")), "--port", str(port), "--standalone"]
    process = subprocess.Popen([*command, "--storage-path", str(place), "--log-level", "ERROR", *options])
    try:
        with MongoClient[Document](f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
            client.admin.command("hello")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def asking_for_passwords(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose users have the roles that they are named after, each in the database of the same name."""
    place = tmp_path_factory.mktemp("rights")
    with (
        serving(place) as address,
        MongoClient[Document](f"mongodb://{address}/?directConnection=true") as client,
    ):
        for user, roles in ROLES.items():
            client[user].command("createUser", user, pwd="secret", roles=roles)
    with serving(place, "--auth") as address:
        yield address


def uri_of(address: str, user: str) -> str:
    return f"mongodb://{user}:secret@{address}/?directConnection=true&authSource={user}"


@pytest.fixture
async def between(embedded_uri: str) -> AsyncIterator[Proxy]:
    async with proxy(urlsplit(embedded_uri).port or 0) as one:
        yield one


def days(**changed: int) -> dict[str, int]:
    return {**RetentionSettings().model_dump(), **{f"{name}_days": value for name, value in changed.items()}}


async def test_a_user_with_read_write_stores_lines(asking_for_passwords: str) -> None:
    """And what cannot be done is reported, with the role that it needs: MongoDB's readWrite has no collMod."""
    async with proxy(int(asking_for_passwords.rpartition(":")[2])) as between:
        await between.set(NO_COLLMOD)
        async with Store.open(uri_of(f"127.0.0.1:{between.port}", "writer"), database="writer") as store:
            await store.prepare()
            assert await store.insert("updates", [update(1)]) == []
            await store.prepare()
            assert await store.maintain(days()) == []
            assert await store.lifetimes() == {"keepalives_days": 7 * 86_400}
            (lack,) = await store.maintain(days(keepalives=3))
    assert "keepalives_days" in lack.cause
    assert "stays as it was, not 3 days" in lack.cause
    assert 'db.grantRolesToUser("USER", [{role: "dbAdmin", db: "writer"}])' in lack.cure
    assert 'db.messages.dropIndex("expire_keepalives")' in lack.cure


async def test_a_user_with_both_roles_lacks_nothing(asking_for_passwords: str) -> None:
    async with Store.open(uri_of(asking_for_passwords, "admin"), database="admin") as store:
        await store.prepare()
        assert await store.maintain(days()) == []
        assert await store.maintain(days(keepalives=3)) == []
        assert await store.lifetimes() == {"keepalives_days": 3 * 86_400}


@pytest.mark.parametrize(
    ("user", "fault", "state", "words"),
    [
        ("reader", faults.passing, "error", ("no right to insert, update, delete, create", 'role: "readWrite"')),
        ("writer", NO_COLLMOD, "warning", ("no right to collMod", "[retention]", 'role: "dbAdmin", db: "writer"')),
        ("admin", faults.passing, "ok", ("database admin is writable",)),
    ],
    ids=["reader", "writer", "admin"],
)
async def test_doctor_tries_what_is_used(
    asking_for_passwords: str, data_dir: Path, user: str, fault: faults.Fault, state: str, words: tuple[str, ...]
) -> None:
    async with proxy(int(asking_for_passwords.rpartition(":")[2])) as between:
        await between.set(fault)
        uri = uri_of(f"127.0.0.1:{between.port}", user)
        typed = partial(bgpledger, BGPLEDGER_MONGODB_URI=uri, BGPLEDGER_MONGODB_DATABASE=user)
        done = await asyncio.to_thread(typed, "doctor", "--data-dir", str(data_dir))
    lines = [line for line in done.stdout.splitlines() if line.startswith(state) and " store: " in line]
    assert any(all(word in line for word in words) for line in lines), done.stdout
    assert ("is writable" in done.stdout) == (state != "error")


async def test_nothing_is_left_behind_by_trying(embedded_uri: str, database: str) -> None:
    async with AsyncMongoClient[Document](embedded_uri) as client:
        assert await missing(client[database]) == []
        assert await client[database]["meta"].count_documents({}) == 0


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.mark.parametrize(
    ("code", "name"), [(13, "Unauthorized"), (59, "CommandNotFound"), (115, "CommandNotSupported")]
)
async def test_validators_are_changed_where_they_differ_and_may_be(
    between: Proxy, embedded_uri: str, database: str, code: int, name: str
) -> None:
    async with Store.open(between.uri(), database=database) as store:
        await store.prepare()
        await between.set(faults.refusing_commands({"collMod"}, code, name))
        before = between.spoilt
        assert await store.maintain() == []
        assert between.spoilt == before, "nothing was to be changed"
        async with AsyncMongoClient[Document](embedded_uri) as client:
            for collection in COLLECTIONS:
                await client[database].command("collMod", collection.name, validator={})
        (lack,) = await store.maintain()
        assert f"(code {code})" in lack.cause
        assert ("dbAdmin" in lack.cure) == (code == 13)
        assert await store.insert("updates", [update(1)]) == []
        await between.set(faults.passing)
        assert await store.maintain() == []


async def test_a_server_without_validators_serves(between: Proxy, database: str) -> None:
    """As Amazon DocumentDB does: neither `create` nor `collMod` accepts validators."""

    async def without(request: faults.Message, forward: faults.Forward) -> bytes:
        if "validator" in request.body:
            return request.answer({"ok": 0.0, "errmsg": "validator is not supported", "code": 115})
        return await forward()

    await between.set(without)
    async with Store.open(between.uri(), database=database) as store:
        await store.prepare()
        assert await store.insert("updates", [update(1)]) == []
        (lack,) = await store.maintain(days())
        assert "validator is not supported (code 115)" in lack.cause
        assert await store.lifetimes() == {"keepalives_days": 7 * 86_400}
    async with AsyncMongoClient[Document](between.uri()) as client:
        with pytest.raises(PyMongoError, match="not supported"):
            await client[database].command("collMod", "meta", validator={})
