"""A collector that listens to RIS Live: what it stores, what it reports as missed, and what it does with rubbish."""

import asyncio
import json
import time
from pathlib import Path

from schemas.json_object import JsonObject
from tests.mrt_builder import announcement, announcement6, withdrawal
from tests.ris_live_server import Listener, ris_live
from tests.running import bgpledger, collecting
from tests.support import until

ONE, TWO = ("192.0.2.1", 64500, "rrc21"), ("2001:db8::2", 64502, "rrc25.ripe.net")


async def first(listener: Listener) -> None:
    """A session that comes up, routes of two peers, and the end of the connection within a message."""
    now = time.time()
    await listener.tell(*ONE, "RIS_PEER_STATE", now, state="connected")
    await listener.tell(*ONE, "RIS_PEER_STATE", now, state="up")
    await listener.tell(*ONE, "UPDATE", now, raw=announcement("10.0.0.0/8", 64500, 7).hex())
    await listener.tell(*TWO, "UPDATE", now - 3, raw=announcement6("2001:db8:1::/48", 64502, 7).hex())
    await listener.break_off(json.dumps({"type": "ris_message", "data": {"type": "UPDATE"}}))


async def second(listener: Listener) -> None:
    """Rubbish of every kind, an error, and a withdrawal; then silence."""
    await listener.connection.send("nonsense\nof two lines")
    await listener.connection.send(b"\xff\x00\n\xfe")
    await listener.connection.send("[]")
    await listener.tell(*ONE, "UPDATE", time.time(), path=["x"])
    await listener.send("ris_error", {"message": "host rrc99 is not known"})
    await listener.tell(*TWO, "UPDATE", time.time(), raw=announcement6("2001:db8:2::/48", 64502, 7).hex())
    await listener.tell(*ONE, "UPDATE", time.time(), raw=withdrawal("10.9.0.0/16").hex())
    await listener.tell(*ONE, "RIS_PEER_STATE", time.time(), state="down")
    await listener.connection.wait_closed()


async def test_messages_are_stored_and_missed_ones_are_a_gap(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with ris_live(first, second) as (url, listeners):
        told = {
            "BGPLEDGER_RIS_LIVE_URL": url,
            "BGPLEDGER_RIS_LIVE_CLIENT": "a test",
            "BGPLEDGER_RIS_LIVE_SUBSCRIBE": '[{"prefix": ["10.0.0.0/8", "2001:db8::/32"], "moreSpecific": true}]',
        }
        with collecting(data_dir, **told) as collector:  # type: ignore[arg-type]  # variables, and no option's name

            def ask(*words: str) -> list[JsonObject]:
                done = bgpledger("--data-dir", str(data_dir), *words, "--format", "jsonl")
                assert done.returncode == 0, done.stderr
                return [json.loads(one) for one in done.stdout.splitlines()]

            async def found() -> list[JsonObject]:
                return await asyncio.to_thread(ask, "search", "--all", "--router", "rrc21")

            await collector.until_up()
            await until(lambda: len(listeners) > 1, what="it has connected again")

            async def ended() -> bool:
                return any(one["event"] == "session_end" for one in await found())

            await until(ended, what="all is stored")
            of_one = await found()
            of_two = await asyncio.to_thread(ask, "search", "--all", "--router", "rrc25")
            rib = await asyncio.to_thread(ask, "rib", "--router", "rrc25")

            async def connected_again() -> JsonObject | None:  # its state is written now and then
                status = await collector.until_idle()
                known = status["feed"] == "connected" and status["feed_last_message"]
                return status if known and status["feed_since"] <= known else None

            status = await until(connected_again, what="status tells of the second connection")
            metrics = bgpledger("--data-dir", str(data_dir), "status", "--format", "prometheus").stdout
        log = collector.log.read_text()
    assert listeners[0].client == "a test"
    assert listeners[0].subscription["socketOptions"] == {"includeRaw": True, "acknowledge": True}
    assert listeners[0].subscription["moreSpecific"] is True
    assert [(one["event"], one["prefix"]) for one in of_one] == [
        ("session_up", None),
        ("announce", "10.0.0.0/8"),
        ("gap", None),
        ("gap", None),
        ("withdraw", "10.9.0.0/16"),
        ("session_end", None),
    ]
    assert {one["peer"]["asn"] for one in of_one} == {64500}
    gaps = sorted(one["reason"] for one in of_one[2:4])  # of one millisecond
    assert [reason.split(":")[0] for reason in gaps] == [
        "a line could not be read, and may have said anything of its routes",
        "the connection to the feed was lost",
    ]
    events = [
        (one["event"], one["prefix"]) for one in of_two if one["event"] in ("announce", "withdraw", "session_end")
    ]
    assert events == [("announce", "2001:db8:1::/48"), ("announce", "2001:db8:2::/48")]
    assert sum("the connection to the feed was lost" in str(one["reason"]) for one in of_two) == 1
    assert [(one["prefix"], one["state"]) for one in rib] == [
        ("2001:db8:1::/48", "uncertain"),
        ("2001:db8:2::/48", "stands"),
    ]
    assert status["rejected"] == 4
    assert (status["feed"], status["feed_reconnects"]) == ("connected", 1)
    assert status["started"] < status["feed_since"] <= status["feed_last_message"]
    assert "bgpledger_feed_up 1.0" in metrics
    assert "bgpledger_feed_reconnects_total 1.0" in metrics
    assert "refuses: host rrc99 is not known (correct [ris_live] subscribe or client)" in log
    assert "the connection was lost" in log
    assert "clock was set back" not in log
    assert "Traceback" not in log
