"""BGP messages as bytes: what we encode and decode, against the octets of the RFCs."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.bgp import messages as bgp
from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST, Family, family_name
from collector.bgp.notifications import notification_words
from collector.bgp.open_messages import AS_TRANS, Abilities, OpenMessage, missing, open_message, parse_open
from tests.mrt_builder import announcement, announcement6, withdrawal

BODY = slice(bgp.HEADER_LENGTH, None)

families = st.frozensets(st.sampled_from([(1, 1), (2, 1), (1, 2), (1, 128), (25, 70)]), min_size=1)


@st.composite
def abilities(draw: st.DrawFn) -> Abilities:
    return Abilities(draw(st.booleans()), draw(families), extended=draw(st.booleans()))


def test_an_open_has_the_octets_of_the_rfcs() -> None:
    needs = Abilities(as4=True, families=frozenset({IPV4_UNICAST}))
    assert open_message(4_200_000_001, 180, "192.0.2.1", needs) == bytes.fromhex(
        "ffffffffffffffffffffffffffffffff" "002d" "01" "04" "5ba0" "00b4" "c0000201" "10"
        "0206" "010400010001" "0206" "4104fa56ea01"
    )  # fmt: skip


def test_a_session_for_two_byte_numbers_offers_no_capability_65() -> None:
    needs = Abilities(as4=False, families=frozenset({IPV4_UNICAST}))
    theirs = parse_open(open_message(64500, 180, "192.0.2.1", needs)[BODY])
    assert (theirs.asn, theirs.abilities.as4) == (64500, False)


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**16 - 1), abilities())
def test_an_open_is_read_as_it_was_written(asn: int, hold_time: int, needs: Abilities) -> None:
    found = parse_open(open_message(asn, hold_time, "192.0.2.1", needs)[BODY])
    seen_as = asn if needs.as4 or asn < 2**16 else AS_TRANS
    assert found == OpenMessage(seen_as, hold_time, "192.0.2.1", needs)


def test_add_path_is_offered_for_sending_and_understood_for_receiving() -> None:
    needs = Abilities(as4=True, families=frozenset({IPV4_UNICAST}), add_path=frozenset({IPV4_UNICAST}))
    ours = open_message(64500, 180, "192.0.2.1", needs)
    sends = bytes.fromhex("450400010102")
    assert sends in ours
    # We only send (mode 2). Mode 1 receives, mode 3 does both.
    assert parse_open(ours[BODY]).abilities.add_path == frozenset()
    for mode in (b"\x01", b"\x03"):
        theirs = parse_open(ours.replace(sends, sends[:-1] + mode)[BODY])
        assert theirs.abilities.add_path == needs.add_path


def test_extended_optional_parameters_are_read() -> None:
    # RFC 9072: the lengths are two bytes wide.
    body = bytes.fromhex("04fbf400b4c0000201ffff00090200064104fa56ea01")
    assert parse_open(body).asn == 4_200_000_001


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "0 bytes are too few"),
        ("03fbf400b4c000020100", "version 3, not 4"),
        ("04fbf400b4c000020105", "optional parameters of 5 bytes in 0"),
        ("04fbf400b4c0000201040206410403", "optional parameters of 4 bytes in 5"),
        ("04fbf400b4c00002010402044104", "longer than its place"),
    ],
)
def test_anything_but_an_open_is_a_value_error(body: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_open(bytes.fromhex(body))


@given(st.binary(max_size=60))
def test_random_opens_are_read_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        parse_open(b"\x04" + data)


def test_missing_capabilities_are_described_in_words() -> None:
    needs = Abilities(
        as4=True,
        families=frozenset({IPV4_UNICAST, IPV6_UNICAST}),
        add_path=frozenset({IPV4_UNICAST}),
        extended=True,
        ipv6_next_hops=frozenset({IPV4_UNICAST}),
    )
    assert missing(needs, needs) == []
    nothing = Abilities(as4=False, families=frozenset({IPV4_UNICAST}))
    assert missing(needs, nothing) == [
        "4-byte AS numbers (capability 65)",
        "family ipv6 unicast",
        "receiving add-path for ipv4 unicast",
        "IPv6 next hops of ipv4 unicast (capability 5)",
        "extended messages (capability 6)",
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\2\2", "OPEN Message Error / Bad Peer AS"),
        (b"\4\0", "Hold Timer Expired"),
        (b"\6\1", "Cease / Maximum Number of Prefixes Reached"),
        (b"\3\x0b\0\0", "UPDATE Message Error / Malformed AS_PATH"),
        (b"\6\2\x05hello", "Cease / Administrative Shutdown: hello"),
        (b"\6\2\x07\x1b[2J\xff\n!", "Cease / Administrative Shutdown: [2J\ufffd!"),
        (b"\6\4\xc8" + 200 * b"x", "Cease / Administrative Reset: " + 200 * "x"),
        (b"\6\1\0\1\1\0\0\0\x64", "Cease / Maximum Number of Prefixes Reached: ipv4 unicast, 100 prefixes"),
        (b"\6\x09\6\2\3abc", "Cease / Hard Reset: Cease / Administrative Shutdown: abc"),
        (b"\6\x09", "Cease / Hard Reset"),
        (b"\6\x0a", "Cease / BFD Down"),
        (b"\2\x0b", "OPEN Message Error / Role Mismatch"),
        (b"\5\3", "Finite State Machine Error / Receive Unexpected Message in Established State"),
        (b"\x08\0", "Send Hold Timer Expired"),
        (b"\6\2\0", "Cease / Administrative Shutdown"),
        (b"\6\x63", "Cease / subcode 99"),
        (b"\x63\x01", "error 99 / subcode 1"),
        (b"", "a NOTIFICATION without an error code"),
    ],
)
def test_notifications_are_described_in_words(body: bytes, words: str) -> None:
    assert notification_words(body) == words


END_OF_RIB6 = bgp.message(bgp.UPDATE, bytes.fromhex("00000006800f03000201"))


@pytest.mark.parametrize(
    ("update", "found"),
    [
        (announcement("203.0.113.0/24", 64500), {IPV4_UNICAST}),
        (withdrawal("203.0.113.0/24"), {IPV4_UNICAST}),
        (announcement6("2001:db8::/32", 64500), {IPV6_UNICAST}),
        (bgp.message(bgp.UPDATE, bytes(4)), set()),
        (END_OF_RIB6, {IPV6_UNICAST}),
        (bgp.message(bgp.UPDATE, bytes.fromhex("00000007900e0003001946")), {(25, 70)}),
        (bgp.message(bgp.UPDATE), set()),
    ],
)
def test_the_families_of_an_update_are_found(update: bytes, found: set[Family]) -> None:
    assert bgp.update_families(update) == found


@given(st.binary(max_size=200))
def test_any_bytes_have_families_or_are_refused(body: bytes) -> None:
    bgp.update_families(bgp.message(bgp.UPDATE, body))


def test_families_have_names() -> None:
    assert family_name((2, 1)) == "ipv6 unicast"
    assert family_name((25, 70)) == "l2vpn evpn"
    assert family_name((99, 250)) == "afi-99 safi-250"


def test_ipv6_next_hops_of_ipv4_routes_are_offered_and_read() -> None:
    needs = Abilities(as4=True, families=frozenset({IPV4_UNICAST}), ipv6_next_hops=frozenset({IPV4_UNICAST, (1, 128)}))
    opened = open_message(64500, 180, "192.0.2.1", needs)
    assert parse_open(opened[bgp.HEADER_LENGTH :]).abilities == needs


@pytest.mark.parametrize(
    ("reach", "found"),
    [
        ("800e1a00010110" + 16 * "20" + "00080a", {IPV4_UNICAST}),
        ("800e2a00010120" + 32 * "20" + "00080a", {IPV4_UNICAST}),
        ("800e0e00010104" + 4 * "20" + "00080a", set()),
        ("800e1a00020110" + 16 * "20" + "00080a", set()),
        ("800e03000101", set()),
        ("800f03000101", set()),
    ],
)
def test_ipv6_next_hops_are_seen_in_an_update(reach: str, found: set[Family]) -> None:
    attributes = bytes.fromhex(reach)
    body = b"\0\0" + len(attributes).to_bytes(2) + attributes
    assert bgp.ipv6_next_hops(bgp.message(bgp.UPDATE, body)) == found
