"""Converts the BGP messages of a capture to MRT records (RFC 6396 4.4, RFC 8050): each end is the other's peer."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from collector.bgp.messages import KEEPALIVE_TYPE, NOTIFICATION, OPEN, UPDATE, update_families
from collector.bgp.mrt import CutError, Frame
from collector.bgp.open_messages import AS_TRANS
from collector.errors import ReplayError
from collector.sources.pcap.capture import CaptureReader
from collector.sources.pcap.connections import CapturedConnections, End, Ended, SentData
from collector.sources.pcap.framing import FramedMessage, Lost
from collector.sources.pcap.sessions import CapturedSession

_BGP4MP_ET: Final = 17
_HEADER: Final = struct.Struct(">IHHII")
_LOST: Final = 0xFFFF
"""A subtype of our own: in place of a message it has the length of a reason, the reason, and what is left of messages.
It is stored in `rejects`, but in no file."""
_STATE_CHANGE_AS4: Final = 5
_MESSAGE: Final = {(False, False): 1, (True, False): 4, (False, True): 8, (True, True): 9}
"""The subtype, by the size of AS numbers, and whether there are path identifiers."""
_MESSAGE_LOCAL_AS4: Final = 7
_OPEN_CONFIRM, _ESTABLISHED, _IDLE = 5, 6, 1
_BOTH: Final = {OPEN, KEEPALIVE_TYPE}
"""What each end must have sent before a session is up (RFC 4271 8.2.2)."""


class Capture:
    """A capture, as the importer reads files. It is read twice: first for what its sessions negotiated."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sessions: Mapping[int, CapturedSession] | None = None
        self.unread_links: Mapping[int, int] = {}
        """Packets of unknown link types, by type."""

    @property
    def guesses(self) -> list[str]:
        """What had to be guessed about its sessions, one sentence each."""
        return [words for session in (self._sessions or {}).values() for words in session.words()]

    def first_time(self) -> int:
        """The time of the first data, in unix seconds.

        Raises:
            ReplayError: it cannot be read, or there is no data.
        """
        return int.from_bytes(next(self.open(self.path, lambda _: None).frames()).raw[:4])

    def open(self, _path: Path, on_read: Callable[[int], None]) -> CaptureRecords:
        """Its records, from the beginning.

        Raises:
            ReplayError: it cannot be read.
        """
        if self._sessions is None:
            self._sessions = self._surveyed()
        return CaptureRecords(self.path, on_read, self._sessions)

    def _surveyed(self) -> Mapping[int, CapturedSession]:
        connections = CapturedConnections()
        found: dict[int, CapturedSession] = {}
        fault: CutError | None = None
        try:
            for sent in connections.follow(CaptureReader(self.path).packets()):
                session = found.get(sent.connection)
                if session is None:
                    session = found[sent.connection] = CapturedSession((sent.sender, sent.receiver))
                session.learn(sent)
        except CutError as error:
            fault = error
        self.unread_links = connections.segments.unread_links
        if not found:
            raise fault or self._nothing()
        return found

    def _nothing(self) -> ReplayError:
        if self.unread_links:
            links = ", ".join(map(str, sorted(self.unread_links)))
            return ReplayError(
                f"{self.path} has packets of link type {links}, which is not supported",
                "capture on an Ethernet interface, or on `any`",
            )
        return ReplayError(
            f"there is no traffic on TCP port 179 in {self.path}",
            "capture where the BGP session is: tcpdump -i any -s 0 -w FILE tcp port 179",
        )


class _ConnectionProgress:
    """The progress of a connection."""

    def __init__(self, session: CapturedSession) -> None:
        self.session = session
        self.sent: dict[End, set[int]] = {end: set() for end in session.speakers}
        self.is_up = False
        self.was_up = False

    def comes_up(self, sender: End, kind: int) -> bool:
        """Process the type of a message; returns whether the session comes up with it."""
        if kind in _BOTH:
            self.sent[sender].add(kind)
        if self.was_up or any(kinds < _BOTH for kinds in self.sent.values()):
            return False
        self.is_up = self.was_up = True
        return True

    def goes_down(self) -> bool:
        """Process the end; returns whether a session ends that was up, as far as is known."""
        ends = self.is_up or not (self.was_up or any(self.sent.values()))
        self.is_up, self.was_up = False, True
        return ends


class CaptureRecords:
    """See `collector.archive.importing.RecordFile`.

    Args:
        path: the capture.
        on_read: called with the number of bytes of the file read so far.
        sessions: the sessions, by the number of their connection.
    """

    def __init__(self, path: Path, on_read: Callable[[int], None], sessions: Mapping[int, CapturedSession]) -> None:
        self._path = path
        self._reader = CaptureReader(path, on_read)
        self._sessions = sessions
        self._progress: dict[int, _ConnectionProgress] = {}

    def frames(self) -> Iterator[Frame]:
        """A record for each message, for each change of a session's state, and for each loss.

        Raises:
            ReplayError: see `CaptureReader.packets`.
        """
        offset = 0
        for number, raw in enumerate(self._records(), 1):
            yield Frame(number, offset, raw)
            offset += len(raw)

    def _records(self) -> Iterator[bytes]:
        for sent in CapturedConnections().follow(self._reader.packets()):
            progress = self._progress.get(sent.connection)
            if progress is None:
                session = self._sessions.get(sent.connection)
                if session is None:
                    raise CutError(
                        f"{self._path} has grown while it was read: it has another connection now",
                        "import captures when they are complete",
                    )
                progress = self._progress[sent.connection] = _ConnectionProgress(session)
            yield from self._record(sent, progress)

    def _record(self, sent: SentData, progress: _ConnectionProgress) -> Iterator[bytes]:
        what = sent.what
        way = _OneWay(progress.session, sent.sender, sent.receiver)
        back = _OneWay(progress.session, sent.receiver, sent.sender)
        if isinstance(what, Ended):
            yield from self._down(what.time, progress, way, back)
        elif isinstance(what, Lost):
            reason = what.reason.encode()
            yield way.record(what.time, _LOST, bytes((len(reason),)) + reason + what.remains)
        else:
            yield from self._message(what, progress, way, back)

    def _message(
        self, found: FramedMessage, progress: _ConnectionProgress, way: _OneWay, back: _OneWay
    ) -> Iterator[bytes]:
        kind = found.data[18]
        yield way.record(found.time, way.subtype(found.data), found.data)
        if progress.comes_up(way.sender, kind):
            for one in (way, back):
                yield one.record(found.time, _STATE_CHANGE_AS4, struct.pack(">HH", _OPEN_CONFIRM, _ESTABLISHED))
        elif kind == NOTIFICATION:  # it ends the session on both sides
            yield back.record(found.time, _MESSAGE_LOCAL_AS4, found.data)
            yield from self._down(found.time, progress, way, back)

    def _down(self, time: int, progress: _ConnectionProgress, way: _OneWay, back: _OneWay) -> Iterator[bytes]:
        if progress.goes_down():
            for one in (way, back):
                yield one.record(time, _STATE_CHANGE_AS4, struct.pack(">HH", _ESTABLISHED, _IDLE))


class _OneWay(NamedTuple):
    """One direction of a session."""

    session: CapturedSession
    sender: End
    receiver: End

    def subtype(self, data: bytes) -> int:
        """The subtype of a message; AS_PATH and the header have AS numbers of the same size."""
        agreed = self.session.agreed(self.sender, self.receiver)
        families = update_families(data) if agreed.add_path and data[18] == UPDATE else frozenset()
        return _MESSAGE[agreed.as4, bool(families & agreed.add_path)]

    def record(self, time: int, subtype: int, payload: bytes) -> bytes:
        """A record of the sender, as a peer of the receiver."""
        asns = [self.session.speakers[end].asn for end in (self.sender, self.receiver)]
        if subtype in (1, 8):
            numbers = struct.pack(">HH", *(asn if asn < 2**16 else AS_TRANS for asn in asns))
        else:
            numbers = struct.pack(">II", *asns)
        addresses = [_packed(end[0]) for end in (self.sender, self.receiver)]
        family = struct.pack(">HH", 0, 1 if len(addresses[0]) == 4 else 2)
        body = numbers + family + b"".join(addresses) + payload
        seconds, rest = divmod(time, 1_000_000_000)
        return _HEADER.pack(seconds % 2**32, _BGP4MP_ET, subtype, 4 + len(body), rest // 1000) + body


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class LostRecord(NamedTuple):
    """What was lost in one direction."""

    time: float
    sender: tuple[str, int]
    """Address and AS."""
    receiver: str
    reason: str


def read_lost(raw: bytes) -> LostRecord | None:
    """The record of a loss; None for all other records."""
    seconds, kind, subtype, _length, microseconds = _HEADER.unpack_from(raw)
    if (kind, subtype) != (_BGP4MP_ET, _LOST):
        return None
    body = raw[_HEADER.size :]
    family, width = (socket.AF_INET, 4) if body[11] == 1 else (socket.AF_INET6, 16)
    sender, receiver = (socket.inet_ntop(family, body[at : at + width]) for at in (12, 12 + width))
    payload = body[12 + 2 * width :]
    reason = payload[1 : 1 + payload[0]].decode()
    return LostRecord(seconds + microseconds / 1e6, (sender, int.from_bytes(body[:4])), receiver, reason)
