"""How often ExaBGP was reloaded: a file that grows by a byte each time.

The sender of the signal writes to the file first. What ExaBGP writes after a reload is read later, so a receiver that
checks the file after each read knows of every reload before it passes on a line with a new count. A file outlives the
receiver, which may die in between.
"""

from __future__ import annotations

import os
from pathlib import Path


def tell(file: Path) -> None:
    """Count a reload that is about to be requested.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b".")
    finally:
        os.close(descriptor)


def read_count(file: Path) -> int:
    """The number of reloads; 0 if none has been counted."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
