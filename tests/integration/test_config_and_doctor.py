"""`bgpledger config` and `bgpledger doctor`, typed as a user types them."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient

from collector.store.driver import Document
from tests.running import bgpledger, collecting, free_port
from tests.support import ROOT, until

EXAMPLE = str(ROOT / "conf/collector.toml")


def configuration(directory: Path, text: str) -> str:
    file = directory / "collector.toml"
    file.write_text(f'data_dir = "data"\n{text}')
    return str(file)


# --- config -----------------------------------------------------------------------------------------------------------


def test_the_example_configuration_is_valid() -> None:
    done = bgpledger("config", "check", "--config", EXAMPLE)
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:1790" in done.stdout
    assert done.stderr == "warning: there are no peers: add [[peers]], or run with --peer ADDR,AS\n"


def test_a_password_on_the_command_line_gives_a_warning() -> None:
    shown = ("config", "check", "--mongodb-uri", "mongodb://me:s3cret@db.example.net/")
    for arguments in (shown, (*shown[2:], *shown[:2])):
        done = bgpledger(*arguments)
        assert done.returncode == 0, done.stderr
        assert "--mongodb-uri-file FILE" in done.stderr
        assert "s3cret" not in done.stdout + done.stderr
    assert "ps" not in bgpledger("config", "check", "--mongodb-uri", "mongodb://db.example.net/").stderr


def test_check_shows_no_secret_and_warns(tmp_path: Path) -> None:
    file = configuration(
        tmp_path,
        """
        [bgp]
        local_as = 64512
        listen = "[::]:1790"
        [[peers]]
        address = "127.0.0.2"
        asn = 64500
        [[peers]]
        address = "127.0.0.3"
        asn = 64501
        ttl_security = 1
        [[peers]]
        address = "198.51.100.0/24"
        asn = 64502
        local_address = "127.0.0.1"
        [mongodb]
        uri = "mongodb://me:s3cret@db.example.net/"
        """,
    )
    done = bgpledger("config", "check", "--config", file)
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert "mongodb://***@db.example.net/ bgpledger" in done.stdout
    assert "2, and 1 ranges" in done.stdout
    assert str(tmp_path / "data") in done.stdout
    assert "all networks can reach it" in done.stderr
    assert "peer 127.0.0.3: its ttl_security" in done.stderr


def test_check_shows_which_process_has_which_peers(tmp_path: Path) -> None:
    peer = '[[peers]]\naddress = "127.0.1.{0}"\nasn = 64500\nlocal_address = "127.0.0.{1}"\n'
    peers = [peer.format(number, local) for number, local in ((1, 1), (2, 2), (3, 1))]
    file = configuration(tmp_path, "\n".join(["[bgp]\nlocal_as = 64512\n", *peers, "[exabgp]\nprocesses = 3\n"]))
    done = bgpledger("config", "check", "--config", file)
    assert done.returncode == 0, done.stderr
    assert "processes 3, with peers: 2 at 127.0.0.1; 1 at 127.0.0.2; none\n" in done.stdout
    assert done.stderr.startswith("warning: exabgp.processes is 3, but all peers come to 2 of our addresses")
    shown = bgpledger("config", "exabgp", "--config", file)
    assert shown.returncode == 0, shown.stderr
    files = re.split(r"^# (.*)\n", shown.stdout, flags=re.MULTILINE)
    assert files[1::2] == [str(tmp_path / "data" / name) for name in ("exabgp.conf", "exabgp-1.conf", "exabgp-2.conf")]
    assert [re.findall(r"neighbor (\S+)", text) for text in files[2::2]] == [
        ["127.0.1.1", "127.0.1.3"],
        ["127.0.1.2"],
        [],
    ]
    assert ["--instance" in text for text in files[2::2]] == [False, True, True]


@pytest.mark.parametrize("command", ["check", "exabgp"])
def test_a_configuration_that_cannot_be_used_is_refused(tmp_path: Path, command: str) -> None:
    file = configuration(tmp_path, '[[peers]]\naddress = "192.0.2.1"\nasn = 64500\n')
    done = bgpledger("config", command, "--config", file)
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(rf"error: {file}: bgp\.local_as is missing\ncure: .*\n", done.stderr)


def test_check_reads_passwords_too(tmp_path: Path) -> None:
    peer = 'address = "127.0.0.2"\nasn = 64500\npassword_file = "missing"\n'
    done = bgpledger("config", "check", "--config", configuration(tmp_path, f"[bgp]\nlocal_as = 1\n[[peers]]\n{peer}"))
    assert done.returncode == 1
    assert f"password_file {tmp_path / 'missing'} cannot be read" in done.stderr


async def test_config_exabgp_prints_what_run_uses_without_passwords(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "password").write_text("s3cret\n")
    file = configuration(
        tmp_path,
        f"""
        [bgp]
        local_as = 65000
        router_id = "10.0.0.2"
        listen = "127.0.0.1:{port}"
        [[peers]]
        address = "127.0.0.2"
        asn = 64500
        passive = true
        password_file = "password"
        """,
    )
    shown = bgpledger("config", "exabgp", "--config", file)
    assert shown.returncode == 0, shown.stderr
    assert "s3cret" not in shown.stdout
    with collecting(tmp_path / "data", "--config", file, port=port) as collector:
        written = tmp_path / "data/exabgp.conf"
        # The store can be queried before ExaBGP is started.
        await until(written.exists, what="exabgp.conf is written")
        used = written.read_text()
        assert used.replace("s3cret", "(not shown)") == shown.stdout

        def examined() -> subprocess.CompletedProcess[str] | None:
            done = bgpledger("doctor", "--config", file)
            return done if f"port {port} is free" not in done.stdout else None

        # The doctor knows the collector that runs, and asks its store.
        done = await until(examined, what="ExaBGP listens")
        assert done.returncode == 0, done.stdout
        assert re.search(
            r"ok       listen: 127\.0\.0\.1 port \d+: the collector that runs \(process \d+\)", done.stdout
        )
        assert "SecantusDB" in done.stdout
        assert "database bgpledger is writable" in done.stdout
        by_itself = bgpledger("doctor", "--data-dir", str(tmp_path / "data")).stdout
        assert found(by_itself, "configuration") == f"ok       configuration: {file}: valid; 1 peers or ranges"
        assert "s3cret" not in collector.log.read_text()


# --- doctor -----------------------------------------------------------------------------------------------------------


def found(stdout: str, check: str) -> str:
    return "\n".join(line for line in stdout.splitlines() if f" {check}: " in line)


def test_doctor_prints_a_line_for_each_check_and_a_cure_for_each_problem(data_dir: Path) -> None:
    done = bgpledger("doctor", "--data-dir", str(data_dir), BGPLEDGER_BGP_LISTEN=f"127.0.0.1:{free_port()}")
    for line in done.stdout.splitlines():
        assert re.match(r"(ok       |warning  .*; cure: |error    .*; cure: )", line), line
    for check in ("python", "exabgp", "configuration", "data directory", "disk", "listen", "pipe", "clock", "store"):
        assert found(done.stdout, check), check
    assert done.returncode == ("error  " in done.stdout)
    assert not data_dir.exists()


def test_a_taken_port_is_reported(data_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        done = bgpledger("doctor", "--data-dir", str(data_dir), BGPLEDGER_BGP_LISTEN=listen)
    assert done.returncode == 1
    assert f"error    listen: cannot listen on {listen}: Address already in use; cure: " in done.stdout


def test_a_mongodb_that_does_not_answer_is_reported(data_dir: Path) -> None:
    uri = f"mongodb://me:s3cret@127.0.0.1:{free_port()}/"
    done = bgpledger("doctor", "--data-dir", str(data_dir), "--mongodb-uri", uri)
    assert done.returncode == 1
    assert "is not usable" in found(done.stdout, "store")
    assert "s3cret" not in done.stdout + done.stderr


def test_a_store_that_answers_is_reported_as_writable(data_dir: Path, mongodb_uri: str, database: str) -> None:
    done = bgpledger(
        "doctor", "--data-dir", str(data_dir), "--mongodb-uri", mongodb_uri, BGPLEDGER_MONGODB_DATABASE=database
    )
    assert f"database {database} is writable" in found(done.stdout, "store")


@pytest.mark.parametrize(("schema", "status", "cure"), [(1, "warning", "db migrate"), (99, "error", "newer bgpledger")])
def test_a_database_of_another_version_is_reported(
    data_dir: Path, embedded_uri: str, schema: int, status: str, cure: str
) -> None:
    database = f"test_doctor_{os.getpid()}_{schema}"
    with MongoClient[Document](embedded_uri) as client:
        client[database]["meta"].insert_one({"_id": "schema", "version": schema})
    done = bgpledger(
        *("doctor", "--data-dir", str(data_dir), "--mongodb-uri", embedded_uri), BGPLEDGER_MONGODB_DATABASE=database
    )
    assert found(done.stdout, "schema").startswith(f"{status} ")
    assert cure in found(done.stdout, "schema")


def test_an_impossible_data_directory_is_reported() -> None:
    done = bgpledger("doctor", "--data-dir", "/proc/nowhere")
    assert done.returncode == 1
    assert "/proc is not writable" in found(done.stdout, "data directory")


def test_other_checks_run_even_if_the_configuration_is_wrong(tmp_path: Path) -> None:
    done = bgpledger("doctor", "--config", configuration(tmp_path, "[bgp]\nhold_time = 1\n"))
    assert done.returncode == 1
    assert "bgp.hold_time 1" in found(done.stdout, "configuration")
    assert found(done.stdout, "exabgp").startswith("ok")


def test_a_port_that_needs_a_privilege_is_reported() -> None:
    """Run as another user, if we are root; Linux may be configured to let everybody use all ports."""
    if os.geteuid():
        pytest.skip("only root can become a user who certainly lacks the privilege")
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 179:
        pytest.skip("this machine gives port 179 to everybody")
    script = (
        # Imported first: the checkout may be closed to others.
        "import os\n"
        "from collector.errors import CollectorError\n"
        "from collector.sources.exabgp.supervisor import check_free\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: check_free('127.0.0.1', 179)\n"
        "except CollectorError as error: print(error.cure)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "CAP_NET_BIND_SERVICE" in done.stdout, done.stderr
