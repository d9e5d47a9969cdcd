import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.attributes import format_as_path, parse_as_path
from schemas.keys import collector_number, key_line, make_key
from schemas.scalars import from_unix, normalise_address, normalise_prefix, normalise_prefixes, storable


@given(st.ip_addresses())
def test_addresses_have_one_spelling(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    spelling = normalise_address(address.exploded)
    assert ipaddress.ip_address(spelling) == address
    assert normalise_address(spelling.upper()) == spelling


@given(st.ip_addresses(), st.data())
def test_prefixes_have_one_spelling(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, address.max_prefixlen))
    spelling = normalise_prefix(f"{address}/{length}")
    assert ipaddress.ip_network(spelling) == ipaddress.ip_network((address, length), strict=False)
    assert normalise_prefix(spelling) == spelling


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "::/129", "::/-1", "::/٣", "a/8", "10.0.0.0/8/8", "/8"],
)
def test_invalid_prefixes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a prefix"):
        normalise_prefix(text)
    with pytest.raises(ValueError, match="not a prefix"):
        normalise_prefixes(["10.0.0.0/8", text])


@given(st.lists(st.tuples(st.ip_addresses(v=4), st.integers(0, 32), st.booleans()), max_size=4))
def test_many_prefixes_are_spelt_as_each_is_alone(drawn: list[tuple[ipaddress.IPv4Address, int, bool]]) -> None:
    said = [
        str(ipaddress.ip_network((address, length), strict=False)) if masked else f"{address}/{length}"
        for address, length, masked in drawn
    ]
    assert normalise_prefixes(said) == [normalise_prefix(text) for text in said]


@pytest.mark.parametrize("length", range(33))
def test_host_bits_are_found_among_many_prefixes(length: int) -> None:
    network = ipaddress.ip_network(("203.0.113.255" if length > 24 else "255.255.255.255", length), strict=False)
    assert normalise_prefixes([str(network)]) == [str(network)]
    if length < 32:
        host = network.network_address + 2 ** (31 - length)
        assert normalise_prefixes([f"{host}/{length}"]) == [str(network)]


SEGMENTS = st.lists(
    st.tuples(
        st.sampled_from(["sequence", "set", "confed_sequence", "confed_set"]),
        st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5),
    ),
    max_size=5,
)


@given(SEGMENTS)
def test_as_paths_keep_their_segments(segments: list[tuple[str, list[int]]]) -> None:
    joined: list[tuple[str, tuple[int, ...]]] = []
    for kind, asns in segments:
        if kind == "sequence" and joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + tuple(asns))  # RFC 4271: one sequence, cut in two
        else:
            joined.append((kind, tuple(asns)))
    assert list(parse_as_path(format_as_path(segments))) == joined  # type: ignore[arg-type]


@given(st.integers(0, 2**40 - 1), st.floats(0, 2**32 - 2), st.text())
def test_keys_contain_their_line_number_and_second(line: int, seconds: float, name: str) -> None:
    ts = from_unix(seconds)
    key = make_key(ts, collector_number(name), line)
    assert key_line(key) == line
    assert key.generation_time == ts.replace(microsecond=0)


@pytest.mark.parametrize("seconds", [-1.0, 2.0**32, float("nan"), float("inf")])
def test_times_out_of_range_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a time"):
        from_unix(seconds)


def test_json_that_bson_cannot_hold_is_adapted() -> None:
    assert storable({"$a": {"b.c": [2**63, -(2**63), 2**63 - 1]}, "d\0": None}) == {
        "＄a": {"b．c": [hex(2**63), -(2**63), 2**63 - 1]},
        "d␀": None,
    }
