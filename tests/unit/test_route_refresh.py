"""Only valid requests reach ExaBGP's command pipe."""

import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.archive.healer import Healer, families_to_refresh
from collector.sources.exabgp.route_refresh import ask, command, listen, pass_on
from schemas.documents import Gap
from schemas.keys import collector_number, make_gap_key
from schemas.peer import Peer
from tests.support import Router
from tests.unit.test_gaps import Feed


def test_a_request_becomes_a_command() -> None:
    assert command(b"refresh 192.0.2.1 ipv4 unicast\n") == b"neighbor 192.0.2.1 announce route-refresh ipv4 unicast\n"
    assert (
        command(b"refresh 2001:DB8::1 ipv6 mpls-vpn") == b"neighbor 2001:db8::1 announce route-refresh ipv6 mpls-vpn\n"
    )


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"shutdown",
        b"refresh * ipv4 unicast",
        b"refresh 192.0.2.1 ipv4 unicast; shutdown",
        b"refresh 192.0.2.1 ipv4 unicast\nshutdown",
        b"refresh 192.0.2.1,192.0.2.2 ipv4 unicast",
        b"refresh 192.0.2.1",
        b"refresh 192.0.2.256 ipv4 unicast",
        b"refresh 192.0.2.1 ipv5 unicast",
    ],
)
def test_anything_else_does_not_become_a_command(request_: bytes) -> None:
    assert command(request_) is None


@given(st.binary(max_size=80))
def test_any_request_becomes_one_line_or_none(request_: bytes) -> None:
    line = command(b"refresh 192.0.2.1 ipv4 " + request_)
    assert line is None or (line.count(b"\n") == 1 and line.isascii())


def test_a_request_passes_from_the_archiver_to_exabgp(data_dir: Path) -> None:
    data_dir.mkdir()
    pipe = data_dir / "requests"
    assert not ask(pipe, "192.0.2.1", "ipv4 unicast"), "there is no pipe"
    requests = listen(pipe)
    out, into = os.pipe()
    os.set_blocking(into, False)
    assert ask(pipe, "192.0.2.1", "ipv4 unicast")
    assert ask(pipe, "2001:db8::1", "ipv6 unicast")
    pass_on(requests, into)
    assert os.read(out, 1000).splitlines() == [
        b"neighbor 192.0.2.1 announce route-refresh ipv4 unicast",
        b"neighbor 2001:db8::1 announce route-refresh ipv6 unicast",
    ]
    os.close(out)
    assert ask(pipe, "192.0.2.1", "ipv4 unicast")
    pass_on(requests, into)  # ExaBGP has ended, which does not concern us here
    os.close(requests)
    assert not ask(pipe, "192.0.2.1", "ipv4 unicast"), "nobody is there"
    with pytest.raises(ValueError, match="address"):
        ask(pipe, "example.net", "ipv4 unicast")
    with pytest.raises(ValueError, match="family"):
        ask(pipe, "192.0.2.1", "everything")
    os.close(into)


def test_only_peers_that_offered_route_refresh_are_asked() -> None:
    multiprotocol = {"code": 1, "name": "multiprotocol", "families": ["ipv4/unicast", "ipv6/mpls-vpn"]}
    refresh = {"code": 2, "name": "route-refresh"}
    assert families_to_refresh([multiprotocol, refresh]) == ["ipv4 unicast", "ipv6 mpls-vpn"]
    assert families_to_refresh([refresh]) == ["ipv4 unicast"]
    assert families_to_refresh([multiprotocol]) == []


def test_a_peer_is_not_asked_again_for_a_while() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    router.keepalive()
    feed.take(router.keepalive())
    asked: list[tuple[str, str]] = []
    there = False

    def take(address: str, family: str) -> bool:
        asked.append((address, family))
        return there

    healer = Healer(take)
    healer.want(feed.gaps)
    offered: list[dict[str, object]] = [{"code": 2}]
    healer.act(lambda _: offered)
    assert asked.pop() == ("192.0.2.1", "ipv4 unicast")
    there = True
    healer.act(lambda _: offered)
    assert asked.pop() == ("192.0.2.1", "ipv4 unicast"), "nobody had taken it"
    healer.want(feed.gaps)
    healer.act(lambda _: offered)
    assert asked == []


def test_the_pause_doubles_while_the_resent_routes_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = 0.0, list[float]()
    monkeypatch.setattr("collector.archive.healer.time.monotonic", lambda: now)
    number, ts = collector_number("test"), datetime(2027, 1, 15, tzinfo=UTC)
    peer = Peer(address="192.0.2.1", asn=64500)
    key = make_gap_key(ts, number, 1, peer.address)
    gap = Gap(key=key, collector="test", ts=ts, line=1, cause="reject", lines=1, peer=peer)

    def take(_address: str, _family: str) -> bool:
        asked.append(now)
        return True

    healer = Healer(take)
    while now < 300_000:
        healer.want([gap])
        healer.act(lambda _: [{"code": 2}])
        now += 10
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    doubled = [60, 120, 240, 480, 960, 1920, 3840, 7680, 15_360, 30_720, 61_440, 86_400, 86_400]
    assert pauses == doubled[: len(pauses)]
    assert pauses[-1] == 86_400
    healer.want([gap.model_copy(update={"cause": "pipe"}), gap])
    now = asked[-1] + 30
    healer.act(lambda _: [{"code": 2}])
    assert asked[-1] == now, "lost lines do not wait for what cannot be read"


def test_peers_that_cannot_be_asked_are_not_asked() -> None:
    number = collector_number("test")
    feed = Feed()
    feed.take(*Router().up())
    ts = feed.tracker._state.last_ts
    gaps = [
        Gap(key=make_gap_key(ts, number, 1, name), collector="test", ts=ts, line=1, cause="pipe", lines=1, peer=peer)
        for name, peer in (("", None), ("r", Peer(address="192.0.2.0/24", asn=1)), ("d", Peer(address="::1", asn=1)))
    ]
    healer = Healer(lambda _address, _family: pytest.fail("nobody can be asked"))
    healer.want(gaps)
    healer.act(lambda _: None)


def test_peers_that_are_up_and_cannot_be_asked_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    router.keepalive()
    feed.take(router.keepalive())
    healer = Healer(lambda *_: True)
    healer.want(feed.gaps)
    healer.act(lambda _: [])
    assert "1 lines of 192.0.2.1 are lost, and it cannot send its routes" in caplog.text
    caplog.clear()
    healer.want(feed.gaps)
    healer.act(lambda _: None)
    assert not caplog.text, "it is down: its next session brings its routes"
