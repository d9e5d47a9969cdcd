"""Why a peer is not up, with the real collector: fake routers send raw bytes, each for a different case."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pymongo
import pytest

from collector.bgp import messages as bgp
from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST, Family
from collector.bgp.notifications import ADMINISTRATIVE_RESET, CEASE, notification
from collector.bgp.open_messages import Abilities, open_message
from collector.store.driver import Document
from schemas.json_object import JsonObject
from tests.running import Collector, bgpledger, collecting, free_port
from tests.support import until

BOTH = frozenset({IPV4_UNICAST, IPV6_UNICAST})
VPN6 = (2, 128)
SHORT = 120.0
"""Seconds that an answer may take."""

GLOBAL, LINK_LOCAL = socket.inet_pton(socket.AF_INET6, "2001:db8::1"), socket.inet_pton(socket.AF_INET6, "fe80::1")
ORIGIN = bytes.fromhex("40010100")


def reach(family: Family, next_hop: bytes, nlri: bytes) -> bytes:
    """MP_REACH_NLRI (RFC 4760)."""
    value = family[0].to_bytes(2) + bytes((family[1], len(next_hop))) + next_hop + b"\0" + nlri
    return bytes((0x80, 14, len(value))) + value


def update(attributes: bytes, nlri: bytes = b"") -> bytes:
    return bgp.message(bgp.UPDATE, b"\0\0" + len(attributes).to_bytes(2) + attributes + nlri)


def _connected(port: int, number: int) -> socket.socket | None:
    with suppress(ConnectionRefusedError):
        return socket.create_connection(("127.0.0.1", port), timeout=SHORT, source_address=(f"127.0.3.{number}", 0))
    return None


class Router:
    """A router at 127.0.3.N in AS 64500+N, unless its OPEN has another AS."""

    def __init__(self, port: int, number: int) -> None:
        self.asn = 64500 + number
        self._socket = asyncio.run(until(lambda: _connected(port, number), what="the collector listens"))
        self._number = number

    def open(self, *, asn: int | None = None, hold_time: int = 90, families: frozenset[Family] = BOTH) -> int:
        """Send an OPEN; returns the type of the last message of the answer: KEEPALIVE if it is accepted."""
        abilities = Abilities(as4=True, families=families, ipv6_next_hops=families & {IPV4_UNICAST})
        self.say(open_message(asn or self.asn, hold_time, f"10.0.3.{self._number}", abilities))
        kind = 0
        while kind not in (bgp.KEEPALIVE_TYPE, bgp.NOTIFICATION):
            kind = self.hear()
        if kind == bgp.KEEPALIVE_TYPE:
            self.say(bgp.KEEPALIVE)
        return kind

    def say(self, *messages: bytes) -> None:
        self._socket.sendall(b"".join(messages))

    def hear(self) -> int:
        """Receive a message; returns its type."""
        header = self._exactly(bgp.HEADER_LENGTH)
        self._exactly(int.from_bytes(header[16:18]) - bgp.HEADER_LENGTH)
        return header[18]

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            assert more, "the connection was closed"
            data += more
        return data

    def close(self) -> None:
        self._socket.close()


@contextmanager
def router(collector: Collector, number: int) -> Iterator[Router]:
    one = Router(collector.port, number)
    try:
        yield one
    finally:
        one.close()


def configuration(file: Path, secret: Path, refusing: int) -> None:
    more = {
        5: 'families = ["ipv6 mpls-vpn"]\n',
        7: f'password_file = "{secret}"\n',
        8: f"port = {refusing}\n",
    }
    blocks = [
        f'[[peers]]\naddress = "127.0.3.{number}"\nasn = {64500 + number}\n'
        f"passive = {'false' if number == 8 else 'true'}\n{more.get(number, '')}"
        for number in range(1, 10)
    ]
    file.write_text("\n".join(blocks))


@pytest.fixture(scope="module")
def peers_printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, dict[str, JsonObject]]]:
    """What `peers` prints after each case."""
    directory = tmp_path_factory.mktemp("why")
    secret = directory / "secret"
    secret.write_text("s3cret\n")
    configuration(directory / "collector.toml", secret, free_port())
    with ExitStack() as stack:
        collector = stack.enter_context(
            collecting(directory / "data", "--config", str(directory / "collector.toml"), port=free_port())
        )
        with router(collector, 1) as wrong_as:
            assert wrong_as.open(asn=64999) == bgp.NOTIFICATION
        with router(collector, 2) as impatient:
            assert impatient.open(hold_time=1) == bgp.NOTIFICATION
        with router(collector, 3) as reset:
            assert reset.open() == bgp.KEEPALIVE_TYPE
            reset.say(notification(CEASE, ADMINISTRATIVE_RESET, b"\x0bnew release"))
        with router(collector, 4) as broken:
            assert broken.open() == bgp.KEEPALIVE_TYPE
            broken.say(bgp.MARKER + b"\x00\x10\x02")  # shorter than its own header
            while broken.hear() != bgp.NOTIFICATION:
                pass
        with router(collector, 5) as vpn:
            assert vpn.open(families=frozenset({VPN6})) == bgp.KEEPALIVE_TYPE
            two_hops = bytes(8) + GLOBAL + bytes(8) + LINK_LOCAL
            route = bytes.fromhex("780001010000fde80000000120010db8")
            vpn.say(update(ORIGIN + bytes.fromhex("400200") + reach(VPN6, two_hops, route)))
            while vpn.hear() != bgp.NOTIFICATION:
                pass
        well = stack.enter_context(router(collector, 9))
        assert well.open() == bgp.KEEPALIVE_TYPE
        aigp = bytes.fromhex("801a0b01000b00000000000001f4")
        path = bytes.fromhex("4002060201") + well.asn.to_bytes(4)
        well.say(update(ORIGIN + path + reach(IPV4_UNICAST, GLOBAL, b"\x08\x0a") + aigp))
        with router(collector, 77) as stranger:
            assert stranger.hear() == bgp.NOTIFICATION
        with socket.socket() as without_password:
            without_password.bind(("127.0.3.7", 0))
            without_password.setblocking(False)  # noqa: FBT003
            without_password.connect_ex(("127.0.0.1", collector.port))
        yield collector, asyncio.run(_peers(collector))


async def _peers(collector: Collector) -> dict[str, JsonObject]:
    found: dict[str, JsonObject] = {}

    async def complete() -> bool:
        found.update({peer["address"]: peer for peer in await asyncio.to_thread(collector.ask, "peers")})
        heard = {address for address, peer in found.items() if peer["reason_at"] or peer["updates"]}
        return {f"127.0.3.{number}" for number in (1, 2, 3, 4, 5, 8, 9, 77)} <= heard

    await until(complete, what="every story is told")
    return found


STATES = {
    1: ("never", "NOTIFICATION sent: OPEN Message Error / Bad Peer AS: ASN in OPEN (64999) did not match ASN expected"),
    2: ("never", "NOTIFICATION sent: OPEN Message Error / Unacceptable Hold Time: Hold Time is invalid (1)"),
    3: ("down", "NOTIFICATION received: Cease / Administrative Reset: new release"),
    4: ("down", "NOTIFICATION sent: Message Header Error / Bad Message Length"),
    5: ("down", "NOTIFICATION sent: UPDATE Message Error / Optional Attribute Error: "),
    6: ("never", "it has not connected yet"),
    7: ("never", "it has not connected yet; if its MD5 password is another than here, nothing of it arrives"),
    8: ("never", "no connection: Connection refused"),
    77: ("unconfigured", "connects to 127.0.0.1 and is refused, as no peer has this address: 1 times"),
}


@pytest.mark.parametrize("number", STATES)
def test_peers_say_why(peers_printed: tuple[Collector, dict[str, JsonObject]], number: int) -> None:
    peer = peers_printed[1][f"127.0.3.{number}"]
    state, reason = STATES[number]
    assert (peer["state"], peer["configured"]) == (state, number != 77)
    assert peer["reason"].startswith(reason)


def test_peers_show_what_the_open_contained(peers_printed: tuple[Collector, dict[str, JsonObject]]) -> None:
    _collector, peers = peers_printed
    opened = peers["127.0.3.1"]["open"]
    assert (opened["asn"], opened["hold_time"], opened["router_id"]) == (64999, 90, "10.0.3.1")
    assert opened["differs"] == ["AS 64999, where AS 64501 is configured"]
    assert peers["127.0.3.2"]["open"]["differs"] == ["hold time 1 s, where 0 or at least 3 is allowed"]


def test_ipv6_next_hops_and_aigp_are_kept(peers_printed: tuple[Collector, dict[str, JsonObject]]) -> None:
    collector, peers = peers_printed
    assert (peers["127.0.3.9"]["state"], peers["127.0.3.9"]["routes"]) == ("up", 1)
    (route,) = collector.ask("rib", "--peer", "127.0.3.9")
    assert (route["prefix"], route["next_hop"]) == ("10.0.0.0/8", "2001:db8::1")
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(collector.uri)
    with closing(client):
        (stored,) = client["bgpledger"]["updates"].find({"peer.address": "127.0.3.9"})
    assert int(str(stored["attributes"]["aigp"]), 0) == 500


def test_each_peer_has_prometheus_metrics(peers_printed: tuple[Collector, dict[str, JsonObject]]) -> None:
    done = bgpledger("status", "--format", "prometheus", "--data-dir", str(peers_printed[0].data_dir))
    assert done.returncode == 0, done.stderr
    up = dict(re.findall(r'^bgpledger_peer_up\{asn="\d+",peer="127\.0\.3\.(\d+)"\} (\S+)$', done.stdout, re.MULTILINE))
    assert up == {str(number): "1.0" if number == 9 else "0.0" for number in range(1, 10)}
    assert "\nbgpledger_unconfigured_routers 1.0\n" in done.stdout


def test_doctor_and_the_log_say_why(peers_printed: tuple[Collector, dict[str, JsonObject]]) -> None:
    collector, _peers = peers_printed
    done = bgpledger("doctor", "--data-dir", str(collector.data_dir))
    findings = re.findall(r"warning  peer: (127\.0\.3\.\d+)(.*); cure: ", done.stdout)
    assert {address for address, _rest in findings} == {f"127.0.3.{number}" for number in STATES}
    words = dict(findings)
    assert "its last OPEN" in words["127.0.3.1"]
    assert "AS 64999, where AS 64501 is configured" in words["127.0.3.1"]
    assert "1 of 9 are up" in done.stdout
    log = collector.log.read_text()
    for number in (1, 2, 3, 4, 5, 8):
        assert re.search(rf"WARNING .*peer 127\.0\.3\.{number} \(AS \d+\) .*: {re.escape(STATES[number][1])}", log)
    assert re.search(r"WARNING .*127\.0\.3\.77 connects to 127\.0\.0\.1 and is refused", log)
