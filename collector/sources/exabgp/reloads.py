"""How often ExaBGP was reloaded: a file that grows by a byte each time.

Whoever sends the signal tells first. Whatever ExaBGP writes after it has reloaded is read later than that, so a
receiver that looks after each read knows of every reload before it hands on a line of a neighbour counted anew. A file
outlives the receiver, which may die in between.
"""

from __future__ import annotations

import os
from pathlib import Path


def tell(file: Path) -> None:
    """Count a reload that is about to be asked for.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b".")
    finally:
        os.close(descriptor)


def told(file: Path) -> int:
    """How many there were; 0 where nobody has told of any."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
