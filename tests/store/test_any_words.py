"""Whatever users type, set or write into a configuration results in an answer, or in a message with cause and cure."""

import asyncio
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from collector.cli import main, make_app
from collector.settings.keys import keys, variables
from collector.settings.model import Settings
from collector.store.mongo import Store
from tests.store.test_asking import archive
from tests.support import ROOT, Router

DEMO = str(ROOT / "collector/data/demo.mrt.gz")
HUGE = "9" * 5000
PREFIX = "203.0.113.0/24"
EXAMPLES = int(os.environ.get("FUZZ_WORDS") or 60)
"""Command lines that are made up; `make fuzz` makes up more."""


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the words are taken for files and directories, and made."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.fixture
def asked(mongodb_uri: str, database: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small archive that the commands of this process query; endless commands are not started."""

    async def fill() -> None:
        router = Router("192.0.2.1", 64500, start=round(time.time()) - 3600)
        lines = [*router.up(), router.announce(PREFIX, path=(64500, 64499)), router.withdraw(PREFIX), router.down()]
        async with Store.open(mongodb_uri, database=database) as store:
            await store.prepare()
            await archive(data_dir, store, lines)

    async def at_once(*_arguments: object, **_options: object) -> None:
        return

    def interrupt() -> None:
        raise KeyboardInterrupt

    asyncio.run(fill())
    for name in os.environ:
        if name.startswith("BGPLEDGER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BGPLEDGER_MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("BGPLEDGER_MONGODB_DATABASE", database)
    monkeypatch.setenv("BGPLEDGER_DATA_DIR", str(data_dir))
    for endless in ("collector.daemon.run", "collector.demo.demonstrate", "collector.archive.archiver.Archiver.run"):
        monkeypatch.setattr(endless, at_once)
    monkeypatch.setattr("collector.cli.tail._stop_when_nobody_reads", interrupt)
    umask = os.umask(0o022)
    yield
    os.umask(umask)


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    printed: str
    said: str


def typed(arguments: Sequence[str]) -> Ended:
    with tempfile.TemporaryFile("w+", errors="strict") as out, tempfile.TemporaryFile("w+") as err:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(arguments)
        out.seek(0)
        err.seek(0)
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, out.read(), err.read())


def answered_or_refused(arguments: Sequence[str]) -> Ended:
    ended = typed(arguments)
    assert "Traceback" not in ended.said
    said = [line.partition(":")[0] for line in ended.said.splitlines()]
    if ended.status == 2:
        assert said[-2:] == ["error", "cure"] or ended.said.startswith("Usage:"), ended
    elif ended.status:
        assert ended.status == 1
        assert "error" in said or "doctor" in arguments or "verify" in arguments, ended
    else:
        assert "error" not in said, ended
        forms = [form for form in ("json", "jsonl") if form in arguments]
        if "--help" not in arguments and "--version" not in arguments:
            for line in ended.printed.splitlines() if forms == ["jsonl"] else [ended.printed] if forms else ():
                json.loads(line or "null")
    return ended


# --- what people type -------------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(min_codepoint=1, exclude_categories=()), max_size=12)
NUMBERS = st.sampled_from(["0", "1", "-1", "3.5", "1e9", "٣", "0x10", "1_0", "99999999999999999999", HUGE, "NaN"])
TIMES = st.sampled_from(
    [
        *("now", "1h", "2 hours ago", "yesterday 14:05", "2026-11-25T18:48:12.615Z", "2026-11-25", "14:05", "9" * 9),
        *("0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1969-12-31", "2105-01-01", "1e9"),
        *("99999999999w", "9" * 400 + "d", "0s", "25:00", "2026-02-30", "99999999999.9", "1795415659.1234567", HUGE),
        *("2026-W48-3", "20261125T184812,615Z", "2026-11-25t18:48:12z", "tomorrow", "1h " * 50, "-1h", "٢h"),
    ]
)
ADDRESSES = st.sampled_from(
    [
        *(PREFIX, "203.0.113.7", "203.0.113.300", "10.0.0.0/33", "::/0", "0.0.0.0/0", "::ffff:1.2.3.4/96", "fe80::1%1"),
        *("2001:db8::/129", "1.2.3", "/", "/24", ":", "::1::", "192.0.2.1", "!192.0.2.1", "192.0.2.0/24,!::1", "1/0"),
        *("203.0.113.0/٢٤", "203.0.113.0/" + HUGE, "1.2.3.4/-1", "1.2.3.4/08"),
    ]
)
TEXTS = st.sampled_from(
    [
        *("64500:*", "no-export", "70000:1", "*", "1:2:3:4", "target:1.10:5", HUGE + ":1", "!64500:1", "0xff", "a:b"),
        *(
            "_64500_",
            "(",
            "(?P<a>",
            "[[:alpha:]]",
            "((a*)*)*b",
            "(" * 500,
            "a{1,99999}",
            "\\",
            "\\1",
            "!",
            "(?i)x",
            "\\d+",
        ),
        *("ipv4", "ipv5", "l2vpn evpn", "ipv4/unicast/", "announce", "!announce,!withdraw,!session", "session", ","),
        *("64500", "AS64500", "1.10", "65536.1", "4294967296", "AS", "!1,!2", "1,!2", "-5", "64500.", ".5"),
    ]
)
VALUES = st.one_of(WORDS, NUMBERS, TIMES, ADDRESSES, TEXTS)

COMMANDS = (
    *("history", "rib", "lookup", "diff", "search", "tail", "top", "peers", "status", "verify", "doctor", "replay"),
    *("config check", "config exabgp", "spool list", "spool replay", "db migrate", "db rebuild-rib"),
    *("run", "receive", "archive", "demo"),
)


def options_of(command: str) -> list[str]:
    """The long names of a command's options that take a value, except URIs, which could name another machine."""
    found: Any = get_command(make_app())
    for word in command.split():
        found = found.commands[word]
    named = [max(one.opts, key=len) for one in found.params if not getattr(one, "is_flag", True)]
    return [option for option in named if option != "--mongodb-uri"]


MEANT = {
    "--format": st.sampled_from(["table", "json", "jsonl", "csv", "psv", "bgpdump", "bgpreader", "prometheus"]),
    "--by": st.sampled_from(["announcements", "withdrawals", "flaps", "path-changes"]),
    "--to": st.sampled_from(["127.0.0.1:1", "[::1]:1", "127.0.0.1:" + HUGE, "::1", "x:y", "127.0.0.1:0"]),
    "--source": st.sampled_from(["127.0.1.1", "127.255.255.255", "::1", "x", "256.0.0.1"]),
    "--speed": st.sampled_from(["max", "real", "x60", "x1e-320", "xnan", "x0", "x" + HUGE, "60"]),
    "--config": st.sampled_from([str(ROOT / "conf/collector.toml"), "/", "/dev/null", "/proc/self/mem", "x\udcff"]),
    "--mongodb-uri-file": st.sampled_from([DEMO, "/", "/dev/null", str(ROOT / "README.md"), "x\udcff"]),
    "--data-dir": st.sampled_from(["/dev/null", "/proc/x", "y" * 300, "x\udcff/é"]),
    "--listen": st.sampled_from(["127.0.0.1:1790", "[::1]:1", "*:1", "127.0.0.1:0", "127.0.0.1:" + HUGE]),
    "--peer": st.sampled_from(
        ["192.0.2.1,64500", "192.0.2.1", "x,y", "192.0.2.1,1.10", "192.0.2.1," + HUGE, ",", "192.0.2.0/24", "1.2.3.300"]
    ),
}
BY_KIND: dict[str, st.SearchStrategy[str]] = {
    **dict.fromkeys(("--limit", "--instance", "--med", "--local-pref"), NUMBERS),
    **dict.fromkeys(("--start-ts", "--end-ts", "--duration", "--start", "--end", "--at", "--from"), TIMES),
    "--next-hop": ADDRESSES,
    **dict.fromkeys(("--peer-asn", "--origin", "--as-path", "--community", "--family", "--elem"), TEXTS),
    **dict.fromkeys(("--peer-as", "--local-as"), TEXTS),
}
NOWHERE_ELSE = ("--to", "--config", "--data-dir", "--mongodb-uri-file")
"""What is unbounded, or goes to another machine, is not meant."""
ARGUMENTS: dict[str, Sequence[st.SearchStrategy[str]]] = {
    "history": [ADDRESSES],
    "lookup": [ADDRESSES],
    "diff": [TIMES, TIMES],
    "top": [st.sampled_from(["prefixes", "origins", "peers", "paths", "x"])],
    "replay": [st.sampled_from([DEMO, "/dev/null", "/", "x\udcff", str(ROOT / "README.md")])],
}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command line with existing options, and values of their type or of another."""
    command = draw(st.sampled_from(COMMANDS))
    line = command.split()
    for option in draw(st.lists(st.sampled_from(options_of(command)), max_size=3, unique=True)):
        meant = {**BY_KIND, **MEANT}.get(option, VALUES)
        any_value = meant if option in NOWHERE_ELSE else VALUES
        line += [option, draw(st.one_of(meant, meant, meant, any_value))]
    line += [draw(one) for one in ARGUMENTS.get(command, ())]
    if command in ("rib", "diff") and draw(st.booleans()):
        line.append(draw(ADDRESSES))
    if command == "search" and draw(st.booleans()):
        line.append("--all")
    return line


@settings(
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@given(command_lines())
@example(["history", PREFIX, "--limit", "99999999999999999999"])
@example(["rib", "--at", "0001-01-01T00:00:00+14:00"])
@example(["tail", "--from", "1h", "--limit", HUGE])
@example(["tail", "--format", "json"])
@example(["config", "check", "--data-dir", "x\udcff"])
@example(["status", "--data-dir", "x\udcff", "--format", "json"])
@example(["spool", "list", "--data-dir", "y" * 300])
@example(["doctor", "--data-dir", "y" * 5000])
@example(["search", "--limit", "1", "-d", "9999999w"])
@example(["top", "prefixes", "--limit", HUGE[:400], "-t", "1970-01-01"])
def test_any_command_line_is_answered_or_refused(asked: None, arguments: list[str]) -> None:
    answered_or_refused(arguments)


@settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.sampled_from([*COMMANDS, "--help", "--version", "-", "--", "-x"]), VALUES), max_size=4))
def test_any_words_at_all(asked: None, words: list[str]) -> None:
    if not {"replay", "demo"} & set(words):  # these would go where the words say
        answered_or_refused(words)


# --- what people write into the configuration, and into the environment ----------------------------------------------

SCALARS: st.SearchStrategy[Any] = st.one_of(
    VALUES.filter(lambda text: not re.search(r"[\ud800-\udfff]", text)),
    st.sampled_from(["a\0b", "\x1b[2J", "é" * 300, "/", "~nobody-here/x", ""]),
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**400]),
    st.floats(),
    st.booleans(),
)
NESTED = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2))
KEYS = [key for key in keys(Settings) if key[0] != "peers"]
PEER_KEYS = [key[1] for key in keys(Settings) if key[0] == "peers"]


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml(one)}' for key, one in value.items())}}}"
    return repr(value)


@settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from(KEYS), NESTED, max_size=3),
    st.lists(st.dictionaries(st.sampled_from(PEER_KEYS), NESTED, max_size=3), max_size=2),
    st.sampled_from(["check", "exabgp"]),
)
@example({("data_dir",): "~nobody-here/x"}, [], "check")
@example({}, [{"password_file": "~nobody-here/x"}], "exabgp")
@example({("data_dir",): "a\0b", ("mongodb", "uri_file"): "a\0b"}, [], "check")
def test_any_configuration_is_used_or_refused(
    tmp_path: Path, values: dict[tuple[str, ...], Any], peers: list[dict[str, Any]], command: str
) -> None:
    lines = [f"{'.'.join(key)} = {toml(value)}" for key, value in values.items()]
    for peer in peers:
        lines += ["[[peers]]", *(f"{key} = {toml(value)}" for key, value in peer.items())]
    file = tmp_path / "collector.toml"
    file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    assert answered_or_refused(["config", command, "--config", str(file)]).status in (0, 1)


@pytest.mark.parametrize("text", [f"a = {HUGE}", "a = " + "[" * 5000, "a = 1e400", "\0", "[peers]\n[[peers]]"])
def test_any_file_is_read_or_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "collector.toml"
    file.write_text(text)
    assert str(file) in answered_or_refused(["config", "check", "--config", str(file)]).said


@settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(sorted(variables(Settings))), VALUES.filter(lambda text: "\0" not in text), max_size=3
    )
)
def test_any_environment_is_used_or_refused(environment: dict[str, str]) -> None:
    with patch.dict(os.environ, environment):
        answered_or_refused(["config", "check", "--format", "json"])
