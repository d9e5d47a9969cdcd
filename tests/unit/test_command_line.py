"""Command lines, run in this process: what needs no store is answered, all else is refused with cause and cure."""

import importlib.metadata
import json
from pathlib import Path

import pytest

from collector.cli import main
from tests.support import ROOT

DEMO = str(ROOT / "collector/data/demo.mrt.gz")
ROWS = ("json", "jsonl", "csv", "psv", "table")
ASKING = ("peers", "status", "verify", "history", "rib", "lookup", "diff", "search", "tail", "top", "doctor")


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit status of a command, its output, and its messages on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed, said = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), printed, said


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that is refused: a cause and a cure."""
    status, printed, said = typed(capsys, *arguments)
    assert (status, printed) == (2, "")
    assert [line.partition(":")[0] for line in said.splitlines()] == ["error", "cure"]
    return said


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(capsys, "--version") == (0, f"bgpledger {importlib.metadata.version('bgpledger')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "--limit", "x"), "invalid value for '--limit': should be a valid integer\n"),
        (("tail", "--limit", "0"), "--limit"),
        (("top", "communities"), "'communities' is not one of 'prefixes'"),
        (("serach",), "no such command 'serach'"),
        (("rib", "--origins", "1"), "no such option: --origins"),
        (("history",), "missing argument"),
        (("rib", "--at"), "--at"),
        (("rib", "--at", ""), "the value of --at is empty"),
        (("rib", "--at="), "the value of --at is empty"),
        (("rib", ""), "an argument is empty"),
        (("search", "-m", "session", "-o", "5"), "nothing can match"),
        (("tail", "-m", "session", "--family", "ipv4"), "nothing can match"),
        (("top", "paths", "-m", "session"), "nothing can match"),
        (("top", "prefixes", "-m", "announce", "--by", "flaps"), "nothing can match"),
        (("history", "10.0.0.0/8", "--family", "ipv6"), "nothing can match"),
        (("rib", "2001:db8::/32", "--family", "l2vpn evpn"), "nothing can match"),
        (("--data-dir", "", "peers"), "the value of --data-dir is empty"),
    ],
)
def test_arguments_that_cannot_be_parsed_are_refused(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("203.0.113.300", "octet 300 is more than 255"),
        ("1.2.3", "it has 3 octets, not 4"),
        ("1.2..3", "an octet is missing"),
        ("010.1.1.1", "octet 010 begins with 0"),
        ("2001:db8::g", "group g is not hexadecimal"),
        ("12345::", "group 12345 is not hexadecimal, of at most 4 digits"),
        ("2001:db8::1::2", ":: stands in it twice"),
        ("1:2:3", "it has 3 groups of 8"),
        ("fe80::1%eth0", "a zone (%) is no part of it"),
        ("10.0.0.0/33", "its length is not 0 to 32"),
        ("2001:db8::/129", "its length is not 0 to 128"),
        ("10.0.0.0/", "its length is not 0 to 32"),
    ],
)
def test_a_wrong_address_is_refused_with_the_reason(text: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("lookup", text), ("history", text), ("search", "--peer", text)):
        assert f"{text!r} is not a" in (said := refused(capsys, *command))
        assert why in said
    if "/" not in text:
        assert why in refused(capsys, "rib", "--next-hop", text)


def test_every_command_that_prints_rows_offers_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (*ASKING, "config check", "spool list", "replay"):
        said = refused(capsys, *command.split(), "--format", "no-such-format")
        for form in ROWS:
            assert f"'{form}'" in said, command


def test_reports_are_printed_in_every_format(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {form: typed(capsys, "replay", DEMO, "--plan", "--format", form)[1].splitlines() for form in ROWS}
    parsed = json.loads("".join(lines["json"]))
    assert [one["asn"] for one in parsed] == [64496, 64497, 65551]
    assert parsed == [json.loads(line) for line in lines["jsonl"]]
    assert lines["csv"][0] == ",".join(parsed[0])
    assert lines["psv"][1].split("|")[:3] == ["192.0.2.1", "64496", "127.0.1.1"]
    assert lines["table"][1].split()[:3] == ["192.0.2.1", "64496", "127.0.1.1"]
    for command in ("config check", "doctor --mongodb-uri mongodb://127.0.0.1:1"):
        here = ("--data-dir", str(data_dir), *command.split())
        found = json.loads(typed(capsys, *here, "--format", "json")[1])
        header = typed(capsys, *here, "--format", "csv")[1].splitlines()[0]
        assert header == ",".join(found[0] if isinstance(found, list) else found)


@pytest.mark.parametrize("group", [(), ("config",), ("spool",), ("db",)])
def test_the_list_of_commands_is_not_cut_off(
    group: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, printed, _ = typed(capsys, *group, "--help")
    assert status == 0
    assert "..." not in printed.partition("Commands:")[2]
    assert max(map(len, printed.splitlines())) <= 80
