"""The files to import: those named, those in a directory, and stdin."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.bgp import mrt
from collector.bgp.mrt_header import is_of_table
from collector.errors import BgpledgerError, ImportFileError, ReplayError
from collector.sources.pcap.capture import is_capture
from collector.sources.pcap.records import Capture

_AHEAD = 30
"""How many seconds before updates of the same time a RIB dump is sorted: update files may begin before their nominal
time."""
_STDIN = "standard input"


class ImportFiles:
    """Files of each kind in the order of their first records, RIB dumps before updates that follow them.

    Data from stdin is stored in a temporary file, which errors that leave the block call by what it is.

    Args:
        names: paths of files or directories, or `-`.

    Raises:
        ReplayError: one is neither MRT nor a capture, or cannot be read. Other files in a directory are skipped.
        ImportFileError: there is none, stdin is empty, or one is a URL, a pipe or a device.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._own: list[Path] = []
        """Temporary directories."""
        self.paths: list[Path] = []
        """MRT files."""
        self.dumps: set[Path] = set()
        """Which of them are RIB dumps."""
        self.captures: list[Capture] = []
        self.skipped: dict[str, list[Path]] = {}
        """What else is in directories, by the reason why it is not imported."""
        self._names = names

    def __enter__(self) -> Self:
        try:
            self._find()
        except BaseException as error:
            self._remove_own()
            self._rename(error)
            raise
        return self

    def name(self, path: Path) -> str:
        """What a file is called in messages."""
        return _STDIN if path.parent in self._own else str(path)

    def _find(self) -> None:
        times: dict[Path, int] = {}
        for path, must in self._each():
            try:
                if is_capture(path):
                    capture = Capture(path)
                    times[path] = capture.first_time()
                    self.captures.append(capture)
                    continue
                first = mrt.MrtFile(path).first().raw
            except ReplayError:
                if must:
                    raise
                self._skip(path, "neither MRT nor a capture" if os.access(path, os.R_OK) else "not readable")
                continue
            times[path] = int.from_bytes(first[:4])
            self.paths.append(path)
            if is_of_table(first):
                self.dumps.add(path)
                times[path] -= _AHEAD
        self.paths.sort(key=lambda path: (times[path], path.name))
        self.captures.sort(key=lambda capture: (times[capture.path], capture.path.name))
        if not self.paths and not self.captures:
            raise ImportFileError(
                f"there is no MRT file in {', '.join(self._names)}, and no capture", "name files, or their directory"
            )

    def _each(self) -> Iterator[tuple[Path, bool]]:
        """Paths, and whether each must be a file that can be imported."""
        for name in self._names:
            if name == "-":
                yield self._stdin(), True
            elif "://" in name:
                raise ImportFileError(f"{name} is a URL: only files are imported", f"download it: curl -O {name}")
            elif Path(name).is_dir():
                for path in sorted(Path(name).iterdir()):
                    if path.is_file():
                        yield path, False
                    else:
                        self._skip(path, _kind_of(path))
            elif Path(name).exists() and not Path(name).is_file():  # a pipe can be read only once
                raise ImportFileError(f"{name} is a pipe or a device, not a file", f"bgpledger import - < {name}")
            else:
                yield Path(name), True

    def _stdin(self) -> Path:
        self._own.append(Path(tempfile.mkdtemp(prefix="bgpledger-")))
        path = self._own[-1] / _STDIN
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        if not path.stat().st_size:
            raise ImportFileError("there is nothing on stdin", "bgpledger import - < FILE")
        return path

    def _skip(self, path: Path, reason: str) -> None:
        self.skipped.setdefault(reason, []).append(path)

    def _rename(self, error: BaseException | None) -> None:
        """Call data from stdin by what it is, in the words of an error."""
        if isinstance(error, BgpledgerError):
            for path in self._own:
                error.cause = error.cause.replace(str(path / _STDIN), _STDIN)

    def _remove_own(self) -> None:
        for path in self._own:
            shutil.rmtree(path, ignore_errors=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._remove_own()
        self._rename(error)


def _kind_of(path: Path) -> str:
    """What in a directory is not a file."""
    if path.is_dir():
        return "a directory in a directory"
    return "a pipe, a socket or a device" if path.exists() else "a link to nothing"
