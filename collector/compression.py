"""Reads files that may be compressed with gzip, bzip2, xz or zstd, recognised by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Final, cast

from zstandard import ZstdDecompressor, ZstdError

_CHUNK: Final = 256 * 1024


class DamagedError(Exception):
    """Compressed data cannot be decompressed any further; the text says why."""


def chunks(path: Path, on_read: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """The uncompressed content of a file, in chunks; only one chunk is in memory.

    Args:
        path: the file.
        on_read: called with the number of bytes of the file itself read so far.

    Raises:
        OSError: it cannot be read.
        DamagedError: it is truncated or damaged; everything before that has been yielded.
    """
    try:
        with path.open("rb") as plain, _unpacked(plain) as stream:
            # `read` would lose what it has when it finds the end cut off.
            while chunk := stream.read1(_CHUNK):
                on_read(plain.tell())
                yield chunk
    except EOFError:
        raise DamagedError("it ends in the middle of the compressed data") from None
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, ZstdError) as error:
        raise DamagedError(str(error)) from None
    except OSError as error:
        # bz2 has no error of its own: damaged data is an OSError without a number.
        if error.errno is None:
            raise DamagedError(str(error)) from None
        raise


def _unpacked(plain: BufferedReader) -> BufferedIOBase:
    """The uncompressed stream of a file."""
    magic = plain.peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(plain, "rb")
    if magic.startswith(b"BZh"):
        return bz2.open(plain, "rb")
    if magic == b"\xfd7zXZ\0":
        return lzma.open(plain, "rb")
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return cast("BufferedIOBase", ZstdDecompressor().stream_reader(plain, read_across_frames=True))
    return plain
