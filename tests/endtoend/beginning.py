"""The part of a real file that `make test` has time for; `make whole-table` reads it to its end."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

WHOLE = bool(os.environ.get("WHOLE_TABLE"))
_RECORDS = None if WHOLE else 1_200


def beginning(file: Path, copy: Path) -> Path:
    """As many records of a file as there is time for (RFC 6396 2: each has its length)."""
    with gzip.open(file) as whole, gzip.open(copy, "wb", compresslevel=1) as part:
        records = 0
        while (header := whole.read(12)) and records != _RECORDS:
            part.write(header + whole.read(int.from_bytes(header[8:])))
            records += 1
    return copy
