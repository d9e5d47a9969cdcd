"""A page of a stored table is unpacked as it was packed: all of it, or the routes that are asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.rib.pages import pack, unpack
from collector.rib.routes import WITHDRAWN, RouteEntry, RouteKey

_NLRI = st.sampled_from([f"192.0.2.{last}/32" for last in range(16)])
_KEYS = st.builds(
    RouteKey,
    st.sampled_from(["ipv4 unicast", "ipv4 mpls-vpn"]),
    st.none() | st.sampled_from(["64500:1", "64500:2"]),
    st.none() | st.integers(0, 2**32 - 1),
    _NLRI,
)
_ENTRIES = st.just(WITHDRAWN) | st.builds(RouteEntry, st.integers(0, 2**40), st.binary(min_size=1, max_size=4))
_ITEMS = st.lists(st.tuples(_KEYS, _ENTRIES), min_size=1, max_size=30)


@given(_ITEMS)
def test_a_whole_page_is_unpacked(items: list[tuple[RouteKey, RouteEntry]]) -> None:
    assert unpack(pack(items)) == items


@given(_ITEMS, st.sets(_NLRI))
def test_named_routes_are_unpacked_in_order(items: list[tuple[RouteKey, RouteEntry]], names: set[str]) -> None:
    assert unpack(pack(items), names) == [item for item in items if item[0].nlri in names]
