"""Path attributes of an UPDATE (RFC 4271 section 5 and its successors), as plain values.

Communities are lists of strings in the usual notation (`65001:100`, `65001:1:2`), an AS path is one string in bgpdump's
notation: AS_SEQUENCE `1 2 3`, AS_SET `{4,5}`, AS_CONFED_SEQUENCE `(6 7)`, AS_CONFED_SET `[8,9]`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, with_config
from typing_extensions import TypedDict

from schemas.json_object import JsonObject
from schemas.scalars import Asn, Uint32

SegmentKind = Literal["sequence", "set", "confed_sequence", "confed_set"]

_BRACKETS: dict[SegmentKind, tuple[str, str, str]] = {
    "sequence": ("", " ", ""),
    "set": ("{", ",", "}"),
    "confed_sequence": ("(", " ", ")"),
    "confed_set": ("[", ",", "]"),
}
_KINDS: dict[str, SegmentKind] = {"{": "set", "(": "confed_sequence", "[": "confed_set"}
_SEGMENT = re.compile(r"\{[^}]*\}|\([^)]*\)|\[[^\]]*\]|[0-9][0-9 ]*")
_AS_PATH = re.compile(
    r"(?:(?:\d+|\{(?:\d+(?:,\d+)*)?\}|\((?:\d+(?: \d+)*)?\)|\[(?:\d+(?:,\d+)*)?\])(?: (?!$)|$))*", re.ASCII
)


class PathSegment(NamedTuple):
    """One segment of an AS_PATH (RFC 4271 4.3, RFC 5065 for confederations)."""

    kind: SegmentKind
    asns: tuple[int, ...]


def format_as_path(segments: list[tuple[SegmentKind, list[int]]]) -> str:
    """Segments as one string. Adjacent AS_SEQUENCEs are joined: long ones are split every 255 ASes (RFC 4271 4.3)."""
    parts = []
    for kind, asns in segments:
        opening, comma, closing = _BRACKETS[kind]
        if asns or opening:
            parts.append(opening + comma.join(map(str, asns)) + closing)
    return " ".join(parts)


def parse_as_path(text: str) -> tuple[PathSegment, ...]:
    """The segments of a path in the notation of `format_as_path`."""
    return tuple(
        PathSegment(_KINDS.get(part[0], "sequence"), tuple(int(asn) for asn in re.findall(r"\d+", part)))
        for part in _SEGMENT.findall(text)
    )


def origins(path: str) -> tuple[int, ...]:
    """The AS that originated a route, from its path; several if it ends in an AS_SET, none if it is empty."""
    if path[-1:].isdigit():  # nearly all paths; this runs for every UPDATE that is archived
        return (int(path.rpartition(" ")[2]),)
    segments = parse_as_path(path)
    if not segments:
        return ()
    last = segments[-1]
    return last.asns if last.kind.endswith("set") else last.asns[-1:]


def _check_as_path(text: str) -> str:
    if not _AS_PATH.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is not an AS path")
    return text


AsPath = Annotated[str, AfterValidator(_check_as_path)]
"""An AS path in bgpdump's notation; empty for a route that the peer's own AS originates over iBGP."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Aggregator(_Frozen):
    """AGGREGATOR (RFC 4271 5.1.7): the router that formed the aggregate."""

    asn: Asn
    address: str


class ExtendedCommunity(_Frozen):
    """An extended community (RFC 4360; 20 bytes: RFC 5701): its exact bytes, and as text.

    In documents the text is ExaBGP's; in answers it uses IANA's names (`schemas.extended`), or else ExaBGP's.
    """

    hex: str
    text: str = ""


class UnknownAttribute(_Frozen):
    """An attribute that ExaBGP does not interpret: its type code and its value."""

    code: int
    flags: int
    """The original flags only if the message's bytes are stored (`wire_bytes`). Otherwise they are ExaBGP's, which sets
    PARTIAL (0x20) in each, as RFC 4271 5 requires when passing one on."""
    hex: str


OTC = 35
"""The type code of Only to Customer (RFC 9234)."""
_TREATED, _DISCARDED = "treat-as-withdraw", "discard"


def malformed(error: str) -> str:
    """How malformed attributes were handled, in RFC 7606's words: `treat-as-withdraw: malformed COMMUNITIES`."""
    done, _, name = error.partition(" due to ")
    label = _NAMES.get(name, name.upper().replace("-", "_")) or "attribute"
    return f"{'attribute-discard' if done == _DISCARDED else done}: malformed {label}"


def is_treated_as_withdrawn(error: str | None) -> bool:
    """Whether routes were announced with malformed attributes, and count as withdrawn (RFC 7606 2)."""
    return error is not None and error.startswith(_TREATED)


_NAMES = {
    "med": "MULTI_EXIT_DISC",
    "local-preference": "LOCAL_PREF",
    "community": "COMMUNITIES",
    "large-community": "LARGE_COMMUNITY",
    "extended-community": "EXTENDED COMMUNITIES",
}
"""Where ExaBGP's names differ from RFC 4271's by more than letter case."""


class StoredAggregator(TypedDict):
    """AGGREGATOR in the form of documents; see `Aggregator`."""

    asn: Asn
    address: str


class StoredExtendedCommunity(TypedDict):
    """An extended community in the form of documents; see `ExtendedCommunity`."""

    hex: str
    text: str


class StoredUnknownAttribute(TypedDict):
    """An unknown attribute in the form of documents; see `UnknownAttribute`."""

    code: int
    flags: int
    hex: str


@with_config(ConfigDict(extra="forbid"))
class Attributes(TypedDict, total=False):
    """The path attributes that all announced routes of one UPDATE share, in the form of documents: only those present.

    If the message came with its bytes (`wire_bytes`, or another source than ExaBGP), the attributes were read from
    these. Otherwise ExaBGP has read them: then unknown attributes that are not transitive are missing (RFC 4271 5 says
    to ignore them), and so is the order of communities, see docs/exabgp-differences.md.
    """

    origin: Literal["igp", "egp", "incomplete", "invalid"]
    """ORIGIN (5.1.1). `invalid` is ExaBGP's word for a value that RFC 4271 does not define; read from a message's
    bytes, such an UPDATE is treat-as-withdraw (RFC 7606 7.1)."""
    as_path: AsPath
    """AS_PATH (5.1.2). On a session with two-byte AS numbers AS4_PATH is merged in (RFC 6793 4.2.3). Without the
    message's bytes confederation segments (RFC 5065) are AS_SEQUENCEs. An announcement without AS_PATH, which is
    malformed, looks the same as one with an empty AS_PATH."""
    med: Uint32
    """MULTI_EXIT_DISC (5.1.4)."""
    local_pref: Uint32
    """LOCAL_PREF (5.1.5)."""
    atomic_aggregate: Literal[True]
    """ATOMIC_AGGREGATE (5.1.6)."""
    aggregator: StoredAggregator
    communities: list[str]
    """COMMUNITIES (RFC 1997); sorted by ExaBGP if the message's bytes are not stored."""
    large_communities: list[str]
    """LARGE_COMMUNITY (RFC 8092)."""
    extended_communities: list[StoredExtendedCommunity]
    ipv6_extended_communities: list[StoredExtendedCommunity]
    originator_id: str
    """ORIGINATOR_ID (RFC 4456)."""
    cluster_list: list[str]
    """CLUSTER_LIST (RFC 4456)."""
    aigp: str
    """AIGP (RFC 7311): 64 bits, hexadecimal."""
    otc: Asn
    """Only to Customer (RFC 9234 5); in documents of version 0.1 it is the unknown attribute 35."""
    pmsi_tunnel: str
    """PMSI_TUNNEL (RFC 6514), as ExaBGP prints it."""
    prefix_sid: JsonObject
    """BGP Prefix-SID (RFC 8669), as ExaBGP prints it. It does not print SRv6 SIDs (RFC 9252): these are null, or read
    from the message's bytes (`wire_bytes`)."""
    bgp_ls: JsonObject
    """BGP-LS attribute (RFC 9552), as ExaBGP prints it; with its value as `bytes`, in hexadecimal, if it was read from
    the message's bytes."""
    unknown: list[StoredUnknownAttribute]
    error: str
    """How malformed attributes were handled (RFC 7606 2), in ExaBGP's words: `treat-as-withdraw`, with everything
    announced listed under `withdraw`, or `discard`, without the attribute. Read from the message's bytes, it is what
    RFC 7606 requires, followed by ` due to ` and the attribute; otherwise it is what ExaBGP did, which does not always
    name the attribute."""
    other: JsonObject
    """Attributes under names that this version does not know, as ExaBGP prints them."""
