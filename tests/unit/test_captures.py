"""The BGP messages in a capture, whatever encapsulates them, and whatever is late, duplicated or lost."""

import gzip
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.bgp import messages as bgp
from collector.bgp import mrt
from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST, Family
from collector.bgp.notifications import notification
from collector.bgp.open_messages import Abilities, open_message
from collector.errors import ReplayError
from collector.sources.pcap.capture import is_capture
from collector.sources.pcap.framing import Framing, Lost
from collector.sources.pcap.records import Capture
from collector.sources.pcap.source import PCAP
from collector.sources.pcap.streams import Bytes
from collector.sources.source import Rejection
from schemas.message import Message
from tests import capture_builder as build
from tests.capture_builder import Frame, Talk
from tests.mrt_builder import announcement, announcement6, withdrawal

FAMILIES = frozenset({IPV4_UNICAST, IPV6_UNICAST})


def opened(asn: int, *, as4: bool = True, add_path: bool = False) -> bytes:
    wants = frozenset({IPV4_UNICAST}) if add_path else frozenset[Family]()
    data = open_message(asn, 90, "192.0.2.9", Abilities(as4=as4, families=FAMILIES, add_path=wants))
    return data.replace(b"\0\1\1\2", b"\0\1\1\3")  # path identifiers both ways


def established(talk: Talk, **abilities: bool) -> Talk:
    talk.handshake()
    talk.say(opened(64500, **abilities))
    talk.say(opened(64501, **abilities), bgp.KEEPALIVE, by_client=False)
    talk.say(bgp.KEEPALIVE)
    return talk


ROUTES = [f"10.0.{number}.0/24" for number in range(40)]


def conversation(**options: Any) -> Talk:
    """A session in which the client announces several routes, and the server one."""
    talk = established(Talk(**options))
    talk.say(*(announcement(route, 64500, 7) for route in ROUTES), size=100)
    talk.say(announcement6("2001:db8::/32", 64501), withdrawal("10.9.0.0/16"), by_client=False)
    talk.say(notification(6, 2, b"\5hello"))
    talk.finish()
    return talk


def read(path: Path) -> list[Message | Rejection]:
    return [PCAP.decode(one.raw) for one in Capture(path).open(path, lambda _: None).frames()]


def capture(tmp_path: Path, frames: Sequence[Frame], link: int = build.ETHERNET) -> Path:
    path = tmp_path / "capture"
    path.write_bytes(build.pcap(frames, link))
    return path


def shown(found: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Kind, peer, router, and the prefixes of each message."""
    return [
        ("lost", one.reason)
        if isinstance(one, Rejection)
        else (
            getattr(one, "state", one.kind),
            one.peer.address,
            one.peer.asn,
            one.peer.router,
            *(route for group in (getattr(one, "announce", None) or ()) for route in group["nlri"]),
        )
        for one in found
    ]


def announced(found: Sequence[Any]) -> list[str]:
    """The prefixes that the client has announced."""
    return [words[4] for words in shown(found) if words[:2] == ("update", "192.0.2.1") and len(words) > 4]


def lost(found: Sequence[Any]) -> list[str]:
    return [one.reason for one in found if isinstance(one, Rejection)]


def test_each_end_is_a_peer_of_the_other(tmp_path: Path) -> None:
    found = read(capture(tmp_path, conversation().frames))
    one, other = ("192.0.2.1", 64500, "192.0.2.2"), ("192.0.2.2", 64501, "192.0.2.1")
    assert shown(found) == [
        ("open", *one),
        ("open", *other),
        ("keepalive", *other),
        ("keepalive", *one),
        ("up", *one),
        ("up", *other),
        *(("update", *one, route) for route in ROUTES),
        ("update", *other, "2001:db8::/32"),
        ("update", *other),
        ("notification", *one),
        ("sent", *other),
        ("down", *one),
        ("down", *other),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["us", "ns", "ng-us", "ng-ns", "ng-2"])
def test_every_file_format_gives_the_same(tmp_path: Path, order: str, form: str) -> None:
    talk = conversation()
    write: dict[str, Callable[[], bytes]] = {
        "us": lambda: build.pcap(talk.frames, order=order),
        "ns": lambda: build.pcap(talk.frames, order=order, nano=True),
        "ng-us": lambda: build.pcapng(talk.frames, order=order),
        "ng-ns": lambda: build.pcapng(talk.frames, order=order, resolution=9),
        "ng-2": lambda: build.pcapng(talk.frames, order=order, resolution=0x80 | 20),
    }
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(write[form]()))
    assert is_capture(path)
    found: list[Any] = read(path)
    assert announced(found) == ROUTES
    assert abs(found[0].ts.timestamp() - talk.frames[3].time) < 0.002


@pytest.mark.parametrize(
    "options",
    [
        {"link": build.RAW},
        {"link": build.LOOP},
        {"link": build.SLL},
        {"link": build.SLL2},
        {"vlans": [7]},
        {"vlans": [7, 8]},
        {"link": build.SLL, "vlans": [7]},
        {"client": "2001:db8::1", "server": "2001:db8::2"},
        {"client": "2001:db8::1", "server": "2001:db8::2", "extensions": b"\0\x3c\0" + bytes(6) + b"\6\0" + bytes(6)},
        {"first": 2**32 - 500},
    ],
    ids=str,
)
def test_every_encapsulation_gives_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    talk = conversation(**options)
    found = read(capture(tmp_path, talk.frames, talk.link))
    assert [words[4] for words in shown(found) if words[:2] == ("update", talk.client)] == ROUTES
    assert lost(found) == []


def test_fragments_are_reassembled(tmp_path: Path) -> None:
    talk = established(Talk())
    talk.say(*(announcement(route, 64500, 7) for route in ROUTES))
    frames = [Frame(one.time, part) for one in talk.frames for part in build.fragments(one.data, 400)]
    assert announced(read(capture(tmp_path, frames))) == ROUTES


@given(data=st.data())
def test_duplicate_and_late_packets_change_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frames = conversation().frames
    for _ in range(data.draw(st.integers(0, 10))):
        at = data.draw(st.integers(8, len(frames) - 8))
        frames.insert(at + data.draw(st.integers(0, 4)), frames[at])
        if data.draw(st.booleans()):
            del frames[at]  # it comes later only
    # Late by less than what it takes to believe that the capture has lost it.
    frames = [Frame(build.T + number / 1000, one.data) for number, one in enumerate(frames)]
    found = read(capture(tmp_path_factory.mktemp("late"), frames))
    assert announced(found) == ROUTES
    assert lost(found) == []


def test_missing_packets_are_reported_and_what_follows_is_read(tmp_path: Path) -> None:
    talk = conversation()
    segments = [number for number, one in enumerate(talk.frames) if len(one.data) > 140]
    del talk.frames[segments[10]]
    found = read(capture(tmp_path, talk.frames))
    (reason,) = lost(found)
    assert reason == "the capture lacks 100 bytes of the stream here"
    heard = announced(found)
    assert heard == [route for route in ROUTES if route in heard]
    assert len(ROUTES) - 4 <= len(heard) < len(ROUTES)


def test_truncated_packets_are_gaps(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(build.pcap(conversation().frames, snap=150))
    found = read(path)
    assert lost(found)
    assert set(announced(found)) < set(ROUTES)


@pytest.mark.parametrize("as4", [True, False])
@pytest.mark.parametrize("path_id", [None, 9])
def test_a_capture_that_begins_within_a_session_reports_what_is_guessed(
    tmp_path: Path, as4: bool, path_id: int | None
) -> None:
    talk = Talk()
    talk.say(*(announcement(route, 64500, 7, as4=as4, path_id=path_id) for route in ROUTES), size=100)
    path = capture(tmp_path, talk.frames[2:])
    taken = Capture(path)
    found: list[Any] = [PCAP.decode(one.raw) for one in taken.open(path, lambda _: None).frames()]
    assert lost(found) == ["the capture begins in the middle of a message"]
    assert announced(found) == ROUTES[-len(announced(found)) :]
    assert {one.attributes["as_path"] for one in found[1:]} == {"64500 7"}
    assert {one.announce[0].get("path_id") for one in found[1:]} == {path_id}
    assert {one.peer.asn for one in found[1:]} == {64500}
    (words,) = taken.guesses
    width, paths = 4 if as4 else 2, ", path identifiers" if path_id else ""
    assert words.endswith(f"AS 64500, AS numbers of {width} bytes{paths}")


def test_the_opens_of_both_ends_decide_how_updates_are_decoded(tmp_path: Path) -> None:
    talk = established(Talk(), as4=False, add_path=True)
    talk.say(announcement("10.0.0.0/8", 64500, 7, as4=False, path_id=3))
    taken = Capture(capture(tmp_path, talk.frames))
    found: list[Any] = [PCAP.decode(one.raw) for one in taken.open(taken.path, lambda _: None).frames()]
    assert (found[-1].attributes["as_path"], found[-1].announce[0]["path_id"]) == ("64500 7", 3)
    assert taken.guesses == []


def test_a_new_connection_of_the_same_ports_is_a_new_session(tmp_path: Path) -> None:
    first = conversation()
    second = conversation(first=900_000, time=first.time + 10)
    found = read(capture(tmp_path, [*first.frames[:-2], *second.frames]))
    states = [words[0] for words in shown(found) if words[0] in ("up", "down")]
    assert states == ["up", "up", "down", "down"] * 2


@pytest.mark.parametrize("damage", ["cut", "length", "magic"])
def test_a_damaged_capture_is_read_up_to_the_damage(tmp_path: Path, damage: str) -> None:
    whole = build.pcapng(conversation().frames)
    changed = {
        "cut": whole[:-400],
        "length": whole + struct.pack("<II", 6, 2**31),
        "magic": whole + b"\x0a\x0d\x0d\x0a" + bytes(30),
    }
    path = tmp_path / "capture"
    path.write_bytes(changed[damage])
    frames = Capture(path).open(path, lambda _: None).frames()
    found: list[Any] = []
    with pytest.raises(mrt.CutError) as raised:
        found.extend(PCAP.decode(one.raw) for one in frames)
    assert str(path) in raised.value.cause
    assert len(announced(found)) > 30


def test_a_capture_that_grows_while_it_is_read_is_read_up_to_there(tmp_path: Path) -> None:
    first = conversation()
    second = conversation(first=900_000, time=first.time + 10)
    path = capture(tmp_path, first.frames)
    records = Capture(path).open(path, lambda _: None)
    path = capture(tmp_path, [*first.frames, *second.frames])
    found: list[Any] = []
    with pytest.raises(mrt.CutError, match="has grown"):
        found.extend(PCAP.decode(one.raw) for one in records.frames())
    assert len(announced(found)) > 30


def test_bytes_like_markers_take_no_longer_than_others() -> None:
    """Each of them may begin a message; the buffer is not copied for each."""
    framing = Framing(begins=False)
    began = time.process_time()
    lost = [one for at in range(8) for one in framing.take(Bytes(at, b"\xff" * 2**16))]
    assert sum(len(one.remains) for one in lost if isinstance(one, Lost)) >= 2**18
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (build.pcap([]), "there is no traffic on TCP port 179"),
        (build.pcap(conversation().frames, 105), "link type 105"),
        (build.pcap([])[:10], "is cut short"),
        (
            build.block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + build.block("<", 6, bytes(20)),
            "interface 0",
        ),
        (build.pcapng([]) + build.block("<", 3, bytes(64)), "without times"),
    ],
    ids=["empty", "wireless", "cut", "no interface", "no times"],
)
def test_a_file_without_bgp_is_reported(tmp_path: Path, content: bytes, cause: str) -> None:
    path = tmp_path / "capture"
    path.write_bytes(content)
    with pytest.raises(ReplayError) as raised:
        Capture(path).first_time()
    assert cause in raised.value.cause
    assert raised.value.cure


@given(data=st.data())
def test_a_mutated_capture_is_read_or_reported(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    talk = conversation()
    content = bytearray(data.draw(st.sampled_from([build.pcap(talk.frames), build.pcapng(talk.frames)])))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.mktemp("mutated") / "capture"
    path.write_bytes(content)
    with suppress(ReplayError):
        for one in Capture(path).open(path, lambda _: None).frames():
            if isinstance(PCAP.decode(one.raw), Rejection):
                PCAP.counted(one.raw, len(one.raw))
