"""The plan of a replay: the peers and sessions of a file, what each needs, and its source address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.bgp import messages as bgp
from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST
from collector.bgp.notifications import ADMINISTRATIVE_SHUTDOWN, CEASE, notification
from collector.bgp.open_messages import Abilities, open_message
from collector.cli import main
from collector.errors import BgpledgerError, ReplayError, UsageError
from collector.replay.player import LeftOut, PlannedPeer, plan
from tests.mrt_builder import announcement, announcement6, message, state_change, withdrawal
from tests.support import shared

UPDATE = announcement("203.0.113.0/24", 64500)
NOTIFICATION = notification(CEASE, ADMINISTRATIVE_SHUTDOWN)
OPEN = open_message(64500, 180, "192.0.2.1", Abilities(as4=True, families=frozenset({IPV4_UNICAST})))
DEMO = Path(__file__).parents[2] / "collector" / "data" / "demo.mrt.gz"


def planned(
    tmp_path: Path, *records: bytes, only_peer: str | None = None, source: str | None = None
) -> list[PlannedPeer]:
    file = tmp_path / "updates"
    file.write_bytes(b"".join(records))
    return plan(file, only_peer=only_peer, source=source)


def test_peers_have_sources_in_the_order_of_their_first_message(tmp_path: Path) -> None:
    peers = planned(
        tmp_path,
        state_change(6, 1, address="192.0.2.9"),
        message(bgp.KEEPALIVE, address="192.0.2.2"),
        message(announcement6("2001:db8::/32", 64501), address="2001:db8::1", asn=64501),
        message(UPDATE, address="192.0.2.2", asn=64502),
        message(UPDATE, address="192.0.2.2"),
    )
    assert [(peer.address, peer.asn, peer.source, peer.messages, peer.updates) for peer in peers] == [
        ("192.0.2.2", 64500, "127.0.1.1", 2, 1),
        ("2001:db8::1", 64501, "127.0.1.2", 1, 1),
        ("192.0.2.2", 64502, "127.0.1.3", 1, 1),
    ]
    assert [peer.families for peer in peers] == [("ipv4 unicast",), ("ipv6 unicast",), ("ipv4 unicast",)]


def test_one_peer_keeps_its_source_unless_another_is_asked_for(tmp_path: Path) -> None:
    records = [message(UPDATE, address=f"2001:db8::{number}") for number in range(1, 4)]
    (third,) = planned(tmp_path, *records, only_peer="2001:DB8:0::3")
    assert (third.address, third.source) == ("2001:db8::3", "127.0.1.3")
    (third,) = planned(tmp_path, *records, only_peer="2001:db8::3", source="127.0.0.7")
    assert third.source == "127.0.0.7"
    assert [peer.source for peer in planned(tmp_path, *records, source="127.0.0.254")] == [
        "127.0.0.254",
        "127.0.0.255",
        "127.0.1.0",
    ]


def test_an_unknown_peer_is_refused_with_a_list_of_the_peers(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, message(UPDATE), only_peer="192.0.2.77")
    assert "192.0.2.1 (AS64500)" in caught.value.cure
    with pytest.raises(UsageError, match="is not an IP address"):
        planned(tmp_path, message(UPDATE), only_peer="AS64500")


@pytest.mark.parametrize("source", ["127.255.255.254", "::1", "here"])
def test_impossible_source_addresses_are_refused(tmp_path: Path, source: str) -> None:
    records = [message(UPDATE, address=f"192.0.2.{number}") for number in range(1, 4)]
    with pytest.raises(UsageError):
        planned(tmp_path, *records, source=source)


def test_a_file_without_messages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="holds no BGP messages"):
        planned(tmp_path, state_change(6, 1))


def test_messages_that_the_files_collector_sent_are_not_the_peers(tmp_path: Path) -> None:
    (peer,) = planned(tmp_path, message(UPDATE), message(UPDATE, subtype=7))
    assert (peer.messages, peer.updates) == (1, 1)


@pytest.mark.parametrize(
    ("records", "first_records"),
    [
        ([message(UPDATE), message(bgp.KEEPALIVE), message(UPDATE)], [1]),
        ([message(OPEN, subtype=1), state_change(5, 6), message(bgp.KEEPALIVE), message(UPDATE)], [4]),
        ([message(UPDATE), message(NOTIFICATION), state_change(6, 1), message(UPDATE)], [1, 4]),
        ([message(UPDATE), message(NOTIFICATION, subtype=7), message(UPDATE)], [1, 3]),
        ([message(UPDATE), state_change(6, 1), message(OPEN), state_change(5, 6), message(UPDATE)], [1, 5]),
        ([message(UPDATE), message(OPEN), message(UPDATE)], [1, 3]),
        ([message(UPDATE), message(OPEN, subtype=7), message(UPDATE)], [1]),
        ([message(UPDATE), state_change(4, 1, address="192.0.2.7"), message(UPDATE)], [1]),
        ([message(UPDATE), message(announcement("203.0.113.0/24", 64500, as4=False), subtype=1)], [1, 2]),
        (
            [
                message(announcement("203.0.113.0/24", 64500, path_id=1), subtype=9),
                message(withdrawal("203.0.113.0/24")),
            ],
            [1, 2],
        ),
        (
            [message(announcement("203.0.113.0/24", 64500, path_id=1), subtype=9), message(announcement6("::/0", 1))],
            [1],
        ),
    ],
)
def test_sessions_begin_at_state_changes_and_opens(
    tmp_path: Path, records: list[bytes], first_records: list[int]
) -> None:
    (peer,) = planned(tmp_path, *records)
    assert [session.first_record for session in peer.sessions] == first_records


def test_sessions_need_what_their_updates_use(tmp_path: Path) -> None:
    (peer,) = planned(
        tmp_path,
        message(announcement("203.0.113.0/24", 64500, as4=False), subtype=1),
        message(announcement("203.0.113.0/24", 64500, path_id=7), subtype=9),
        message(announcement6("2001:db8::/32", 64500)),
        message(bgp.message(bgp.UPDATE, bytes(5000))),
    )
    ipv4, both = frozenset({IPV4_UNICAST}), frozenset({IPV4_UNICAST, IPV6_UNICAST})
    assert [session.abilities for session in peer.sessions] == [
        Abilities(as4=False, families=ipv4),
        Abilities(as4=True, families=both, add_path=ipv4),
        Abilities(as4=True, families=ipv4, extended=True),
    ]
    assert peer.families == ("ipv4 unicast", "ipv6 unicast")
    assert peer.add_path


def test_a_silent_peer_has_a_session_in_the_family_of_its_address(tmp_path: Path) -> None:
    (peer,) = planned(tmp_path, message(bgp.KEEPALIVE, address="2001:db8::1"))
    assert peer.families == ()
    assert [session.abilities.families for session in peer.sessions] == [frozenset({IPV6_UNICAST})]


def test_a_peer_that_cannot_be_replayed_is_left_out(tmp_path: Path) -> None:
    """It has AS 0, or more families than an OPEN can hold; the others are planned, and have the first sources."""
    reach = bytes.fromhex("00000006800f03")
    odd = [message(bgp.message(bgp.UPDATE, reach + bytes((0, afi, 1))), address="192.0.2.7") for afi in range(1, 30)]
    file, left_out = tmp_path / "updates", LeftOut()
    file.write_bytes(b"".join([message(UPDATE, asn=0), *odd, message(UPDATE, address="192.0.2.2")])[:-1])
    with pytest.raises(ReplayError, match="holds no BGP messages from any peer that can be played"):
        plan(file)
    with file.open("ab") as whole:
        whole.write(UPDATE[-1:] + message(UPDATE, address="192.0.2.3")[:-1])
    (peer,) = plan(file, left_out=left_out)
    assert (peer.address, peer.source) == ("192.0.2.2", "127.0.1.1")
    zero, families = left_out.records
    assert "AS 0, 192.0.2.1" in zero
    assert "192.0.2.7 AS64500 with more than 16 families" in families
    assert left_out.rest is not None
    assert "is cut short: record 32" in left_out.rest.cause


def test_the_demo_feed_is_planned() -> None:
    assert [(peer.address, peer.asn, peer.families) for peer in plan(DEMO)] == [
        ("192.0.2.1", 64496, ("ipv4 unicast", "ipv6 unicast")),
        ("192.0.2.2", 64497, ("ipv4 unicast",)),
        ("2001:db8::3", 65551, ("ipv6 unicast",)),
    ]
    assert DEMO.stat().st_size < 40_000


def test_real_files_are_planned() -> None:
    peers = plan(shared("mrt/updates.20160811.1600.gz"))
    assert len({peer.address for peer in peers}) == len(peers) == 40
    assert sum(1 for peer in peers if peer.updates) == 35
    assert sum(peer.updates for peer in peers) == 17_216
    assert all(len(peer.sessions) == 1 for peer in peers)
    (peer,) = plan(shared("mrt/updates.et-header.2015.gz"))
    assert (peer.address, peer.asn, peer.updates, len(peer.sessions)) == ("206.220.231.55", 3856, 89_679, 1)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["replay", *arguments])
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


def test_the_plan_is_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, str(DEMO), "--plan")
    assert (status, err) == (0, "")
    assert json.loads(out.splitlines()[2]) == {
        "address": "2001:db8::3",
        "asn": 65551,
        "source": "127.0.1.3",
        "messages": 16,
        "updates": 16,
        "families": ["ipv6 unicast"],
        "add_path": False,
        "sessions": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--to is missing"),
        (["--to", "127.0.0.1"], "--to 127.0.0.1 is not ADDR:PORT"),
        (["--to", "127.0.0.1:0"], "is not ADDR:PORT"),
        (["--to", "[::1]:179"], "is not ADDR:PORT"),
        (["--to", "127.0.0.1:179", "--speed", "fast"], "--speed fast is not max, real or xN"),
        (["--to", "127.0.0.1:179", "--speed", "x0"], "--speed x0 is not max, real or xN"),
        (["--to", "127.0.0.1:179", "--speed", "xinf"], "--speed xinf is not max, real or xN"),
        (["--to", "127.0.0.1:179", "--only-peer", "192.0.2.99"], "no messages from a peer 192.0.2.99"),
        (["--to", "127.0.0.1:179", "--source", "127.0.0.x"], "--source 127.0.0.x is not an IPv4 address"),
    ],
)
def test_invalid_arguments_are_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    status, out, err = run(capsys, str(DEMO), *arguments)
    assert (status, out) == (UsageError.exit_status, "")
    cause, cure = err.splitlines()
    assert words in cause
    assert cure.startswith("cure: ")


def test_a_file_that_is_not_mrt_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, __file__, "--to", "127.0.0.1:179")
    assert status == BgpledgerError.exit_status
    assert "is not an MRT file" in err
