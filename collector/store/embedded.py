"""The embedded store: SecantusDB, which speaks MongoDB's protocol, as a child process.

It is never imported (it is GPL-2.0), but started from the environment that this program runs in. Its makers have
another server for the same files and options, `secantusd-rs`, in Rust, which is five times as fast: see
docs/decisions/0012-secantusd-rs.md.

How it is run, and why (0.7.0b3; 1,000 documents of 1 kB a batch, w:majority and j:true, 2 cores, ext4 on a fast disk):

- `--standalone`: as a replica set of one it keeps an oplog, and a batch takes 37 ms, or 61 ms from the 100,000th
  document on, when it prunes as well; without, 23-25 ms, and 100 MB less of disk and memory. The price: no change
  streams.
- `--sync-on-commit`: secantusd-rs (0.5.3-beta.196) says that it did what j:true asks, and does it only with this: one
  fdatasync a batch, 0.2 ms. The one in Python does so anyway.
- batches of 250 lines (`archive.batch_lines`): with 1,000 a secantusd-rs whose cache is full tries one insert again and
  again, for minutes; the one in Python is as fast with either.
- `--cache-size 256M`: its resident size is 300 MB after one table of 600,000 routes. It grows with what it has been
  through: 1.5 GB after ten tables within minutes, and the one in Rust is like that.
- a file of ours for `--config`: or it would take a secantusd.toml from the working directory, the home or /etc. It
  asks for no TTL monitor, which 0.7.0b3 does not heed; see `collector.store.expiry`.
- `--auth`: it asks for a password, ours (`collector.store.credentials`); 12 ms for each connection. A data directory
  that is new, or of bgpledger 0.1, has no user yet: see `collector.store.embedded_first_start`.

Limits: loopback only. It reads the whole collection for `$or`, for `$elemMatch` with a range and for equality on a
compound `_id`; equality, `$in`, ranges and sorts on an index are fast. Aggregations are slow. A SIGTERM right after its
start may be overlooked.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from collector.errors import StoreError
from collector.store import credentials
from collector.store.embedded_first_start import appoint_user, is_first_start, remove_other_users
from collector.store.embedded_process import EmbeddedStore, Home, end_leftover, give_to_owner, serve, write_owned

_SETTINGS = "[storage]\nttl_sweep_seconds = 0\n"


def find_program(named: str | None) -> Path:
    """The server's program.

    Args:
        named: its name or path; None: the one that is installed beside this Python.

    Raises:
        StoreError: it does not exist.
    """
    if named is None:
        program = Path(sys.executable).with_name("secantusd-py")
        if not program.exists():
            raise StoreError(
                "the embedded store is not installed, and no MongoDB is named",
                'pip install "bgpledger[embedded]", or name a MongoDB with --mongodb-uri',
            )
        return program
    found = shutil.which(named)
    if found is None:
        raise StoreError(
            f"the embedded store {named} does not exist, or cannot be executed",
            "install it (README, Two embedded stores), or leave mongodb.embedded out",
        )
    return Path(found)


async def start(data_dir: Path, named: str | None = None) -> EmbeddedStore:
    """Start the server on `data_dir`/store and wait until it answers.

    The server ends with the calling thread, so call this in the main thread. After a server that was killed, the next
    one uses the same port if it can, so that clients find it again.

    Args:
        data_dir: holds store/ (its files), store.json (pid, uri, owner), store.toml (its settings), store.password,
            log/store.log, and store.unfinished during the first start.
        named: its program, see `find_program`.

    Raises:
        StoreError: it is not installed, does not start, or is already in use by another collector.
    """
    place = Home(find_program(named), data_dir)
    try:
        for directory in (data_dir, data_dir / "store", place.log.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            give_to_owner(directory, data_dir)
        write_owned(data_dir / "store.toml", _SETTINGS)
        port = await asyncio.to_thread(end_leftover, place.state, data_dir / "store")
        password = None if is_first_start(place) else credentials.read(data_dir)
        store = await serve(place, port, password) if password else None
        if store is None:
            password = await appoint_user(place)
            store = await serve(place, port, password)
            assert store is not None  # noqa: S101 - that password is a minute old
            await remove_other_users(store)
        return store
    except OSError as error:
        raise StoreError(
            f"the embedded store cannot use {error.filename or data_dir}: {error.strerror}",
            "make the data directory writable for this user, or choose another with --data-dir",
        ) from error


def end(data_dir: Path) -> None:
    """End the server of a data directory, whoever started it."""
    end_leftover(data_dir / "store.json", data_dir / "store", of_the_living=True)
