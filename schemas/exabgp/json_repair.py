"""Repairs lines that are not valid JSON because of known bugs in ExaBGP.

Each fault is searched for as ExaBGP's code writes it, with unescaped quotes, which cannot occur within a JSON string:
no text from a peer looks like one. A repaired line is parsed and validated like any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_UNFILLED_SID = b'{ "sid": "%s", "flags": 0, "endpoint_behavior": %d'
_SID = b'{ "sid": null, "flags": null, "endpoint_behavior": null'
"""The place of a value that is not printed, which becomes null; the message's bytes fill it
(`schemas.exabgp.attributes`)."""
_FORGOTTEN_COMMA = re.compile(rb'("endpoint_ip": "[0-9A-Fa-f.:]{2,45}")("source_ip_len": \d)')
_QUOTED_TWICE = re.compile(rb': ""([\w -]{1,80})""(?=[ ,])', re.ASCII)
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*+"|(?<=[:\[,] )-?(?:nan|inf)(?=[ ,\]])', re.DOTALL)
_NUMBERS = {b"nan": b"NaN", b"inf": b"Infinity", b"-inf": b"-Infinity", b"-nan": b"NaN"}


def mended(raw: bytes) -> bytes:
    """An invalid line without its known faults; unchanged if it has none."""
    for sign, mend in _FAULTS:
        if sign in raw:
            raw = mend(raw)
    return raw


def _number(found: re.Match[bytes]) -> bytes:
    return _NUMBERS.get(found[0], found[0])


_FAULTS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (_UNFILLED_SID, lambda raw: raw.replace(_UNFILLED_SID, _SID)),
    (b'""source_ip_len"', lambda raw: _FORGOTTEN_COMMA.sub(rb"\1, \2", raw)),
    (b': ""', lambda raw: _QUOTED_TWICE.sub(rb': "\1"', raw)),
    (b"nan", lambda raw: _STRING_OR_NUMBER.sub(_number, raw)),
    (b"inf", lambda raw: _STRING_OR_NUMBER.sub(_number, raw)),
)
"""The pattern of each fault: 5.0 leaves SRv6 SIDs unfilled, and forgets a comma in MUP routes of type 1; 4.2 quotes
families twice, and prints NaN and infinity as Python does."""
