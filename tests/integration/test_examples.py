"""The programs in examples/, run as their headers say, on the archive of the demonstration."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collector.store import embedded
from tests.running import bgpledger
from tests.support import ROOT, missing

EXAMPLES = ROOT / "examples"
PREFIX = "203.0.113.0/24"
"""AS64500 originates it, and AS64511 for a while, as both peers have it."""
PATH = f"{Path(sys.executable).parent}:{ROOT / '.tools/node_modules/.bin'}:{os.environ['PATH']}"


class Demonstrated(NamedTuple):
    """The archive of the demonstration. Its store runs meanwhile: else each program would start it, and stop it."""

    data_dir: Path
    uri: str

    @property
    def environment(self) -> dict[str, Any]:
        return {"BGPLEDGER_DATA_DIR": str(self.data_dir), "BGPLEDGER_MONGODB_URI": self.uri}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstrated]:
    folder = tmp_path_factory.mktemp("demo")
    done = bgpledger("demo", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    store = asyncio.run(embedded.start(folder))
    yield Demonstrated(folder, store.uri)
    asyncio.run(store.stop())


def environment(archive: Demonstrated) -> dict[str, str]:
    return {"PATH": PATH, "HOME": str(archive.data_dir), **archive.environment}


def run(archive: Demonstrated, *command: str | Path) -> str:
    done = subprocess.run(
        list(command), capture_output=True, text=True, check=False, env=environment(archive), timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_who_announced(archive: Demonstrated) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=10)  # in case midnight has passed since the demonstration began
    days = {f"{moment:%F}" for moment in (begin, datetime.now(UTC))}
    rows = [row for day in days for row in run(archive, EXAMPLES / "who-announced.sh", PREFIX, day).splitlines()]
    hijacked = [row for row in rows if "64497 64511" in row or "64496 64509 64511" in row]
    assert len(hijacked) == 2
    assert all(" announce " in row for row in hijacked)
    assert sum("session end" in row for row in rows) == 2


def test_who_announced_nothing_on_another_day(archive: Demonstrated) -> None:
    assert len(run(archive, EXAMPLES / "who-announced.sh", PREFIX, "last week").splitlines()) == 1


def test_for_a_ticket(archive: Demonstrated) -> None:
    now = datetime.now(UTC)
    first, last = (f"{moment:%F %T}" for moment in (now - timedelta(hours=1), now))
    text = run(archive, EXAMPLES / "for-a-ticket.sh", PREFIX, first, last)
    assert text.startswith(f"{PREFIX} from {first} to {last} (UTC)\n\nBefore:\n")
    before, said, after = (text.index(word) for word in ("Before:", "What the peers said:", "After:"))
    assert "the archive begins at" in text[before:said]
    assert text[said:after].count(" announce ") == 7
    assert "no route" in text[after : text.index("Difference:")]


def test_several_origins(archive: Demonstrated) -> None:
    if shutil.which("mongosh", path=PATH) is None:
        missing("mongosh is not installed; `make tools` installs it where npm is")
    script = EXAMPLES / "several-origins.js"
    text = run(archive, "bgpledger", "shell", "--quiet", "--eval", "var hours = 1", "--file", script)
    assert f"{PREFIX}\n  AS64500 by 127.0.1.1, 127.0.1.2\n  AS64511 by 127.0.1.1, 127.0.1.2" in text
    assert "2001:db8:2::/48" not in text  # from one AS only


def hijack(archive: Demonstrated) -> datetime:
    """When AS64511 announced the prefix, according to the first peer that reported it."""
    said = bgpledger("history", PREFIX, "--origin", "64511", "--format", "jsonl", **archive.environment)
    return min(datetime.fromisoformat(json.loads(line)["ts"]) for line in said.stdout.splitlines())


def test_changed_between(archive: Demonstrated) -> None:
    begin, end = (f"{hijack(archive) + timedelta(milliseconds=by):%FT%T.%fZ}" for by in (-50, 50))
    rows = run(archive, sys.executable, EXAMPLES / "changed_between.py", begin, end).splitlines()
    assert sorted(rows) == [
        "       2 routes of AS 64511",
        f"changed   127.0.1.1  {PREFIX}  64496 64501 64502 64500 -> 64496 64509 64511",
        f"changed   127.0.1.2  {PREFIX}  64497 64498 64500 -> 64497 64511",
    ]


def test_watch_prefixes(archive: Demonstrated) -> None:
    command = [
        sys.executable,
        str(EXAMPLES / "watch_prefixes.py"),
        "64500",
        PREFIX,
        "2001:db8:ffff::/48",
        "--since",
        "1h",
    ]
    with subprocess.Popen(command, env=environment(archive), stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout
        rows = [watching.stdout.readline().split() for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        assert watching.stdout.read() == ""
        assert watching.wait(300) == 0
    assert sorted(row[2:] for row in rows) == [
        ["127.0.1.1", "announces", PREFIX, "by", "64496", "64509", "64511"],
        ["127.0.1.2", "announces", PREFIX, "by", "64497", "64511"],
        ["127.0.1.2", "announces", "203.0.113.128/25", "by", "64497", "64511"],
    ]


def test_table_to_csv(archive: Demonstrated) -> None:
    at = f"{hijack(archive) + timedelta(milliseconds=50):%FT%T.%fZ}"
    text = run(archive, sys.executable, EXAMPLES / "table_to_csv.py", "127.0.1.2", at)
    routes = {row["prefix"]: row for row in csv.DictReader(text.splitlines())}
    assert routes[PREFIX]["origin_as"] == "64511"
    assert routes[PREFIX]["communities"] == "64497:666"
    assert "198.51.100.0/28" in routes


@pytest.mark.parametrize(
    "name", sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "watch_prefixes.py")
)
def test_invalid_arguments_are_reported_without_a_traceback(archive: Demonstrated, name: str) -> None:
    command = [sys.executable, str(EXAMPLES / name), "192.0.2.300", "teatime"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(archive), timeout=300)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "192.0.2.300" in done.stderr


def test_each_example_is_run() -> None:
    here = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.iterdir() if f'"{path.name}"' not in here] == []
