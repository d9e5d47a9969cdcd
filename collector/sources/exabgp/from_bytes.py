"""Decodes lines from the message's bytes, if they have them (`wire_bytes`); only the envelope is ExaBGP's.

ExaBGP's own interpretation of the message, which may be wrong or not even JSON, is ignored: docs/exabgp-differences.md
lists where that matters.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from collector.bgp.decode import BadMessageError, as_message, decode_message
from collector.bgp.messages import UPDATE
from collector.bgp.open_messages import Abilities
from schemas.exabgp.messages import peer_of
from schemas.message import ExabgpProcess, Message
from schemas.message_fields import PeerFields
from schemas.peer import Peer
from schemas.scalars import from_unix, normalise_address

_ANY_SESSION: Final = Abilities(as4=True, families=frozenset())
"""For messages that are the same in every session: all but UPDATE."""
_LINE: Final = re.compile(
    rb"""\{\ ?"exabgp":\ "[^"]*",\ "time":\ (\d{1,10}(?:\.\d{1,9})?),\ "host"\ ?:\ "[^"]*",
    \ "pid"\ ?:\ (\d{1,9}),\ "ppid"\ ?:\ \d{1,9},\ "counter":\ (\d{1,18}),
    \ "type":\ "(?:open|update|notification|keepalive|refresh)",
    \ "header":\ "0x([0-9A-Fa-f]{38})",(?:\ "body":\ "0x((?:[0-9A-Fa-f]{2})*+)",)?
    \ "neighbor":\ \{\ ?"address":\ \{\ ?"local":\ "([0-9a-fA-F.:]{2,45})",\ "peer":\ "([0-9a-fA-F.:]{2,45})"\ ?\},
    \ "asn":\ \{\ ?"local":\ (\d{1,10}),\ "peer":\ (\d{1,10})\ ?\}(?:,\ "router-id":\ "[0-9.]{7,15}")?
    \ ?,\ "direction":\ "receive\"""",
    re.VERBOSE,
)
"""As written by ExaBGP 5.0 and 4.2 (reactor/api/response/json.py)."""
_SIGN: Final = b'"header": "0x'
_WITHIN: Final = 400
"""The maximum offset of the sign in a line: a host's name has at most 255 bytes."""


class WireLine(NamedTuple):
    """The envelope of a line with a received message's bytes."""

    time: float
    pid: int
    counter: int
    wire: bytes
    """The whole message with its header (RFC 4271 4.1)."""
    local: tuple[str, int]
    """Our address and AS."""
    peer: Peer

    @property
    def is_update(self) -> bool:
        """Whether decoding it depends on what the session negotiated."""
        return self.wire[18] == UPDATE


def split(raw: bytes) -> WireLine | None:
    """Split a line; None if it has no received message's bytes, or is not as ExaBGP writes it."""
    if raw.find(_SIGN, 0, _WITHIN) < 0 or not raw.endswith(b"}"):
        return None
    found = _LINE.match(raw)
    if found is None:
        return None
    time, pid, counter, header, body, local, peer, local_asn, asn = found.groups()
    try:
        return WireLine(
            float(time),
            int(pid),
            int(counter),
            bytes.fromhex((header + (body or b"")).decode()),
            (normalise_address(local.decode()), int(local_asn)),
            peer_of(normalise_address(peer.decode()), int(asn)),
        )
    except ValueError:  # an invalid address or AS
        return None


def read(line: WireLine, agreed: Abilities | None) -> Message | None:
    """The message in a line's bytes; None if they cannot be decoded.

    Args:
        line: the line.
        agreed: what its session negotiated; None if unknown, in which case no UPDATE is decoded.
    """
    if agreed is None and line.is_update:
        return None
    try:
        decoded = decode_message(line.wire, agreed or _ANY_SESSION)
        common: PeerFields = {
            "ts": from_unix(line.time),
            "source": ExabgpProcess(line.pid, line.counter),
            "peer": line.peer,
            "wire": line.wire,
        }
        return as_message(decoded, common, peer_of(*line.local))
    except (BadMessageError, ValueError):
        return None
