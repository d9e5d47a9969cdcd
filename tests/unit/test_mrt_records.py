"""MRT records that are written are read back unchanged."""

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.bgp import mrt_messages
from collector.bgp.messages import KEEPALIVE
from collector.bgp.mrt_messages import MrtMessage, MrtPeer, MrtStateChange
from collector.bgp.mrt_records import message_record, state_record

TIMES = st.integers(0, (2**32 - 1) * 10**6).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
ASNS = st.integers(0, 2**32 - 1)


@st.composite
def speakers(draw: st.DrawFn) -> tuple[MrtPeer, MrtPeer]:
    version: Any = draw(st.sampled_from([4, 6]))
    addresses: Any = st.ip_addresses(v=version).map(str)
    return MrtPeer(draw(addresses), draw(ASNS)), MrtPeer(draw(addresses), draw(ASNS))


def named(peer: MrtPeer, *, as4: bool) -> MrtPeer:
    return MrtPeer(socket.inet_ntop(*_packed(peer.address)), peer.asn if as4 or peer.asn < 2**16 else 23456)


def _packed(address: str) -> tuple[Any, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


@given(TIMES, speakers(), st.booleans(), st.booleans(), st.booleans())
def test_a_written_message_is_read_back(
    ts: datetime, ends: tuple[MrtPeer, MrtPeer], as4: bool, add_path: bool, local: bool
) -> None:
    read = mrt_messages.parse(message_record(ts, *ends, KEEPALIVE, as4=as4, add_path=add_path, local=local))
    assert isinstance(read, MrtMessage)
    assert read[2:] == (*(named(one, as4=as4) for one in ends), KEEPALIVE, as4, add_path, local)
    assert abs(read.time - ts.timestamp()) < 2e-6


@given(TIMES, speakers(), st.integers(0, 6), st.integers(0, 6))
def test_a_written_state_change_is_read_back(ts: datetime, ends: tuple[MrtPeer, MrtPeer], old: int, new: int) -> None:
    read = mrt_messages.parse(state_record(ts, *ends, old, new))
    assert isinstance(read, MrtStateChange)
    assert read[2:] == (*(named(one, as4=True) for one in ends), old, new)
