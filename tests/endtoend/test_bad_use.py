"""Mistakes that people make: each gives one line for the cause, one for the cure, no traceback, and non-zero status."""

import socket
import subprocess
from pathlib import Path

import pytest

from collector.query.running import only_collector
from tests.running import BGPLEDGER, Collector, bgpledger, collecting, free_port
from tests.support import ROOT

DEMO = str(ROOT / "collector/data/demo.mrt.gz")


def refused(*arguments: str, status: int = 1, **environment: str) -> str:
    """The message of the command: a cause and a cure, and nothing else."""
    done = bgpledger(*arguments, timeout=300, **environment)
    assert done.returncode == status, done.stderr
    said = [line for line in done.stderr.splitlines() if " INFO " not in line and not line.startswith("warning: ")]
    assert [line.partition(":")[0] for line in said] == ["error", "cure"], done.stderr
    assert "Traceback" not in done.stderr
    return "\n".join(said)


@pytest.mark.parametrize("prefix", ["banana", "10.0.0.0/33", "2001:db8::/129", "/24", "10.0.0/8"])
def test_an_invalid_prefix_is_refused(prefix: str) -> None:
    assert f"{prefix!r} is not a prefix" in refused("history", prefix, status=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--start", "soon"), "'soon' is not a time"),
        (("--start", "1h", "--end", "2h"), "is not after"),
        (("--peer", "router1"), "'router1' is not an address"),
        (("--as-path", "(1"), "'(1' is not a regular expression"),
        (("--origin", "1,!2"), "'1,!2' mixes included and excluded"),
        (("--duration", "later"), "'later' is not a duration"),
    ],
)
def test_invalid_filters_are_refused(arguments: tuple[str, ...], words: str) -> None:
    for command in (("history", "10.0.0.0/8"), ("search",)):
        assert words in refused(*command, *arguments, status=2)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("rib", "--at", "soon"), "'soon' is not a time"),
        (("rib", "--more-specific"), "more specific than what?"),
        (("rib", "10.0.0.0/8", "-s", "-S"), "exclude each other"),
        (("rib", "10.0.0.0/8", "--peer", "router1"), "'router1' is not an address"),
        (("lookup", "banana"), "'banana' is not a prefix"),
        (("lookup", "10.0.0.1", "--origin", "1,!2"), "'1,!2' mixes included and excluded"),
        (("diff", "1h", "2h"), "'2h' is not after '1h'"),
        (("diff", "2h", "1h", "--med", "-1"), "'-1' is not a number"),
    ],
)
def test_invalid_queries_for_routes_are_refused(command: tuple[str, ...], words: str) -> None:
    assert words in refused(*command, status=2)


def test_an_invalid_start_of_a_tail_is_refused() -> None:
    assert "'soon' is not a time" in refused("tail", "--from", "soon", status=2)


@pytest.mark.parametrize("command", [("history", "10.0.0.0/8"), ("peers",), ("search",), ("tail",), ("top", "paths")])
def test_a_query_without_a_store_is_refused(command: tuple[str, ...], data_dir: Path) -> None:
    assert f"no collector runs on {data_dir}" in refused("--data-dir", str(data_dir), *command)
    said = refused(*command, BGPLEDGER_MONGODB_URI=f"mongodb://me:secret@127.0.0.1:{free_port()}/")
    assert "does not answer" in said
    assert "secret" not in said


def test_status_without_a_collector_is_refused(data_dir: Path) -> None:
    assert "no collector runs" in refused("status", BGPLEDGER_DATA_DIR=str(data_dir))


@pytest.mark.parametrize("uri", ["nonsense", "http://me:secret@127.0.0.1/", "mongodb://me:sec:ret@127.0.0.1/"])
def test_an_invalid_uri_is_refused(uri: str) -> None:
    said = refused("peers", BGPLEDGER_MONGODB_URI=uri)
    assert "secret" not in said
    assert "sec:ret" not in said


def test_an_invalid_configuration_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "collector.toml"
    file.write_text('[bgp]\nlocal_as = 64512\n[[peers]]\nadress = "192.0.2.1"\nasn = 64500\n')
    said = refused("run", "--config", str(file))
    assert str(file) in said
    assert "peers[0].adress" in said or "peers[0].address" in said
    file.write_text("[bgp\n")
    assert "is not TOML" in refused("run", "--config", str(file))
    assert "cannot be read" in refused("run", "--config", str(tmp_path / "other.toml"))
    assert "BGPLEDGER_BGP_LOCAL_AS" in refused("peers", BGPLEDGER_BGP_LOCALAS="1")


def test_a_taken_port_is_reported(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(
            "run", "--data-dir", str(data_dir), "--local-as", "65000", "--listen", place, "--peer", "127.0.0.9,64500"
        )
    assert place in said


def test_a_missing_embedded_store_is_reported(data_dir: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    command = ("run", "--data-dir", str(data_dir), "--local-as", "65000", "--listen", listen)
    said = refused(*command, BGPLEDGER_MONGODB_EMBEDDED="no-such-server")
    assert "the embedded store no-such-server does not exist" in said
    assert "leave mongodb.embedded out" in said


def test_a_second_demo_is_refused(tmp_path: Path) -> None:
    with only_collector(tmp_path / ".demo"):
        done = subprocess.run(
            [BGPLEDGER, "demo"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    assert done.returncode == 1
    assert "the collector does not start: another collector runs on" in done.stderr


def test_an_unwritable_place_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be used" in refused("run", "--data-dir", str(tmp_path / "file"))
    assert "cannot be used" in refused("run", "--data-dir", "/proc/bgpledger")


def test_files_that_cannot_be_replayed_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mrt"
    text.write_text("this is no MRT file, it is a text that somebody took for one\n")
    cut = tmp_path / "cut.mrt.gz"
    cut.write_bytes(Path(DEMO).read_bytes()[:100])
    place = f"127.0.0.1:{free_port()}"
    assert "text.mrt" in refused("replay", str(text), "--to", place)
    assert "cut.mrt.gz" in refused("replay", str(cut), "--to", place)
    assert "cannot be read" in refused("replay", str(tmp_path / "none.mrt"), "--plan")
    assert "--to" in refused("replay", DEMO, status=2)
    assert "192.0.2.1" in refused("replay", DEMO, "--plan", "--only-peer", "192.0.2.99", status=2)


def test_a_replay_that_nobody_accepts_is_reported() -> None:
    place = f"127.0.0.1:{free_port()}"
    assert place in refused("replay", DEMO, "--to", place)


async def test_a_second_collector_in_the_same_directory_is_refused(data_dir: Path) -> None:
    with collecting(data_dir) as collector:
        await collector.until_up()
        asked_of_an_empty_archive(collector)
        said = refused("run", "--data-dir", str(data_dir), "--listen", f"127.0.0.1:{free_port()}")
        assert "another collector runs" in said
        assert str(collector.process.pid) in said
        assert "already has a reader" in refused("archive", "--data-dir", str(data_dir))


def asked_of_an_empty_archive(collector: Collector) -> None:
    here = ("--data-dir", str(collector.data_dir))
    unknown = bgpledger(*here, "history", "198.51.100.0/24")
    assert (unknown.returncode, "nothing is known of 198.51.100.0/24" in unknown.stderr) == (0, True)
    bits = bgpledger(*here, "history", "2001:DB8:0::1/32")
    assert "host bits" in bits.stderr
    assert "2001:db8::/32" in bits.stderr
    assert "no route stands\n" in bgpledger(*here, "rib").stderr
    assert "no route within 10.0.0.0/8 stood then" in bgpledger(*here, "rib", "10.0.0.0/8", "-S", "--at", "1h").stderr
    filtered = bgpledger(*here, "lookup", "10.0.0.1", "-o", "64500").stderr
    assert "no route to 10.0.0.1/32 that passes these filters stands" in filtered
    assert (
        "no route to 10.0.0.0/8 changed between these times"
        in bgpledger(*here, "diff", "2h", "1h", "10.0.0.0/8").stderr
    )
    assert "no peer is configured" in bgpledger(*here, "peers").stderr


def test_a_reader_that_closes_the_pipe_ends_the_command_quietly() -> None:
    done = subprocess.run(
        f"{BGPLEDGER} replay {DEMO} --plan | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
