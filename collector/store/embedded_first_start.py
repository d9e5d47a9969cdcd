"""The embedded store's first start: it gets all of its tables, and its only user.

- A server that is killed while it makes a table never starts again (WiredTiger: "cannot be used until all column groups
  are created"), so all are made now. A first start that was broken off begins with an empty directory again: nobody has
  been told of the store by then.
- There is no user at first, and only a server that asks for no password makes users. So a data directory that is new,
  or of bgpledger 0.1, is opened without for a moment, at a port that nobody knows; whoever was quick enough to become a
  user meanwhile is removed.
"""

from __future__ import annotations

import shutil

from pymongo.errors import OperationFailure

from collector.store import credentials
from collector.store.driver import Client
from collector.store.embedded_process import EmbeddedStore, Home, give_to_owner, serve, write_owned

_USER_EXISTS = 51003
_TABLES = 16
_SCRATCH, _NAMES_FOR_ALL_TABLES = "bgpledger_first_start", 200


def is_first_start(place: Home) -> bool:
    """Whether the store is new; of a first start that was broken off nothing is left then."""
    files = place.data_dir / "store"
    if place.unfinished.exists():
        shutil.rmtree(files)
        files.mkdir(mode=0o700)
        give_to_owner(files, place.data_dir)
    elif any(files.iterdir()):
        return False
    write_owned(place.unfinished, "")
    return True


async def appoint_user(place: Home) -> str:
    """Create our user, or give it a new password, and save that."""
    password = credentials.make()
    store = await serve(place, 0, None)
    assert store is not None  # noqa: S101 - it asked for no password
    try:
        # The client has to be closed first: closing it after the server has ended would take half a minute.
        async with Client(store.uri) as client:
            try:
                await client.admin.command("createUser", credentials.USER, pwd=password, roles=["root"])
            except OperationFailure as error:
                if error.code != _USER_EXISTS:
                    raise
                await client.admin.command("updateUser", credentials.USER, pwd=password, roles=["root"])
            await _make_tables(client)
    finally:
        await store.kill()  # what it acknowledged is on disk
    write_owned(credentials.place(place.data_dir), password)
    place.unfinished.unlink(missing_ok=True)
    return password


async def _make_tables(client: Client) -> None:
    """Have each table made that documents may get into: a collection's is chosen by the hash of its name."""
    names = {_table_of(f"{_SCRATCH}\0{number}"): str(number) for number in range(_NAMES_FOR_ALL_TABLES)}
    for name in names.values():
        await client[_SCRATCH].create_collection(name)
    await client.drop_database(_SCRATCH)


def _table_of(name: str) -> int:
    """Which table a collection's documents are in (secantus/storage.py, FNV-1a): database, zero byte, collection."""
    found = 0xCBF29CE484222325
    for byte in name.encode():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found % _TABLES


async def remove_other_users(store: EmbeddedStore) -> None:
    """Remove those who became users while it asked for no password."""
    async with Client(store.uri) as client:
        for user in await client.admin["system.users"].find().to_list():
            if (user["user"], user["db"]) != (credentials.USER, "admin"):
                await client[user["db"]].command("dropUser", user["user"])
