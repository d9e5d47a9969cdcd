"""Our changes to ExaBGP: its pauses (by a fake clock), its signals, and the routes that wait."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST
from collector.bgp.messages import HEADER_LENGTH
from collector.bgp.open_messages import Abilities, open_message
from collector.sources.exabgp.program import exabgp_command

PATCHED = Path(__file__).parents[2] / "collector/sources/exabgp/patched.py"


@cache
def printed(script: str, *cases: str) -> dict[str, str]:
    """What a script prints for each case: the import of ExaBGP takes longest, so all are given to one process."""
    command = [sys.executable, "-c", script, str(PATCHED), *cases]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(zip(cases, lines, strict=True))


PAUSES = """
import runpy, sys, time
clock = [0.0]
time.time = lambda: clock[0]
patched = runpy.run_path(sys.argv[1])
patched["mend"]()
from exabgp.reactor.delay import Delay
for attempts in sys.argv[2:]:
    delay, found = Delay(), []
    for stood in attempts.split():
        began = clock[0]
        while delay.backoff():
            clock[0] += 0.125
        found.append(int(clock[0] - began))
        if stood != "refused":  # a session came up, and stood for so many seconds
            delay.reset()
            clock[0] += float(stood)
        delay.increase()
    print(*found)
"""
GROWING = "0 0 1 2 3 4 5 7 9 11 14 15"
PAUSES_AFTER = {
    " ".join(["refused"] * 12): GROWING,
    " ".join(["0.5"] * 12): GROWING,
    " ".join([*["refused"] * 6, "3600", "refused", "refused"]): "0 0 1 2 3 4 5 0 1",
}
"""Seconds before each attempt, given how each ended: `refused`, or a session of that many seconds."""


@pytest.mark.parametrize("attempts", PAUSES_AFTER, ids=["refused", "ended at once", "after a long session"])
def test_pauses_grow_when_a_router_refuses_or_ends_each_session_at_once(attempts: str) -> None:
    assert printed(PAUSES, *PAUSES_AFTER)[attempts] == PAUSES_AFTER[attempts]


def test_exabgp_is_started_with_our_changes() -> None:
    found = subprocess.run(exabgp_command(None, "version"), capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.startswith("ExaBGP : "), found.stderr


SIGNALS = """
import os, runpy, signal, sys
runpy.run_path(sys.argv[1])["mend"]()
from exabgp.logger import log
from exabgp.reactor.interrupt import Signal
log.critical = lambda *_: None
for case in sys.argv[2:]:
    received = Signal()
    received.mark_ready()
    for name in case.split():
        os.kill(os.getpid(), signal.Signals[name])
    print(Signal.name(received.received))
"""
DONE = {"SIGUSR1": "reload", "SIGUSR1 SIGTERM": "shutdown", "SIGTERM SIGUSR1": "shutdown"}


@pytest.mark.parametrize("signals", DONE)
def test_a_stop_is_not_ignored_because_a_reload_has_just_been_requested(signals: str) -> None:
    assert printed(SIGNALS, *DONE)[signals] == DONE[signals]


WAITING = """
import runpy, sys
from functools import partial
from types import SimpleNamespace
runpy.run_path(sys.argv[1])["mend"]()
from exabgp.bgp.message import Action
from exabgp.bgp.message.update.attribute.attributes import Attributes
from exabgp.bgp.message.update.attribute.med import MED
from exabgp.bgp.message.update.nlri.cidr import CIDR
from exabgp.bgp.message.update.nlri.inet import INET
from exabgp.logger import log
from exabgp.protocol.family import AFI, SAFI
from exabgp.protocol.ip import IPv4
from exabgp.rib.change import Change
from exabgp.reactor.delay import Delay
from exabgp.reactor.loop import Reactor
from exabgp.reactor.peer import Peer
from exabgp.rib.outgoing import OutgoingRIB
log.debug = lambda *_: None
for case in sys.argv[2:]:
    waiting = OutgoingRIB(True, {(AFI.ipv4, SAFI.unicast)})
    *words, last = case.split()
    for word in words if last == "again" else [*words, last]:
        prefix, _, med = word.partition("=")
        nlri = INET(AFI.ipv4, SAFI.unicast, Action.ANNOUNCE if med else Action.WITHDRAW)
        nlri.cidr = CIDR(IPv4.pton(prefix), 24)
        attributes = Attributes()
        if med:
            attributes.add(MED(int(med)))
        waiting.add_to_rib(Change(nlri, attributes))
    if last == "again":
        list(waiting.updates(False))
        class Neighbor(dict):
            rib = SimpleNamespace(outgoing=waiting)
        peer = SimpleNamespace(neighbor=Neighbor(capability={"route-refresh": 2}), _delay=Delay())
        peer.resend = partial(Peer.resend, peer)
        Reactor.neighbor_rib_resend(SimpleNamespace(_peers={"one": peer}), "one")
    sent = []
    for update in waiting.updates(False):
        med = f"={update.attributes[MED.ID].med}" if MED.ID in update.attributes else ""
        sent += [f"{nlri.cidr}".split("/")[0] + med for nlri in update.nlris]
    print(*sent)
"""
SENT_AGAIN = "10.0.0.0=1 10.0.1.0=2 again"
SENT = {
    "10.0.0.0=1 10.0.0.0": "10.0.0.0",
    "10.0.0.0=1 10.0.0.0 10.0.0.0=1": "10.0.0.0=1",
    "10.0.0.0=1 10.0.1.0=1 10.0.0.0=2": "10.0.1.0=1 10.0.0.0=2",
    "10.0.0.0=2 10.0.0.0=1 10.0.0.0=2": "10.0.0.0=2",
}


@pytest.mark.parametrize("changes", SENT, ids=["withdrawn", "announced again", "changed", "changed back"])
def test_only_the_last_change_of_a_route_waits_to_be_sent(changes: str) -> None:
    assert printed(WAITING, *SENT, SENT_AGAIN)[changes] == SENT[changes]


def test_routes_are_sent_again_without_markers_that_the_peer_may_not_know() -> None:
    assert sorted(printed(WAITING, *SENT, SENT_AGAIN)[SENT_AGAIN].split()) == ["10.0.0.0=1", "10.0.1.0=2"]


FAMILIES = """
import runpy, sys
runpy.run_path(sys.argv[1])["mend"]()
from exabgp.bgp.message import Open
from exabgp.bgp.message.direction import Direction
from exabgp.bgp.message.open.capability.negotiated import Negotiated
from exabgp.bgp.neighbor import Neighbor
for opens in sys.argv[2:]:
    negotiated = Negotiated(Neighbor())
    sent, received = (Open.unpack_message(bytes.fromhex(one), Direction.IN, None) for one in opens.split())
    negotiated.sent(sent)
    negotiated.received(received)
    print(*(f"{afi}/{safi}" for afi, safi in negotiated.families), sep=", ")
"""


def offering(*families: tuple[int, int]) -> str:
    """An OPEN with these families; without any it lacks the multiprotocol capability."""
    abilities = Abilities(as4=True, families=frozenset(families))
    return open_message(65000, 90, "192.0.2.9", abilities)[HEADER_LENGTH:].hex()


NEGOTIATED = {
    f"{offering(IPV4_UNICAST, IPV6_UNICAST)} {offering()}": "ipv4/unicast",
    f"{offering(IPV6_UNICAST)} {offering()}": "",
    f"{offering(IPV4_UNICAST, IPV6_UNICAST)} {offering(IPV6_UNICAST)}": "ipv6/unicast",
}


@pytest.mark.parametrize(
    "opens", NEGOTIATED, ids=["without the capability", "not configured for it", "with the capability"]
)
def test_ipv4_unicast_needs_no_multiprotocol_capability(opens: str) -> None:
    assert printed(FAMILIES, *NEGOTIATED)[opens] == NEGOTIATED[opens]
