"""`bgpledger export` as a newcomer types it; what other programs read in its files is what `search` answers."""

import os
import re
import subprocess
from pathlib import Path

import mrtparse  # type: ignore[import-untyped]
import pytest
from pybgpkit_parser import Parser  # type: ignore[import-untyped]

from tests.running import bgpledger
from tests.support import ROOT, SHARED, program

DEMO = ROOT / "collector/data/demo.mrt.gz"
FILES = [DEMO, *([SHARED / "mrt/updates.20160811.1600.gz"] if os.environ.get("WHOLE_TABLE") else [])]
_MICROSECONDS = re.compile(r"^(BGP4MP)_ET(\|[0-9]+)\.[0-9]+", re.MULTILINE)


def bgpdump(path: Path) -> list[str]:
    """What bgpdump reads, without the microseconds that `search --format bgpdump` does not show."""
    done = subprocess.run([program("bgpdump"), "-m", str(path)], capture_output=True, text=True, check=True)
    return _MICROSECONDS.sub(r"\1\2", done.stdout).splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_other_programs_read_in_it_what_search_answers(tmp_path: Path, path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not here")
    archive, file, again = ("--data-dir", str(tmp_path / "data")), tmp_path / "out.mrt", tmp_path / "out.mrt.gz"
    assert bgpledger(*archive, "import", str(path)).returncode == 0
    done = bgpledger(*archive, "export", "--all", str(file))
    assert done.returncode == 0, done.stderr
    assert " records in " in done.stderr
    assert "without" not in done.stderr
    assert "left out" not in done.stderr
    dumped = bgpdump(file)
    assert dumped == bgpdump(path)
    found = bgpledger(*archive, "search", "--all", "--elem", "announce,withdraw", "--format", "bgpdump").stdout
    routes = [line for line in dumped if line.split("|")[2] in "AW"]
    assert routes == found.splitlines()
    assert sum(1 for _ in Parser(url=str(file))) == len(routes)
    records = list(mrtparse.Reader(str(file)))
    assert not any(record.err for record in records)
    assert len(records) == int(done.stderr.split(" records")[0].splitlines()[-1].replace(",", ""))
    assert bgpledger(*archive, "export", "--all", str(again)).returncode == 0
    assert bgpdump(again) == dumped


def test_what_cannot_be_written_is_said_with_its_cure(tmp_path: Path) -> None:
    archive = ("--data-dir", str(tmp_path / "data"))
    assert bgpledger(*archive, "import", str(DEMO)).returncode == 0
    for arguments, cause in (
        (("--all", "--peer", "203.0.113.99", str(tmp_path / "out")), "no file is written"),
        (("--all", str(tmp_path / "none" / "out")), "No such file or directory"),
        (("--prefix", "10.0.0.0/33", str(tmp_path / "out")), "is not a prefix"),
    ):
        done = bgpledger(*archive, "export", *arguments)
        assert (done.returncode != 0, cause in done.stderr, "cure:" in done.stderr) == (True, True, True), done.stderr
        assert "Traceback" not in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["data"]
