"""The output of an export: a file that appears complete or not at all, or stdout; compressed by its suffix."""

from __future__ import annotations

import bz2
import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import IO, Any, Final, cast

from zstandard import ZstdCompressor

from collector.errors import ExportError, UsageError
from collector.files import replacing

_BUFFER = 256 * 1024
_PACKERS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    ".gz": lambda file: gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0),
    ".bz2": lambda file: bz2.BZ2File(file, "wb"),
    ".zst": lambda file: ZstdCompressor(level=3).stream_writer(file, closefd=False),
}


PACKED: Final = frozenset(_PACKERS)
"""The suffixes of compressed files."""


@contextmanager
def writing(path: Path | None) -> Iterator[IO[bytes]]:
    """A stream to write to; if the block fails, no file is left, and an existing one is unchanged.

    Args:
        path: the file, compressed with gzip, bzip2 or zstd according to its suffix; None: stdout.

    Raises:
        UsageError: stdout is a terminal.
        ExportError: it cannot be written.
    """
    if path is None:
        if sys.stdout.isatty():
            raise UsageError(
                "the output is binary, and stdout is a terminal", "give a file, or a pipe: bgpledger export - | ..."
            )
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with replacing(path, durable=True) as file, _packed(path, file) as stream:
            yield stream
    except OSError as error:
        raise not_written(path, error) from None


def not_written(path: Path, error: OSError) -> ExportError:
    """The error for a file that cannot be written."""
    return ExportError(
        f"{path} cannot be written: {error.strerror or error}",
        "check its directory, the permissions and the free space",
    )


@contextmanager
def _packed(path: Path, file: IO[bytes]) -> Iterator[IO[bytes]]:
    packer = _PACKERS.get(path.suffix)
    if packer is None:
        yield file
        return
    with packer(file) as packing, BufferedWriter(packing, _BUFFER) as stream:
        yield cast("IO[bytes]", stream)
