"""Splits the bytes of a router's connection into messages, and makes records of them.

No I/O here. This module decides what routers may send: after an invalid message, the rest of the connection cannot be
parsed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collector.bgp.messages import HEADER_LENGTH, MARKER
from collector.sources.bmp import messages, words
from collector.sources.bmp.messages import COMMON, LONGEST, VERSION, BadBmpError, PeerHeader
from collector.sources.bmp.record import Agreed, Facts, agreed, pack

_KEPT: Final = 64 * 1024
"""How many bytes of invalid messages are kept as a record, to be seen in `rejects`."""
_MOST_PEERS: Final = 50_000
"""The maximum number of a router's peers whose sessions and times are remembered."""
_LATE: Final = 60.0
"""Seconds: a Peer Down is about the present (RFC 7854 4.9), and not about a time this long ago."""


class Fault(NamedTuple):
    """Why a connection cannot continue."""

    cause: str
    cure: str


class Fed(NamedTuple):
    """The result of some bytes."""

    records: list[bytes]
    fault: Fault | None


@dataclass
class _Known:
    """What is known about a peer of the router."""

    agreed: Agreed | None = None
    """None: there was no Peer Up."""
    times: dict[tuple[int, int], float] = field(default_factory=dict)
    """The router's last time, by type of message and flags."""
    turned: float | None = None
    """The router's time of its last Peer Up or Peer Down."""


class RouterConnection:
    """One connection of a router.

    Args:
        router: its address, 16 bytes; IPv4 as RFC 4291 2.5.5.2 maps it.
        port: its port.
    """

    def __init__(self, router: bytes, port: int) -> None:
        self._router = router
        self._port = port
        self._rest = b""
        self._peers: dict[tuple[int, bytes, bytes], _Known] = {}
        self.messages = 0
        self.information: dict[str, str] = {}
        """What its Initiation says about it (RFC 7854 4.3)."""

    def feed(self, data: bytes, now: float) -> Fed:
        """Process bytes, split anywhere.

        Args:
            data: the bytes.
            now: when they arrived, in Unix seconds.
        """
        buffer, at, records = self._rest + data, 0, list[bytes]()
        fault = None
        while fault is None and len(buffer) - at >= COMMON.size:
            fault = self._fault(buffer, at)
            end = at + COMMON.unpack_from(buffer, at)[1]
            if fault or end > len(buffer):
                break
            records.append(self._record(buffer[at:end], now))
            at = end
        self._rest = buffer[at:]
        if fault is None and self._rest and self._rest[0] != VERSION:
            fault = self._fault(self._rest, 0)
        if fault:
            records += self.end(now)
        return Fed(records, fault)

    @property
    def is_in_first_message(self) -> bool:
        """Whether bytes have come, and no complete message."""
        return bool(self._rest) and not self.messages

    def end(self, now: float) -> list[bytes]:
        """The record of an incomplete message at the end of the connection, if there is one."""
        rest, self._rest = self._rest[:_KEPT], b""
        return [pack(now, self._router, self._port, Facts(0), (), rest)] if rest else []

    def _fault(self, buffer: bytes, at: int) -> Fault | None:
        """What is wrong with the message that starts there."""
        version = buffer[at]
        if version != VERSION:
            if self.messages:
                what = f"its message {self.messages + 1} has version {version}: nothing more can be read"
                return Fault(what, "it is the router's fault, or that of what stands between: see its log")
            return _stranger(buffer)
        length = COMMON.unpack_from(buffer, at)[1]
        if COMMON.size <= length <= LONGEST:
            return None
        what = f"its message {self.messages + 1} claims a length of {length} bytes, of {LONGEST} at most"
        return Fault(what, "it is the router's fault, or no router: see what connects there")

    def _record(self, message: bytes, now: float) -> bytes:
        self.messages += 1
        kind = message[COMMON.size - 1]
        try:
            if kind in messages.OF_A_PEER:
                facts, known = self._of_peer(kind, message, now)
                return pack(now, self._router, self._port, facts, (known or Agreed()).add_path, message)
            if kind == messages.INITIATION:
                self.information = words.information(messages.tlvs(message[COMMON.size :]))
        except BadBmpError:
            pass  # it is rejected when it is decoded, with the reason
        return pack(now, self._router, self._port, Facts(0), (), message)

    def _of_peer(self, kind: int, message: bytes, now: float) -> tuple[Facts, Agreed | None]:
        header = messages.peer_header(message)
        known = self._peers.get(header.key) or _Known()
        if len(self._peers) < _MOST_PEERS:
            self._peers[header.key] = known
        facts = _doubts(kind, header, known, now)
        if kind == messages.PEER_UP:
            up = messages.peer_up(message[messages.PEER_DATA_AT :])
            known.agreed = agreed(up.sent[HEADER_LENGTH:], up.received[HEADER_LENGTH:])
        session = known.agreed
        if session:
            facts |= Facts.PEER_IS_UP
            if not session.as4:
                facts |= Facts.TWO_BYTE_AS
        if kind == messages.PEER_DOWN:
            known.agreed = None
        return facts, session


def _doubts(kind: int, header: PeerHeader, known: _Known, now: float) -> Facts:
    """Why the router's own time cannot be right."""
    time, place = header.time, (kind, header.flags)
    if time is None:
        return Facts(0)
    before = known.times.get(place)
    known.times[place] = time
    if kind in (messages.PEER_UP, messages.PEER_DOWN):
        stands = time == known.turned or (kind == messages.PEER_DOWN and now - time > _LATE)
        known.turned = time
        if stands:
            return Facts.STANDING
    return Facts.BACKWARDS if before is not None and time < before else Facts(0)


def _stranger(begin: bytes) -> Fault:
    """A description of a sender that does not speak BMP."""
    version = begin[0]
    if version in (1, 2):
        return Fault(
            f"it speaks version {version} of BMP, a draft of long ago",
            "use a release of the router that speaks RFC 7854 (Junos 13.3 or newer)",
        )
    if begin.startswith(MARKER[:4]):
        return Fault("it speaks BGP, not BMP", "let the router's BGP neighbour be bgp.listen, and its BMP station this")
    return Fault(
        f"it does not speak BMP: it begins with {begin[:16]!r}", "see what connects there: it is no router's BMP"
    )
