"""`bgpledger verify` beside a running collector."""

import json
from pathlib import Path

from pymongo import MongoClient

from collector.store.driver import Document
from tests.running import bgpledger, collecting
from tests.support import until


async def test_the_command_reports_what_is_missing_and_exits_with_1(data_dir: Path) -> None:
    with collecting(data_dir) as collector:
        await collector.until_up()
        await until(lambda: collector.status()["stored"] == 1, what="the receiver's first word is stored")
        done = bgpledger("--data-dir", str(data_dir), "verify")
        assert (done.returncode, done.stderr) == (0, "")
        assert "documents    1\n" in done.stdout
        with MongoClient[Document](collector.uri) as client:
            client["bgpledger"]["messages"].delete_one({"kind": "helper_start"})
        done = bgpledger("--data-dir", str(data_dir), "verify")
        assert (done.returncode, done.stderr) == (1, "")
        assert "missing  0            1 of these lines have no document\n" in done.stdout
        done = bgpledger("verify", "--format", "json", BGPLEDGER_DATA_DIR=str(data_dir))
        assert done.returncode == 1
        assert [(finding["what"], finding["lines"]) for finding in json.loads(done.stdout)["findings"]] == [
            ("missing", "0")
        ]


async def test_a_missing_store_is_reported(data_dir: Path) -> None:
    done = bgpledger("--data-dir", str(data_dir), "verify")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no collector runs on")
