"""Says what is wrong with an address or a prefix that somebody typed."""

from __future__ import annotations

import re

from schemas.scalars import normalise_address

_OCTET, _OCTETS, _GROUPS = 255, 4, 8


def fault_of_address(text: str) -> str:
    """Why a text is not an address, such as `octet 300 is more than 255`; empty if the reason is not known."""
    if re.fullmatch(r"[0-9.]+", text) and "." in text:
        octets = text.split(".")
        wrong = next((octet for octet in octets if not octet or len(octet) > 3 or int(octet) > _OCTET), None)
        if len(octets) != _OCTETS:
            return f"it has {len(octets)} octets, not {_OCTETS}"
        if wrong is not None:
            return f"octet {wrong} is more than {_OCTET}" if wrong else "an octet is missing"
        zero = next((octet for octet in octets if octet != str(int(octet))), None)
        return f"octet {zero} begins with 0" if zero else ""
    if ":" in text and re.fullmatch(r"[0-9A-Za-z:.%]+", text):
        if "%" in text:
            return "a zone (%) is no part of it"
        groups = text.split(":")
        wrong = next((one for one in groups if not re.fullmatch(r"[0-9A-Fa-f]{0,4}", one) and "." not in one), None)
        if wrong is not None:
            return f"group {wrong} is not hexadecimal, of at most 4 digits"
        if text.count("::") > 1:
            return ":: stands in it twice"
        return "" if "." in text else f"it has {sum(map(bool, groups))} groups of {_GROUPS}"
    return ""


def fault_of_prefix(text: str) -> str:
    """Why a text is not a prefix, such as `its length is not 0 to 32`; empty if the reason is not known."""
    address, slash, _ = text.partition("/")
    try:
        normalise_address(address)
    except ValueError:
        return fault_of_address(address)
    return f"its length is not 0 to {128 if ':' in address else 32}" if slash else ""
