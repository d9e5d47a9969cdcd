"""Encodes the capabilities of an OPEN from ExaBGP's output in documents (RFC 5492)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from collector.bgp.families import Family, family_number
from schemas.message_parts import Capability

_CAPABILITIES: Final = 2  # the optional parameter, RFC 5492 4
_EXTENDED: Final = 255  # RFC 9072 2
_MOST: Final = 255
_RESTARTS, _NOTIFIES, _KEEPS = 0x8000, 0x4000, 0x80
_MODES: Final = {"receive": 1, "send": 2, "send/receive": 3}


def parameters_bytes(offered: Sequence[Capability]) -> tuple[bytes, list[int]]:
    """The field Optional Parameters with its length, and the codes of capabilities that are missing in it.

    Each capability has its own parameter; one with several families has a capability for each (RFC 4760 8).
    """
    encoded: list[bytes] = []
    left_out: list[int] = []
    for one in offered:
        code = int(one["code"])
        try:
            encoded += [bytes((code, len(value))) + value for value in _values(code, one)]
        except (KeyError, ValueError, TypeError, OverflowError, struct.error):
            left_out.append(code)
    short = b"".join(bytes((_CAPABILITIES, len(one))) + one for one in encoded if len(one) <= _MOST)
    if len(short) < _EXTENDED and all(len(one) <= _MOST for one in encoded):
        return bytes((len(short),)) + short, left_out
    long = b"".join(bytes((_CAPABILITIES,)) + len(one).to_bytes(2) + one for one in encoded)
    return bytes((_EXTENDED, _EXTENDED)) + len(long).to_bytes(2) + long, left_out


def _values(code: int, one: Capability) -> list[bytes]:
    """The value of a capability, or several if it occurs several times.

    Raises:
        KeyError: only its text is known.
    """
    for name in ("bytes", "raw"):
        if isinstance(one.get(name), str):
            return [bytes.fromhex(one[name])]
    return _WRITERS[code](one)


def _family(text: str) -> Family:
    """A family as written in capabilities: `ipv4/unicast`."""
    return family_number(text.replace("/", " "))


def _multiprotocol(one: Capability) -> list[bytes]:
    return [struct.pack(">HBB", afi, 0, safi) for afi, safi in map(_family, one["families"])]


def _next_hops(one: Capability) -> list[bytes]:
    """RFC 8950 4."""
    encoded = b""
    for conversion in one["conversion"]:
        family, _, hop = conversion.rpartition("/")
        encoded += struct.pack(">HHH", *_family(family), _family(f"{hop}/unicast")[0])
    return [encoded]


def _graceful_restart(one: Capability) -> list[bytes]:
    """RFC 4724 3, RFC 8538 2. ExaBGP's `forwarding` is the bit Restart State."""
    flags = one["restart-flags"]
    bits = (_RESTARTS if "forwarding" in flags else 0) | (_NOTIFIES if "notification" in flags else 0)
    kept = b"".join(
        struct.pack(">HBB", *_family(family), _KEEPS if "restart" in family_flags else 0)
        for family, family_flags in one["address-family-flags"].items()
    )
    return [(int(one["time"]) | bits).to_bytes(2) + kept]


def _add_path(one: Capability) -> list[bytes]:
    """RFC 7911 4."""
    modes = {family: _MODES[mode] for family, mode in one.items() if family not in ("code", "name")}
    return [b"".join(struct.pack(">HBB", *_family(family), mode) for family, mode in modes.items())]


def _host_name(one: Capability) -> list[bytes]:
    """draft-walton-bgp-hostname-capability."""
    names = [str(one[name]).encode() for name in ("host-name", "domain-name")]
    return [b"".join(bytes((len(name),)) + name for name in names)]


def _nothing(_one: Capability) -> list[bytes]:
    return [b""]


_WRITERS: Final[dict[int, Callable[[Capability], list[bytes]]]] = {
    1: _multiprotocol,
    2: _nothing,  # route refresh
    5: _next_hops,
    6: _nothing,  # extended messages
    64: _graceful_restart,
    65: lambda one: [int(one["asn4"]).to_bytes(4)],
    69: _add_path,
    70: _nothing,  # enhanced route refresh
    73: _host_name,
    128: _nothing,  # route refresh, before RFC 2918
}
