"""A line whose document is too large for MongoDB, through all processes: it becomes a reject, and nothing stops."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from collector.spool.state import inspect
from collector.store.mongo import Store
from tests.running import BGPLEDGER
from tests.support import Router, until


async def test_a_document_over_16_mb_is_a_reject_and_not_a_stop(embedded_uri: str, data_dir: Path) -> None:
    router = Router(pid=os.getpid())  # the receiver's parent counts as its ExaBGP
    up = router.up()
    huge = router.update(withdraw={"ipv6 unicast": ["::/0"] * 1_040_000})  # over 16 MB as BSON, though not as JSON
    lines = [*up, huge, router.announce("192.0.2.0/24"), router.keepalive()]
    database = f"huge_{os.getpid()}"
    environment = {**os.environ, "BGPLEDGER_MONGODB_URI": embedded_uri, "BGPLEDGER_MONGODB_DATABASE": database}
    environment["BGPLEDGER_DATA_DIR"] = str(data_dir)
    data_dir.mkdir()
    with (data_dir / "log").open("wb") as log:
        archiver = subprocess.Popen([BGPLEDGER, "archive"], stdin=subprocess.DEVNULL, stderr=log, env=environment)
        try:
            said = b"".join(line + b"\n" for line in lines)
            subprocess.run(
                [BGPLEDGER, "receive"], input=said, capture_output=True, timeout=60, check=True, env=environment
            )
            await until(lambda: inspect(data_dir / "spool").waiting == 0, timeout=60, what="no line waits")
            archiver.send_signal(signal.SIGTERM)
            assert archiver.wait(30) == 0
        finally:
            archiver.kill()
            archiver.wait()
    assert "trying again" not in (data_dir / "log").read_text()
    async with Store.open(embedded_uri, database=database) as store:
        (reject,) = [one async for one in store.find("rejects", {})]
        (update,) = [one async for one in store.find("updates", {})]
        (session,) = [one async for one in store.find("sessions", {})]
    assert "too large" in reject["reason"]
    assert (reject["size"], len(reject["raw"])) == (len(huge), 2**20)
    assert update["announce"][0]["nlri"] == ["192.0.2.0/24"]
    assert (session["updates"], session["keepalives"]) == (2, 1)
    note = inspect(data_dir / "spool").note
    assert (note["rejected"], note["stored"]) == (1, len(lines) - 1 + 2)  # and the start and end of the receiver
