"""Lines with the bytes of their message are decoded from these once both OPENs are known, whatever ExaBGP prints."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.bgp import messages as bgp
from collector.bgp.families import IPV4_UNICAST
from collector.bgp.messages import KEEPALIVE
from collector.bgp.notifications import notification
from collector.bgp.open_messages import AS_TRANS, Abilities, open_message
from collector.sources.exabgp.decoder import ExabgpDecoder
from collector.sources.source import Rejection
from schemas.message import Detail, Message, Notification, Open, Refresh, Sent, Update
from tests.exabgp_lines import NEXT_HOP, ORIGIN, attribute, body, prefixes, with_bytes
from tests.support import Router

PREFIX = "203.0.113.0/24"
SENT = {"version": 4, "asn": 64999, "hold_time": 180, "router_id": "192.0.2.254", "capabilities": {}}
PATH = (64500, 4200000001)


def opening(*, as4: bool = True, path_ids: int = 0, asn: int = 64500) -> bytes:
    """An OPEN; `path_ids` is the mode of ADD-PATH for IPv4 unicast (RFC 7911 4)."""
    needs = Abilities(as4=as4, families=frozenset({IPV4_UNICAST}), add_path=frozenset({IPV4_UNICAST}))
    wire = open_message(asn, 180, "192.0.2.1", needs)
    return wire.replace(bytes.fromhex("4504000101") + b"\2", bytes.fromhex("4504000101") + bytes((path_ids,)))


def update_of(*, as4: bool = True, path_id: int | None = None) -> bytes:
    """An UPDATE whose AS path and route are encoded as that session agreed."""
    path = PATH if as4 else (PATH[0], AS_TRANS)
    segment = struct.pack(f">BB{len(path)}{'I' if as4 else 'H'}", 2, len(path), *path)
    attributes = ORIGIN + attribute(0x40, 2, segment) + NEXT_HOP
    if not as4:
        attributes += attribute(0xC0, 17, struct.pack(f">BB{len(PATH)}I", 2, len(PATH), *PATH))
    return bgp.message(
        bgp.UPDATE, body(attributes, (b"" if path_id is None else path_id.to_bytes(4)) + prefixes(PREFIX))
    )


class WireRouter(Router):
    """A router whose lines include the bytes of the messages."""

    def opens(self, ours: bytes, theirs: bytes) -> list[bytes]:
        """The lines of a session that comes up."""
        return [
            self.line("state", state="connected"),
            with_bytes(self.line("open", direction="send", open=SENT), ours),
            self.says(theirs, "open"),
            self.says(KEEPALIVE, "keepalive"),
            self.line("state", state="up"),
        ]

    def says(self, wire: bytes, kind: str = "update", message: bytes = b"%s") -> bytes:
        """A line of a message, with invalid JSON inserted."""
        line = self.line(kind, direction="receive", message="MESSAGE")
        return with_bytes(line.replace(b'"MESSAGE"', message), wire)

    def update(self, *, as4: bool = True, path_id: int | None = None, **update: Any) -> bytes:
        """An UPDATE that is valid both as bytes and as JSON."""
        route = {"nlri": PREFIX} | ({} if path_id is None else {"path-information": f"0.0.0.{path_id}"})
        segment = {"element": "as-sequence", "value": list(PATH)}
        attributes = {"origin": "igp", "as-path": {"0": segment}}
        line = super().update(attribute=attributes, announce={"ipv4 unicast": {"192.0.2.1": [route]}}, **update)
        return with_bytes(line, update_of(as4=as4, path_id=path_id))


def decoder(*ranges: str, note: dict[str, Any] | None = None) -> ExabgpDecoder:
    return ExabgpDecoder(ranges, note or {})


def read(reader: ExabgpDecoder, *lines: bytes) -> Message | Rejection:
    """The kind of the last line."""
    return [reader.decode(line) for line in lines][-1]


def routes(message: Message | Rejection) -> tuple[str | None, Any]:
    """The AS path and path ID of the announced routes."""
    assert isinstance(message, Update), message
    assert message.attributes
    assert message.announce
    return message.attributes.get("as_path"), message.announce[0].get("path_id")


@pytest.mark.parametrize("as4", [True, False])
@pytest.mark.parametrize("here", [True, False])
def test_as_numbers_are_as_wide_as_both_sides_say(here: bool, as4: bool) -> None:
    router, reader = WireRouter(), decoder()
    lines = router.opens(opening(as4=here), opening(as4=as4))
    found = read(reader, *lines, router.says(update_of(as4=here and as4)))
    assert routes(found) == ("64500 4200000001", None)


@pytest.mark.parametrize(
    ("ours", "theirs", "path_id"), [(1, 2, 7), (3, 3, 7), (1, 1, None), (2, 2, None), (0, 3, None)]
)
def test_routes_have_path_ids_if_we_receive_and_the_peer_sends_them(
    ours: int, theirs: int, path_id: int | None
) -> None:
    router, reader = WireRouter(), decoder()
    lines = router.opens(opening(path_ids=ours), opening(path_ids=theirs))
    assert routes(read(reader, *lines, router.says(update_of(path_id=path_id)))) == ("64500 4200000001", path_id)


def test_without_our_open_the_json_is_used() -> None:
    router, reader = WireRouter(), decoder()
    lines = router.opens(opening(as4=False), opening(as4=False))
    found = read(reader, *lines[2:], router.update(as4=False))
    assert routes(found) == ("64500 4200000001", None)
    assert isinstance(read(reader, router.says(update_of(as4=False))), Rejection)


@pytest.mark.parametrize("said_of_add_path", [["ipv4 unicast"], []])
def test_without_opens_exabgps_negotiated_line_is_used(said_of_add_path: list[str]) -> None:
    router, reader = WireRouter(), decoder()
    agreed = {"asn4": True, "add_path": {"send": [], "receive": said_of_add_path}}
    assert isinstance(read(reader, router.line("negotiated", negotiated=agreed)), Detail)
    path_id = 7 if said_of_add_path else None
    assert routes(read(reader, router.says(update_of(path_id=path_id)))) == ("64500 4200000001", path_id)


@pytest.mark.parametrize("negotiated", [{}, {"asn4": 1}, {"asn4": True, "add_path": {"receive": ["ipv9 x"]}}])
def test_a_negotiated_line_that_is_not_understood_is_ignored(negotiated: dict[str, Any]) -> None:
    router, reader = WireRouter(), decoder()
    assert isinstance(
        read(reader, router.line("negotiated", negotiated=negotiated), router.says(update_of())), Rejection
    )


def test_messages_other_than_updates_need_no_open() -> None:
    router, reader = WireRouter(), decoder()
    assert isinstance(read(reader, router.says(bgp.message(5, bytes((0, 1, 0, 1))), "refresh")), Refresh)
    said_bye = read(reader, router.says(notification(6, 2, b"\5hello"), "notification"))
    assert isinstance(said_bye, Notification)
    assert (said_bye.text, said_bye.data) == ("hello", "0568656C6C6F")
    opened = read(reader, router.says(opening(), "open"))
    assert isinstance(opened, Open)
    assert (opened.local.asn, opened.capabilities[1]["code"]) == (64999, 65)


def test_the_json_is_used_if_the_bytes_cannot_be_read() -> None:
    router, reader = WireRouter(), decoder()
    good = Router.update(router, withdraw={"ipv4 unicast": [{"nlri": PREFIX}]})
    lines = router.opens(opening(), opening())
    router.counter += 1
    bad = with_bytes(good.replace(b'"counter": 1,', b'"counter": %d,' % router.counter), update_of()[:-1])
    found = read(reader, *lines, bad)
    assert isinstance(found, Update)
    assert found.withdraw
    assert isinstance(read(reader, router.says(update_of()[:-1])), Rejection)
    assert routes(read(reader, router.says(update_of())))[0] == "64500 4200000001"  # the session goes on all the same


def test_what_exabgp_sends_has_its_bytes() -> None:
    router, reader = WireRouter(), decoder()
    sent = read(reader, *router.opens(opening(), opening())[:2])
    assert isinstance(sent, Sent)
    assert (sent.category, sent.wire) == ("open", opening())


def test_after_a_lost_line_the_json_is_used_until_the_next_opens() -> None:
    router, reader = WireRouter(), decoder()
    read(reader, *router.opens(opening(as4=False), opening(as4=False)))
    router.update(as4=False)
    # Another session may have begun there, with other OPENs.
    assert routes(read(reader, router.update(as4=True))) == ("64500 4200000001", None)
    assert isinstance(read(reader, router.says(update_of())), Rejection)
    assert routes(read(reader, *router.opens(opening(), opening()), router.says(update_of())))[0] == "64500 4200000001"


def test_another_exabgp_knows_nothing_of_the_sessions_before() -> None:
    router, reader = WireRouter(), decoder()
    read(reader, *router.opens(opening(), opening()))
    router.pid += 1
    assert isinstance(read(reader, router.says(update_of())), Rejection)
    assert routes(read(reader, *router.opens(opening(), opening()), router.says(update_of())))[0]


def test_a_reload_starts_a_count_of_states_beside_that_of_the_session() -> None:
    router, newest, reader = WireRouter(), WireRouter(), decoder()
    read(reader, *router.opens(opening(), opening()))
    read(reader, newest.line("state", state="connected"), newest.down("no connection: refused"))
    assert routes(read(reader, router.says(update_of())))[0] == "64500 4200000001"


def test_peers_of_a_range_are_counted_together() -> None:
    one, other, reader = WireRouter("192.0.2.1"), WireRouter("192.0.2.2"), decoder("192.0.2.0/24")
    read(reader, *one.opens(opening(), opening()))
    other.counter = one.counter
    read(reader, *other.opens(opening(as4=False), opening()))
    assert routes(read(reader, other.says(update_of(as4=False))))[0] == "64500 4200000001"
    one.counter = other.counter
    assert routes(read(reader, one.says(update_of())))[0] == "64500 4200000001"
    one.counter += 1
    assert isinstance(read(reader, one.says(update_of())), Rejection)
    other.counter = one.counter
    assert isinstance(read(reader, other.says(update_of(as4=False))), Rejection)


class Step:
    """What may happen to a session, and what holds then."""

    def __init__(self) -> None:
        self.router = WireRouter()
        self.as4, self.path_id = True, 7

    def lines(self, step: tuple[str, bool, bool]) -> list[bytes]:
        kind, as4, with_path_ids = step
        if kind == "opens":
            self.as4, self.path_id = as4, 7 if with_path_ids else 0
            theirs = opening(as4=as4, path_ids=2 if with_path_ids else 0)
            return [self.router.down(), *self.router.opens(opening(path_ids=1), theirs)]
        if kind == "another":
            self.router.pid, self.router.counter = self.router.pid + 1, 0
            return []
        return [self.router.update(as4=self.as4, path_id=self.path_id or None)]


STEPS = st.lists(
    st.tuples(st.sampled_from(["opens", "update", "update", "another"]), st.booleans(), st.booleans()), max_size=12
)


def restarted(lines: list[bytes], at: int) -> Iterator[Message | Rejection]:
    reader = decoder()
    for number, line in enumerate(lines):
        if number == at:
            reader = decoder(note=json.loads(json.dumps(reader.note())))
        yield reader.decode(line)


@given(STEPS, st.sets(st.integers(0, 80)), st.integers(0, 80))
def test_whatever_is_lost_nothing_is_decoded_by_another_sessions_opens(
    steps: list[tuple[str, bool, bool]], lost: set[int], at: int
) -> None:
    session, lines, truth = Step(), [], []
    for step in [("opens", True, True), *steps]:
        for line in session.lines(step):
            lines.append(line)
            truth.append(("64500 4200000001", session.path_id or None))
    kept = [(line, true) for number, (line, true) in enumerate(zip(lines, truth, strict=True)) if number not in lost]
    found = list(restarted([line for line, _ in kept], at))
    for message, (_line, true) in zip(found, kept, strict=True):
        assert not isinstance(message, Rejection)
        if isinstance(message, Update):
            assert routes(message) == true
    reader = decoder()
    assert found == [reader.decode(line) for line, _ in kept]
