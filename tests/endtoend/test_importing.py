"""`bgpledger import` as a newcomer types it: queries then answer what bgpdump reads in the file."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.endtoend.beginning import beginning
from tests.mrt_builder import announcement, message, record
from tests.running import BGPLEDGER, bgpledger
from tests.support import ROOT, SHARED, program

FILES = [ROOT / "collector/data/demo.mrt.gz", SHARED / "mrt/updates.20160811.1600.gz"]


def routes(printed: str) -> list[str]:
    """Announcements and withdrawals by time alone: within a second bgpdump has the order of the file, as we have."""
    return [line for line in printed.splitlines() if line.split("|")[2] in "AW"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_in_the_archive_as_bgpdump_reads_it(tmp_path: Path, path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not here")
    data_dir = ("--data-dir", str(tmp_path / "data"))
    path = beginning(path, tmp_path / path.name)
    done = bgpledger(*data_dir, "import", str(path), "--collector", "rrc")
    assert done.returncode == 0, done.stderr
    found = bgpledger(*data_dir, "search", "--all", "--format", "bgpdump")
    dumped = subprocess.run([program("bgpdump"), "-m", str(path)], capture_output=True, text=True, check=True)
    assert sorted(routes(found.stdout)) == sorted(routes(dumped.stdout))
    again = bgpledger(*data_dir, "import", str(path), "--collector", "rrc")
    assert "imported before" in again.stderr
    assert bgpledger(*data_dir, "search", "--all", "--format", "bgpdump").stdout == found.stdout


def test_files_that_cannot_be_imported_are_reported_with_a_cure(tmp_path: Path) -> None:
    data_dir = ("--data-dir", str(tmp_path / "data"))
    noise, folder, ospf = tmp_path / "noise", tmp_path / "folder", tmp_path / "ospf"
    ospf.write_bytes(record(11, 0, bytes(40)))
    noise.write_bytes(b"no MRT file")
    folder.mkdir()
    os.mkfifo(tmp_path / "pipe")
    for arguments, cause in (
        ((str(tmp_path / "none"),), "cannot be read"),
        ((str(noise),), "is not an MRT"),
        ((str(folder),), "there is no MRT file"),
        ((str(tmp_path / "pipe"),), "is a pipe or a device, not a file"),
        (("-",), "there is nothing on stdin"),
        ((str(ospf),), "holds no BGP message or route"),
        ((str(ROOT / "docs/pictures/prefix.png"),), "is not an MRT file"),
        (("https://data.ris.ripe.net/rrc00/latest-bview.gz",), "is a URL"),
        ((str(noise), "--peer", "x"), "--peer"),
        ((str(noise), "--start", "x"), "'x'"),
    ):
        done = bgpledger(*data_dir, "import", *arguments)
        assert (done.returncode != 0, cause in done.stderr, "cure:" in done.stderr) == (True, True, True), done.stderr
        assert "Traceback" not in done.stderr


def test_what_a_folder_holds_besides_is_listed_with_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "older").mkdir(parents=True)
    os.mkfifo(folder / "fifo")
    (folder / "gone").symlink_to(tmp_path / "nothing")
    (folder / "README").write_text("These are updates.")
    (folder / "updates").write_bytes(message(announcement("10.0.0.0/8", 64500)))
    done = bgpledger("--data-dir", str(tmp_path / "data"), "import", "--dry-run", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:5] == [
        "skipped, neither MRT nor a capture: README",
        "skipped, a pipe, a socket or a device: fifo",
        "skipped, a link to nothing: gone",
        "skipped, a directory in a directory: older",
        f"{folder}/updates: 1 record",
    ]


def test_data_from_stdin_is_called_that(tmp_path: Path) -> None:
    record = message(announcement("10.0.0.0/8", 64500))
    for data, says in (
        (record, "standard input: 1 record\n"),
        (record + record[:-1], "standard input: 1 record\n  standard input is cut short: record 2 at offset"),
        (b"no MRT file at all", "error: standard input is not an MRT file"),
    ):
        command = [BGPLEDGER, "--data-dir", str(tmp_path / "data"), "import", "--dry-run", "-"]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        assert says in done.stderr.decode(), done.stderr
        assert tempfile.gettempdir().encode() not in done.stderr
