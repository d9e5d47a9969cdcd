"""The peers, and why they are not up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collector.doctor.result import CheckResult
from collector.errors import BgpledgerError
from collector.query.peers import peers_here
from collector.query.running import RunningCollector
from collector.settings.model import Settings
from collector.sources.exabgp.md5_failures import dropped_segments
from collector.store.mongo import Store
from collector.tasks import run_interruptible
from schemas.status import PeerStatus


def examine_peers(settings: Settings, running: RunningCollector) -> Iterator[CheckResult]:
    """Check why peers of the running collector are not up."""
    if running.mongodb_uri:
        uri = running.mongodb_uri
    elif settings.mongodb.uri:
        uri = settings.mongodb.uri.get_secret_value()
    else:
        return
    try:
        peers = run_interruptible(_ask_peers(uri, settings, running))
    except BgpledgerError:
        return  # the check of the store reports it
    expected = {peer.address: peer for peer in running.peers}
    down = [peer for peer in peers if peer.state == "unconfigured" or (peer.configured and peer.state != "up")]
    for peer in down:
        yield CheckResult("warning", "peer", _state(peer), _peers_cure(peer))
    if any(peer.open is None and expected[peer.address].password for peer in down if peer.address in expected):
        yield from _md5()
    up = sum(peer.state == "up" for peer in peers if peer.configured)
    if expected:
        yield CheckResult("ok", "peers", f"{up} of {len(expected)} are up")


async def _ask_peers(uri: str, settings: Settings, running: RunningCollector) -> list[PeerStatus]:
    async with Store.open(uri, database=running.database, driver=settings.mongodb.driver) as store:
        return [peer async for peer in peers_here(store, settings.data_dir)]


def _state(peer: PeerStatus) -> str:
    state = {"never": "has never been up", "down": "is down", "unconfigured": "is not configured"}[peer.state]
    name = f"{peer.address} (AS {peer.asn})" if peer.asn else peer.address
    at = f", at {peer.reason_at:%Y-%m-%d %H:%M:%S} UTC" if peer.reason_at else ""
    since = f"; since then: {peer.attempt}, last at {peer.attempt_at:%Y-%m-%d %H:%M:%S} UTC" if peer.attempt else ""
    says = f"{name} {state}: {peer.reason or 'why is not known'}{at}{since}"
    if peer.open is None:
        return says
    opened = peer.open
    differs = f" ({'; '.join(opened.differs)})" if opened.differs else ""
    return (
        f"{says}; its last OPEN, {opened.ts:%Y-%m-%d %H:%M:%S} UTC: AS {opened.asn}, hold time {opened.hold_time} s,"
        f" router ID {opened.router_id}{differs}"
    )


def _peers_cure(peer: PeerStatus) -> str:
    if peer.state == "unconfigured":
        return "give it a [[peers]] of its own, or end its attempts at the router"
    if peer.open and peer.open.differs:
        return "make both ends agree: [[peers]] here, or the router's configuration"
    if peer.open is None:
        return "see that the router has us as its neighbour, and that nothing between us filters BGP's port"
    return "see the router's log, and ours"


def _md5() -> Iterator[CheckResult]:
    if dropped := dropped_segments(Path("/proc/net/netstat")):
        counts = ", ".join(f"{count} {what}" for what, count in dropped.items())
        yield CheckResult(
            "warning",
            "md5",
            f"the kernel has dropped TCP segments since it started: {counts}",
            "give both ends the same password; the kernel's log (dmesg) names the addresses",
        )
