"""Digests: they identify a file by its content, under whatever name."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

_CHUNK = 2**20


def digests_of(path: Path, sizes: Collection[int]) -> dict[int, str]:
    """The SHA-256 of the first bytes of a file, for each of these numbers of bytes."""
    digests, digest, reached = {}, hashlib.sha256(), 0
    with path.open("rb") as stream:
        for size in sorted(sizes):
            while reached < size and (chunk := stream.read(min(_CHUNK, size - reached))):
                digest.update(chunk)
                reached += len(chunk)
            digests[size] = digest.hexdigest()
    return digests
