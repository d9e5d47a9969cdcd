"""Probes a name server by one query over UDP (RFC 1035 4.1)."""

from __future__ import annotations

import asyncio
import secrets
import struct

from collector.acting.health.probe_result import ProbeResult, unreachable

TYPES = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
}
"""Supported types of records, and their numbers."""

_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_HEADER = struct.Struct(">6H")
_IS_ANSWER, _IS_CUT, _WANTS_RECURSION = 0x8000, 0x0200, 0x0100
_INTERNET = 1


async def probe(address: str, port: int, name: str, kind: str) -> ProbeResult:
    """Query the records of a name. NOERROR with at least one record is healthy.

    A truncated answer (TC, RFC 1035 4.2.1) is healthy too: it had more records than fit.

    Args:
        address: the name server's.
        port: its port.
        name: a domain name, with or without the dot at its end.
        kind: one of `TYPES`.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[ProbeResult] = loop.create_future()
    sent = query(secrets.randbelow(1 << 16), name, kind)
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Answers(sent, answered), remote_addr=(address, port)
        )
    except OSError as error:
        return unreachable(error)
    try:
        transport.sendto(sent)
        return await answered
    finally:
        transport.close()


def query(number: int, name: str, kind: str) -> bytes:
    """The bytes of a query.

    Raises:
        ValueError: the name is invalid: a label is empty or longer than 63 bytes, or the name is longer than 255.
    """
    labels = [label.encode("ascii") for label in name.removesuffix(".").split(".")] if name != "." else []
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"{name[:60]!r} is not a domain name")
    spelt = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(spelt) > 255:
        raise ValueError(f"{name[:60]!r} is not a domain name")
    return _HEADER.pack(number, _WANTS_RECURSION, 1, 0, 0, 0) + spelt + struct.pack(">HH", TYPES[kind], _INTERNET)


def read(sent: bytes, received: bytes) -> ProbeResult | None:
    """The result from an answer; None if it does not answer this query."""
    if len(received) < _HEADER.size:
        return None
    number, flags, questions, answers, _, _ = _HEADER.unpack_from(received)
    question = sent[_HEADER.size :]
    repeated = received[_HEADER.size : _HEADER.size + len(question)]
    is_ours = number == _HEADER.unpack_from(sent)[0] and flags & _IS_ANSWER
    # A server that cannot parse a query need not repeat it.
    if not is_ours or (questions and repeated.lower() != question.lower()):
        return None
    code = flags & 0xF
    seen = _RCODES.get(code, f"RCODE {code}")
    if code:
        return ProbeResult(is_healthy=False, detail=seen)
    if flags & _IS_CUT:
        return ProbeResult(is_healthy=True, detail=f"{seen}, cut")
    return ProbeResult(is_healthy=answers > 0, detail=f"{seen}, {answers} record{'' if answers == 1 else 's'}")


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, sent: bytes, answered: asyncio.Future[ProbeResult]) -> None:
        self._query = sent
        self._answered = answered

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:  # noqa: ARG002
        if (found := read(self._query, data)) is not None and not self._answered.done():
            self._answered.set_result(found)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError) and not self._answered.done():
            self._answered.set_result(unreachable(exc))
