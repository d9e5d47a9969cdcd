"""The direction of imports: each room may import only from the rooms before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

ROOMS = [
    {"schemas"},
    {"collector.errors", "collector.local_server"},
    {"collector.regex"},
    {
        "collector.children",
        "collector.files",
        "collector.instances",
        "collector.logs",
        "collector.compression",
        "collector.retry",
        "collector.tasks",
        "collector.settings",
        "collector.turns",
    },
    {"collector.bgp", "collector.commands"},
    {"collector.sources.source", "collector.replay", "collector.spool", "collector.store"},
    # What concerns one source only is in its folder, which the archive must not import; `known` lists the sources.
    {"collector.archive", "collector.rib", "collector.sources.second_hand"},
    {f"collector.sources.{name}" for name in ("bmp", "exabgp", "mrt", "ris_live")},
    {"collector.sources.pcap"},
    {"collector.sources.known", "collector.sources.files"},
    {"collector.query"},
    {"collector.dumps"},
    {"collector.acting"},
    {"bgpledger"},
    {"collector.present", "collector.export"},
    {"collector.daemon", "collector.doctor", "collector.demo", "collector.http"},
    {"collector.cli"},
]
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
FILES = sorted([*ROOT.glob("bgpledger/**/*.py"), *ROOT.glob("schemas/**/*.py"), *ROOT.glob("collector/**/*.py")])


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return next((room for room in (".".join(parts[:3]), ".".join(parts[:2]), parts[0]) if room in RANK), None)


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file: Path) -> None:
    here = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
    if here is None:
        return
    for name in imported(file):
        there = room_of(name)
        if there and there != here:
            assert RANK[there] < RANK[here], f"{here} must not import {name}"


def test_there_are_no_other_rooms() -> None:
    empty = (ROOT / "collector/__init__.py", ROOT / "collector/sources/__init__.py")
    for file in FILES:
        if file not in empty:
            assert room_of(".".join(file.relative_to(ROOT).with_suffix("").parts)), file


def test_http_asks_through_the_facade() -> None:
    for file in (ROOT / "collector/http").rglob("*.py"):
        asked = {name for name in imported(file) if (room_of(name) or "") in ("collector.store", "collector.rib")}
        assert not asked, file


def test_questions_know_no_source() -> None:
    """Except for what every source can be asked, and the list of sources."""
    for file in (ROOT / "collector/query").rglob("*.py"):
        asked = {(room_of(name) or "") for name in imported(file) if name.startswith("collector.sources.")}
        assert asked <= {"collector.sources.source", "collector.sources.known"}, file


_HISTORY = """
import sys
from collector.cli import main
try:
    main(["history", "203.0.113.0/24", "--mongodb-uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"])
except SystemExit:
    print(*sys.modules)
"""
NOT_OF_A_QUESTION = (
    *("schemas.message", "schemas.documents", "schemas.intents", "schemas.announcements", "schemas.status"),
    *("collector.settings.model", "collector.settings.announce", "collector.settings.bgp", "collector.settings.http"),
    *("collector.archive", "collector.acting", "collector.sources", "collector.http", "collector.replay"),
    *("collector.query.timeline", "collector.query.own_events", "collector.query.history_newest"),
    *("exabgp", "fastapi", "jinja2", "pygal", "rich", "uvicorn", "websockets"),
    *("tomllib", "unittest"),
)


def test_history_imports_only_what_it_uses() -> None:
    done = subprocess.run([sys.executable, "-c", _HISTORY], capture_output=True, text=True, cwd=ROOT)
    modules = done.stdout.split()
    assert {"bgpledger.questions.entries", "collector.query.history", "collector.settings.store"} <= set(modules)
    assert not [name for name in modules if name in NOT_OF_A_QUESTION], done.stderr
