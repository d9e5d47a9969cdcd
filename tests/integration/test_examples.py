"""What stands in examples/, run as its head says, over the archive of the demonstration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.running import bgpledger
from tests.support import ROOT, missing

EXAMPLES = ROOT / "examples"
PREFIX = "203.0.113.0/24"
"""AS64500 originates it, and AS64511 for a while, as both peers have it."""
PATH = f"{Path(sys.executable).parent}:{ROOT / '.tools/node_modules/.bin'}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    done = bgpledger("demo", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def run(archive: Path, *command: str | Path) -> str:
    environment = {"PATH": PATH, "HOME": str(archive), "BGPLEDGER_DATA_DIR": str(archive)}
    done = subprocess.run(list(command), capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_who_announced(archive: Path) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=10)  # should midnight have been since the demonstration began
    days = {f"{moment:%F}" for moment in (begin, datetime.now(UTC))}
    rows = [row for day in days for row in run(archive, EXAMPLES / "who-announced.sh", PREFIX, day).splitlines()]
    hijacked = [row for row in rows if "64497 64511" in row or "64496 64509 64511" in row]
    assert len(hijacked) == 2
    assert all(" announce " in row for row in hijacked)
    assert sum("session end" in row for row in rows) == 2


def test_who_announced_nothing_on_another_day(archive: Path) -> None:
    assert len(run(archive, EXAMPLES / "who-announced.sh", PREFIX, "last week").splitlines()) == 1


def test_for_a_ticket(archive: Path) -> None:
    now = datetime.now(UTC)
    first, last = (f"{moment:%F %T}" for moment in (now - timedelta(hours=1), now))
    text = run(archive, EXAMPLES / "for-a-ticket.sh", PREFIX, first, last)
    assert text.startswith(f"{PREFIX} from {first} to {last} (UTC)\n\nBefore:\n")
    before, said, after = (text.index(word) for word in ("Before:", "What the peers said:", "After:"))
    assert "the archive begins at" in text[before:said]
    assert text[said:after].count(" announce ") == 7
    assert "no route" in text[after : text.index("Difference:")]


def test_several_origins(archive: Path) -> None:
    if shutil.which("mongosh", path=PATH) is None:
        missing("mongosh is not installed; `make tools` installs it where npm is")
    script = EXAMPLES / "several-origins.js"
    text = run(archive, "bgpledger", "shell", "--quiet", "--eval", "var hours = 1", "--file", script)
    assert f"{PREFIX}\n  AS64500 by 127.0.1.1, 127.0.1.2\n  AS64511 by 127.0.1.1, 127.0.1.2" in text
    assert "2001:db8:2::/48" not in text  # of one AS alone


def test_each_example_is_run() -> None:
    here = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.iterdir() if f'"{path.name}"' not in here] == []
