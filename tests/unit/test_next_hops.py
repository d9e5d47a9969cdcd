"""One next hop stays one, whatever ExaBGP makes of its bytes."""

from __future__ import annotations

from itertools import product

import pytest

from collector.sources.exabgp.decode import decode
from schemas.message import Update
from schemas.message_parts import Announced
from tests.exabgp_lines import NEXT_HOP, ORIGIN, Speaker, as_path, packed, prefixes, reach

IPV4_OVER_IPV6 = [(1, 1, 2), (1, 128, 2)]
RD = bytes.fromhex("0000fbf400000001")
LABEL = bytes.fromhex("000641")


def announced(line: bytes) -> list[Announced]:
    message = decode(line)
    assert isinstance(message, Update), message
    return message.announce or []


@pytest.mark.parametrize(
    ("halves", "next_hop", "link_local"),
    [
        (("2001:db8::1",), "2001:db8::1", None),
        (("fe80::1",), "fe80::1", None),
        (("2001:db8::1", "fe80::1"), "2001:db8::1", "fe80::1"),
        (("2001:db8::1", "febf::1"), "2001:db8::1", "febf::1"),
        (("fe80::1", "2001:db8::1"), "2001:db8::1", "fe80::1"),
        (("fe80::1", "fe80::1"), "fe80::1", None),
        (("fe80::1", "fe80::2"), "fe80::1", "fe80::2"),
        (("2001:db8::1", "2001:db8::1"), "2001:db8::1", None),
        (("2001:db8::1", "2001:db8::2"), "2001:db8::1", None),
        (("2001:db8::2", "2001:db8::1"), "2001:db8::2", None),
        (("2001:db8::1", "fec0::1"), "2001:db8::1", None),
        (("2001:db8::1", "::"), "2001:db8::1", None),
        (("::", "2001:db8::1"), "2001:db8::1", None),
        (("::", "fe80::1"), "fe80::1", None),
        (("fe80::1", "::"), "fe80::1", None),
        (("::", "::"), "::", None),
        (("::ffff:192.0.2.1", "fe80::1"), "::ffff:192.0.2.1", "fe80::1"),
    ],
)
@pytest.mark.parametrize("nlri", [("2001:db8:1::/48",), ("2001:db8:1::/48", "2001:db8:2::/48", "::/0")])
def test_next_hops_of_ipv6_routes_are_decoded(
    nlri: tuple[str, ...], halves: tuple[str, ...], next_hop: str, link_local: str | None
) -> None:
    (group,) = announced(Speaker().hear(ORIGIN + as_path(1) + reach(2, 1, packed(*halves), prefixes(*nlri))))
    assert (group.get("next_hop"), group.get("link_local"), group.get("nlri")) == (next_hop, link_local, list(nlri))


@pytest.mark.parametrize(
    ("halves", "link_local"),
    [(("2001:db8::1",), None), (("2001:db8::1", "fe80::1"), "fe80::1"), (("2001:db8::1", "2001:db8::1"), None)],
)
def test_ipv4_routes_with_an_ipv6_next_hop_beside_the_nlri_field(
    halves: tuple[str, ...], link_local: str | None
) -> None:
    """The routes of RFC 8950, and those of the NLRI field in the same message, have different next hops."""
    mp = reach(1, 1, packed(*halves), prefixes("10.1.0.0/16", "10.2.0.0/16"))
    line = Speaker(next_hops=IPV4_OVER_IPV6).hear(
        ORIGIN + as_path(1) + NEXT_HOP + mp, prefixes("10.3.0.0/16", "10.3.0.0/16")
    )
    old, new = announced(line)
    assert (old.get("next_hop"), old.get("link_local"), old.get("nlri")) == (
        "192.0.2.1",
        None,
        ["10.3.0.0/16", "10.3.0.0/16"],
    )
    assert (new.get("next_hop"), new.get("link_local"), new.get("nlri")) == (
        "2001:db8::1",
        link_local,
        ["10.1.0.0/16", "10.2.0.0/16"],
    )


@pytest.mark.parametrize(("afi", "prefix"), [(1, "10.1.0.0/16"), (2, "2001:db8:1::/48")])
def test_a_vpn_next_hop_of_24_bytes_is_decoded(afi: int, prefix: str) -> None:
    next_hops = IPV4_OVER_IPV6 if afi == 1 else []
    nlri = prefixes(prefix, before=LABEL + RD)
    line = Speaker(next_hops=next_hops).hear(
        ORIGIN + as_path(1) + reach(afi, 128, bytes(8) + packed("2001:db8::1"), nlri)
    )
    (group,) = announced(line)
    assert (group.get("next_hop"), group.get("link_local"), group.get("nlri")) == ("2001:db8::1", None, [prefix])
    assert (group.get("rd"), group.get("labels")) == ("64500:1", [[100]])


def test_next_hops_of_labelled_routes_are_decoded() -> None:
    nlri = prefixes("2001:db8:1::/48", "2001:db8:2::/48", before=LABEL)
    for second, link_local in (("fe80::1", "fe80::1"), ("2001:db8::1", None), ("::", None)):
        line = Speaker().hear(ORIGIN + as_path(1) + reach(2, 4, packed("2001:db8::1", second), nlri))
        (group,) = announced(line)
        assert (group.get("next_hop"), group.get("link_local")) == ("2001:db8::1", link_local)
        assert group.get("nlri") == ["2001:db8:1::/48", "2001:db8:2::/48"]


def test_the_next_hop_of_flowspec_is_found_within_the_route() -> None:
    nlri = bytes.fromhex("0b01400020010db800010000")
    for halves, chosen in (
        (("2001:db8::1", "fe80::1"), "2001:db8::1"),
        (("fe80::1", "2001:db8::1"), "2001:db8::1"),
        (("2001:db8::1", "2001:db8::1"), "2001:db8::1"),
    ):
        line = Speaker().hear(ORIGIN + as_path(1) + reach(2, 133, packed(*halves), nlri))
        (group,) = announced(line)
        assert group.get("next_hop") == chosen
        assert [one["next-hop"] for one in group.get("objects") or ()] == [chosen]


def test_one_route_that_is_listed_under_two_families_stays_two() -> None:
    shared = [{"nlri": "10.0.0.0/8"}]
    hops = {"ipv4 unicast": {"192.0.2.1": shared, "2001:db8::1": shared}, "ipv4 multicast": {"2001:db8::1": shared}}
    groups = announced(Speaker().update(attribute={"origin": "igp"}, announce=hops))
    assert [(one.get("family"), one.get("next_hop")) for one in groups] == [
        ("ipv4 unicast", "192.0.2.1"),
        ("ipv4 unicast", "2001:db8::1"),
        ("ipv4 multicast", "2001:db8::1"),
    ]


def test_a_route_is_never_announced_twice_nor_lost() -> None:
    addresses = ["2001:db8::1", "2001:db8::2", "fe80::1", "::"]
    for halves in product(addresses, repeat=2):
        for nlri in (["2001:db8:1::/48"], ["2001:db8:1::/48", "2001:db8:2::/48"], ["::/0", "::/0", "::/1"]):
            line = Speaker().hear(ORIGIN + as_path(1) + reach(2, 1, packed(*halves), prefixes(*nlri)))
            (group,) = announced(line)
            assert set(group.get("nlri") or ()) == set(nlri), halves
