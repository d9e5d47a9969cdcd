import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.query.filter_names import FILTERS
from collector.query.filter_text import parse_filter
from collector.query.filters import Choice, Filter
from collector.regex import as_path_pattern, community_pattern
from schemas.attributes import ExtendedCommunity
from schemas.peer import Peer
from schemas.query import HistoryEntry, Route

TS = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)


def entry(**fields: Any) -> HistoryEntry:
    whole = {
        "ts": TS,
        "peer": Peer(address="192.0.2.1", asn=64500),
        "event": "announce",
        "prefix": "203.0.113.0/24",
        "family": "ipv4 unicast",
        "next_hop": "192.0.2.1",
        "as_path": "64500 64499 64496",
        **fields,
    }
    return HistoryEntry.model_validate(whole)


def route(**fields: Any) -> Route:
    """The route that the entry announces."""
    known = {**entry().model_dump(include=set(Route.model_fields)), "since": TS, "state": "stands", **fields}
    return Route.model_validate(known)


def filter_of(**texts: str) -> Filter:
    return parse_filter(texts)


SESSION = {"event": "session_up", "prefix": None, "family": None, "next_hop": None, "as_path": None}


@pytest.mark.parametrize(
    ("texts", "fields", "expected"),
    [
        ({}, {}, True),
        ({"start": "2026-11-23T14:05"}, {}, True),
        ({"end": "2026-11-23T14:05"}, {}, False),
        ({"start": "2026-11-23T14:04", "duration": "2m"}, {}, True),
        ({"end": "2026-11-23T14:06", "duration": "30s"}, {}, False),
        ({"peer": "192.0.2.1"}, {}, True),
        ({"peer": "192.0.2.2,192.0.2.1"}, {}, True),
        ({"peer": "!192.0.2.1"}, {}, False),
        ({"peer": "192.0.2.0/24"}, {}, True),
        ({"peer": "!192.0.2.0/24"}, {}, False),
        ({"peer": "2001:DB8::/32"}, {}, False),
        ({"peer_asn": "64500"}, {}, True),
        ({"peer_asn": "!AS64500"}, {}, False),
        ({"origin": "64496"}, {}, True),
        ({"origin": "64499"}, {}, False),
        ({"origin": "!64499,!64500"}, {}, True),
        ({"origin": "5"}, {"as_path": "64500 {4,5}"}, True),
        ({"origin": "64500"}, {"as_path": "64500 {4,5}"}, False),
        ({"origin": "1.10"}, {"as_path": "64500 65546"}, True),
        ({"peer_asn": "AS0.64500"}, {}, True),
        ({"origin": "5"}, {"as_path": None}, False),
        ({"origin": "!5"}, {"as_path": None}, True),
        ({"as_path": "_64499_"}, {}, True),
        ({"as_path": "_4499_"}, {}, False),
        ({"as_path": "^64500_"}, {}, True),
        ({"as_path": "!_64499_"}, {}, False),
        ({"as_path": "^$"}, {"as_path": ""}, True),
        ({"as_path": "_5_"}, {"as_path": "1 {4,5}"}, True),
        ({"as_path": "_7_"}, {"as_path": "(6 7) 8"}, True),
        ({"community": "64500:*"}, {"communities": ["64500:1"]}, True),
        ({"community": "64500:*"}, {"large_communities": ["64500:1:2"]}, False),
        ({"community": "64500:*:2"}, {"large_communities": ["64500:1:2"]}, True),
        ({"community": "*:666"}, {"communities": ["64500:1", "64511:666"]}, True),
        ({"community": "!*:666"}, {"communities": ["64500:1", "64511:666"]}, False),
        ({"community": "no-export"}, {"communities": ["65535:65281"]}, True),
        ({"community": "GRACEFUL_SHUTDOWN"}, {"communities": ["65535:0"]}, True),
        ({"community": "1.10:1:2"}, {"large_communities": ["65546:1:2"]}, True),
        ({"community": "target:1.10:2"}, {"extended_communities": [{"hex": "02", "text": "target:65546:2"}]}, True),
        ({"community": "0x02*"}, {"extended_communities": [{"hex": "0280", "text": ""}]}, True),
        (
            {"community": "target:64500:*"},
            {"extended_communities": [ExtendedCommunity(hex="0002fbf400000001", text="target:64500:1")]},
            True,
        ),
        ({"next_hop": "2001:DB8:0::1"}, {"next_hop": "2001:db8::1"}, True),
        ({"next_hop": "192.0.2.9"}, {}, False),
        ({"family": "ipv4"}, {}, True),
        ({"family": "IPv6/unicast"}, {}, False),
        ({"elem": "withdraw,announce"}, {}, True),
        ({"elem": "!announce"}, {}, False),
        ({"med": "0"}, {"med": 0}, True),
        ({"med": "0"}, {"med": None}, False),
        ({"med": "!0"}, {"med": None}, True),
        ({"local_pref": "100,200"}, {"local_pref": 200}, True),
        ({"elem": "session"}, SESSION, True),
        ({"origin": "!5"}, SESSION, False),
        # A route that a gap may hide is unknown.
        ({"origin": "5", "elem": "announce"}, {"event": "gap"}, True),
        ({"peer": "192.0.2.9"}, {"event": "gap"}, False),
        ({"peer": "192.0.2.9"}, {"event": "gap", "peer": Peer(address="192.0.2.0/24", asn=0)}, True),
        ({"peer": "!192.0.2.9"}, {"event": "gap", "peer": Peer(address="192.0.2.0/24", asn=0)}, True),
    ],
)
def test_filters_select_events(texts: dict[str, str], fields: dict[str, Any], expected: bool) -> None:
    assert filter_of(**texts).matches(entry(**fields)) is expected


@pytest.mark.parametrize(
    ("texts", "fields", "expected"),
    [
        ({}, {}, True),
        ({"peer": "!192.0.2.0/24"}, {}, False),
        ({"peer_asn": "64500,64501"}, {}, True),
        ({"origin": "64499"}, {}, False),
        ({"as_path": "_64499_"}, {}, True),
        ({"as_path": "!_64499_"}, {}, False),
        ({"community": "*:666"}, {"communities": ["64511:666"]}, True),
        ({"community": "64500:*:2"}, {"large_communities": ["64500:1:3"]}, False),
        ({"next_hop": "192.0.2.9"}, {}, False),
        ({"family": "ipv6"}, {}, False),
        ({"med": "!5", "local_pref": "100"}, {"med": 4, "local_pref": 100}, True),
        # Whatever the lost lines said, their peer and family are known.
        ({"origin": "5", "as_path": "_5_", "community": "5:5", "med": "5"}, {"state": "unknown"}, True),
        ({"family": "ipv6"}, {"state": "unknown"}, False),
        ({"peer": "192.0.2.9"}, {"state": "unknown"}, False),
        # The attributes of an uncertain route are known.
        ({"origin": "5"}, {"state": "uncertain"}, False),
    ],
)
def test_filters_select_routes(texts: dict[str, str], fields: dict[str, Any], expected: bool) -> None:
    assert filter_of(**texts).stands(route(**fields)) is expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (None, None),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("!192.0.2.1", None),
        ("192.0.2.0/24", None),
        ("192.0.2.1,192.0.2.2", None),
    ],
)
def test_filters_that_name_one_peer_are_recognised(peer: str | None, expected: str | None) -> None:
    assert (filter_of(peer=peer) if peer else filter_of()).only_peer == expected


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"peer": "router1"}, "'router1' is not an address"),
        ({"peer": "10.0.0.0/33"}, "is not an address"),
        ({"origin": "4294967296"}, "is not an AS number"),
        ({"origin": "1.65536"}, "is not an AS number"),
        ({"origin": "1,!2"}, "mixes"),
        ({"origin": "1,"}, "'' is not an AS number"),
        ({"as_path": "(64500"}, "is not a regular expression: missing )"),
        ({"as_path": "(?!64500)"}, "expressions are RE2's"),
        ({"as_path": r"(64500) \1"}, "expressions are RE2's"),
        ({"as_path": "(((1{99}){99}){99}){99}"}, "is not a regular expression"),
        ({"community": "64500 1"}, "is not a community"),
        ({"next_hop": "x"}, "is not an address"),
        ({"family": "ipv4 unicast multicast"}, "is not a family"),
        ({"family": "ipv5"}, "is not a family"),
        ({"community": "foo"}, "it is no name of a well-known one"),
        ({"community": "70000:1"}, "70000 is more than 65535"),
        ({"community": "1:2:4294967296"}, "4294967296 is more than 4294967295"),
        ({"community": "1:2:3:4"}, "it has 4 parts"),
        ({"community": "*"}, "has no parts"),
        ({"community": "foo:1:2"}, "no extended community begins with foo; they do with action, "),
        ({"community": "foo:1:2"}, "target, "),
        ({"community": "fo*:1:2"}, "no extended community begins with fo*"),
        ({"community": "192.0.2.1:1"}, "no extended community begins with 192.0.2.1"),
        ({"community": "64500:x"}, "'x' is no number"),
        ({"as_path": ""}, "is empty"),
        ({"as_path": "!"}, "is empty"),
        ({"elem": "!announce,!withdraw,!session,!table"}, "every kind of entry is excluded"),
        ({"start": ""}, "'' is not a time"),
        ({"duration": ""}, "'' is not a duration"),
        ({"elem": "update"}, "is not a kind"),
        ({"med": "-1"}, "is not a number"),
        ({"duration": "soon"}, "is not a duration"),
        ({"duration": "0s"}, "is not a duration"),
        ({"duration": "9999999999w"}, "is too long"),
        ({"start": "2h", "end": "1h", "duration": "1h"}, "start, end and duration"),
        ({"start": "1h", "end": "2h"}, "is not after"),
    ],
)
def test_invalid_filters_are_refused(texts: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as raised:
        filter_of(**texts)
    assert raised.value.cure


def test_a_duration_alone_ends_now() -> None:
    found = filter_of(duration="1h")
    assert found.end is None
    assert found.start is not None
    assert 3599 < (datetime.now(UTC) - found.start).total_seconds() < 3700


@pytest.mark.timeout(20)
def test_no_expression_runs_for_ever() -> None:
    path = " ".join(["64500"] * 200)
    assert not as_path_pattern("^(([0-9]+ ?)+)+x$").search(path)
    assert as_path_pattern("(.*_){20}64500$").search(path)
    assert not community_pattern("*6" * 30).fullmatch("6" * 40 + ":1")


@given(st.text(alphabet="_0123456789[]^$\\-.*+?(){}|, a", max_size=20))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with suppress(UsageError):
        as_path_pattern(text).search("64500 {64496,64499}")


@given(st.lists(st.integers(1, 99999), min_size=1, max_size=6), st.integers(1, 99999))
def test_an_as_between_underscores_matches_whole_numbers(path: list[int], asn: int) -> None:
    text = " ".join(map(str, path))
    assert bool(as_path_pattern(f"_{asn}_").search(text)) is (asn in path)
    assert as_path_pattern(f"_{path[0]}_").search(text)
    assert as_path_pattern(f"^{path[0]}_").search(text)
    assert as_path_pattern(f"_{path[-1]}$").search(text)


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5)), st.booleans())
def test_a_list_of_values_matches_any_and_its_negation_none(
    values: list[int], found: list[int], excluded: bool
) -> None:
    assert Choice(tuple(values), excluded).allows(found) is (bool(set(values) & set(found)) is not excluded)


@given(st.dictionaries(st.sampled_from(sorted(FILTERS)), st.text(max_size=12)))
def test_any_text_is_a_filter_or_refused(texts: dict[str, str]) -> None:
    with suppress(UsageError):
        filter_of(**texts).matches(entry())


@pytest.mark.parametrize(
    ("pattern", "stranger"),
    [
        ("AS64500", "A"),
        (r"^1\.10 ", "."),
        ("64500|foo", "f"),
        ("^64500 .* 64499$", ""),
        (r"^(?:64500|[0-9a-f]{3}\d+)\b\s", ""),
        ("_64500_", ""),
        (r"\{64496,64499\}$", ""),
    ],
)
def test_a_pattern_that_no_path_can_match_is_reported(pattern: str, stranger: str) -> None:
    said: list[str] = []
    parse_filter({"as_path": pattern}, say=said.append)
    assert [f"looks for {stranger!r}: AS paths have only numbers" in one for one in said] == [True] * bool(stranger)


def test_host_bits_in_a_peer_filter_are_reported() -> None:
    said: list[str] = []
    assert parse_filter({"peer": "192.0.2.1/24"}, say=said.append).peers == Choice(("192.0.2.0/24",))
    assert said == ["192.0.2.1/24 has host bits set: showing 192.0.2.0/24"]


@pytest.mark.parametrize(
    ("family", "expected"),
    [("ipv4", True), ("ipv6", False), ("ipv6,ipv4 mpls-vpn", True), ("!ipv4", True), ("l2vpn evpn", False)],
)
def test_a_prefix_decides_which_families_are_possible(family: str, expected: bool) -> None:
    assert filter_of(family=family).may_have("203.0.113.0/24") is expected


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no filter 'colour'"):
        parse_filter({"colour": "red"})


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        (None, ["10.32.0.0/19"]),
        ("exact", ["10.32.0.0/19"]),
        ("more_specific", ["10.32.0.0/19", "10.32.31.0/24", "10.32.0.0/32"]),
        ("less_specific", ["0.0.0.0/0", "10.32.0.0/18", "10.32.0.0/19"]),
    ],
)
def test_prefix_filters_match_prefixes(match: str | None, wanted: list[str]) -> None:
    every = [
        *("0.0.0.0/0", "10.32.0.0/18", "10.32.0.0/19", "10.32.31.0/24", "10.32.0.0/32"),
        *("10.32.32.0/19", "10.32.64.0/18", "::/0", "a20::/19"),
    ]
    asked_for = parse_filter({"prefix": "10.32.0.0/19", "match": match})
    assert [one for one in every if asked_for.matches(entry(prefix=one))] == wanted
    left_out = parse_filter({"prefix": "!10.32.0.0/19", "match": match})
    assert [one for one in every if not left_out.matches(entry(prefix=one))] == wanted
    assert left_out.matches(entry(prefix=None, object={"string": "flow"}))
    assert not asked_for.matches(entry(**SESSION))
    if match != "more_specific":
        assert set(wanted) <= set(asked_for.named_prefixes)
    assert left_out.named_prefixes == ()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"prefix": "10.0.0.0/33"}, "is not a prefix"),
        ({"match": "exact"}, "than what"),
        ({"prefix": "10.0.0.0/8", "match": "longest"}, "not a way to match"),
        ({"prefix": "10.0.0.0/8", "family": "ipv6"}, "nothing can match"),
    ],
)
def test_invalid_prefixes_are_refused(texts: dict[str, str | None], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_filter(texts)
