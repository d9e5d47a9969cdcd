"""Files that are replaced atomically: a reader, even after a crash, finds either the old or the new content, complete.

As all our files, only their owner can read them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `path` when the block ends, and is removed if the block fails.

    Args:
        path: the file to replace or create.
        durable: sync the new file before replacing `path`, so that a power loss leaves the old or the new one.

    Raises:
        OSError: it cannot be written; `path` is unchanged.
    """
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)  # left by a process that was killed; its mode may differ
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def replace(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Replace the content of a file; see `replacing`.

    Raises:
        OSError: it cannot be written; `path` is unchanged.
    """
    with replacing(path, durable=durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sync_directory(directory: Path) -> None:
    """Sync the directory's entries: a file is only as durable as its name."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
