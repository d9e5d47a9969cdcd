"""Secrets are neither in the environment or command line of what the collector starts, nor in its log."""

import re
import signal
from contextlib import suppress
from pathlib import Path

from tests.running import Collector, bgpledger, collecting
from tests.support import until

PEER = '[[peers]]\naddress = "127.0.0.{0}"\nasn = 6450{0}\npassive = true\npassword_env = "ROUTER_{0}"\n'


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def read_of_processes(collector: Collector, place: str) -> dict[str, str]:
    """The `environ`, `cmdline` or `limits` of each process of a collector, by its command."""
    found = {}
    for pid in descendants(collector.process.pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            found[Path(f"/proc/{pid}/cmdline").read_text()] = Path(f"/proc/{pid}/{place}").read_text()
    return found


async def test_the_embedded_store_can_be_opened_by_the_uri_in_the_log(data_dir: Path) -> None:
    with collecting(data_dir) as collector:
        await collector.until_up()
        password = (data_dir / "store.password").read_text()
        found = re.search(r"mongodb://\S+", collector.log.read_text())
        assert found
        uri = found[0].rstrip(",")
        done = bgpledger("peers", BGPLEDGER_MONGODB_URI=uri, HOME="/nonexistent")
        assert done.returncode == 0, done.stderr
        assert collector.status()["mongodb_uri"] == uri
        assert password not in (data_dir / "run.json").read_text() + collector.log.read_text()
        for command, variables in read_of_processes(collector, "environ").items():
            assert password not in command
            assert ("\0archive\0" in command) == (password in variables), command


async def test_child_processes_get_no_secret(data_dir: Path, tmp_path: Path, embedded_uri: str) -> None:
    (tmp_path / "uri").write_text(embedded_uri)
    config = tmp_path / "collector.toml"
    config.write_text(PEER.format(2))
    with collecting(
        data_dir,
        "--config",
        str(config),
        ROUTER_2="s3cret-2",
        ROUTER_3="s3cret-3",  # the password of a peer that a reload will add
        BGPLEDGER_MONGODB_URI_FILE=str(tmp_path / "uri"),
        BGPLEDGER_MONGODB_DATABASE="secrets",
        SOMEBODYS_TOKEN="s3cret-4",
    ) as collector:
        await collector.until_up()

        def receiving() -> bool:
            return any("\0receive\0" in command for command in read_of_processes(collector, "cmdline"))

        await until(receiving, what="ExaBGP started its receiver")
        config.write_text(PEER.format(2) + PEER.format(3))
        collector.process.send_signal(signal.SIGHUP)
        await until(lambda: "s3cret-3" in (data_dir / "exabgp.conf").read_text(), what="the second peer's password")
        environ = read_of_processes(collector, "environ")
        spoken_to = {part for part in ("receive", "server") for command in environ if f"\0{part}\0" in command}
        assert spoken_to == {"receive", "server"}
        for command, variables in environ.items():
            assert "s3cret" not in command
            assert embedded_uri not in command
            if "\0archive\0" not in command:  # which needs the URI
                assert "s3cret" not in variables, command
                assert embedded_uri not in variables, command
        for limits in read_of_processes(collector, "limits").values():
            assert re.search(r"Max core file size +0 ", limits)
        assert "s3cret" not in collector.log.read_text()
        assert (data_dir / "exabgp.conf").stat().st_mode & 0o777 == 0o600
