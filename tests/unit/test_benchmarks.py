"""The parts of `make bench` that can be wrong without anybody noticing."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import report
from benchmarks.data import Table
from benchmarks.figure import CASES, Case
from benchmarks.figures import FIGURES
from benchmarks.generated import write_table
from collector.bgp import messages as bgp
from collector.bgp import mrt
from collector.bgp.mrt_messages import MrtMessage
from collector.replay.player import plan
from tests.support import Router

ROUTES = 50_000


def test_a_generated_table_is_one_session_with_the_given_number_of_routes(tmp_path: Path) -> None:
    path = tmp_path / "table.mrt.gz"
    write_table(path, ROUTES)
    (peer,) = plan(path)
    assert len(peer.sessions) == 1
    updates = [record for record in mrt.read(path) if isinstance(record, MrtMessage)]
    assert peer.updates == len(updates)
    assert sum(len(set(_prefixes(update.data))) for update in updates) == ROUTES
    assert max(len(update.data) for update in updates) <= bgp.MAXIMUM_LENGTH


def _prefixes(data: bytes) -> list[bytes]:
    attributes = int.from_bytes(data[21:23])
    rest = data[23 + attributes :]
    found = []
    while rest:
        size = 1 + (rest[0] + 7) // 8
        found.append(rest[:size])
        rest = rest[size:]
    return found


def test_the_routes_of_a_table_are_counted_from_its_lines(tmp_path: Path) -> None:
    table, router = Table(tmp_path / "some.mrt"), Router()
    lines = [*router.up(), router.announce("10.0.0.0/8", "10.1.0.0/16"), router.withdraw("10.1.0.0/16")]
    vars(table)["lines"] = lines
    assert (table.updates, table.routes) == (2, 3)
    assert [document["v"] for document in table.documents()] == [2, 2]


def test_every_figure_has_its_cases() -> None:
    assert {case for figure in FIGURES.values() for case in figure.cases} == set(CASES)


def test_help_lists_the_figures_and_measures_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "find_table", _refuse)
    with pytest.raises(SystemExit, match=r"^0$"):
        benchmarks.main(["--help"])
    shown = capsys.readouterr().out.split()
    assert {*FIGURES, "FIGURES", "ROUNDS", "MRT", "STORE", "TABLES", "MONGODB_URI"} <= set(shown)


@pytest.mark.parametrize("argument", ["decode", "--rounds=3", "--he"])
def test_an_unknown_argument_is_refused(
    argument: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "find_table", _refuse)
    with pytest.raises(SystemExit, match=r"^2$"):
        benchmarks.main([argument])
    assert f"unrecognized arguments: {argument}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "number"),
    [*((name, wrong) for name in ("ROUNDS", "TABLES") for wrong in ("0", "-1", "1.5", "many")), ("TABLES", "1")],
)
def test_a_wrong_number_is_refused(name: str, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One table has nothing to be compared with."""
    monkeypatch.setattr(benchmarks, "find_table", _refuse)
    monkeypatch.setenv(name, number)
    with pytest.raises(SystemExit, match=f"{name}={number}: it is not a number above"):
        benchmarks.main([])


def _refuse(mrt: str) -> Table:
    raise AssertionError(f"it measures, with {mrt!r}")


def test_a_figure_that_cannot_be_measured_here_is_named_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CASES, "earlier", Case(CASES["earlier"].run, lambda: "no version 0.1 here"))
    for name in ("find_table", "record", "report"):
        monkeypatch.setattr(benchmarks, name, MagicMock())
    monkeypatch.setenv("FIGURES", "decode-ratio")
    with pytest.raises(SystemExit, match="nothing was measured"):
        benchmarks.main([])
    assert "decode-ratio cannot be measured here: no version 0.1 here" in capsys.readouterr().err


def test_the_page_keeps_figures_that_were_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAGE", "_SAMPLES", "_RATES", "_SHARES"):
        monkeypatch.setattr(report, name, tmp_path / name)
    mrt_file = tmp_path / "table.mrt"
    table: Table = SimpleNamespace(path=mrt_file, updates=1, routes=2)  # type: ignore[assignment]
    report.write(table, {"help": FIGURES["help"]}, [{"help": {"seconds": 0.1}}, {"help": {"seconds": 0.3}}])
    parts = {"receive_cpu": 1.0, "exabgp_cpu": 50.0, "store_cpu": 9.0, "archiver_cpu": 2.0}
    run = {"seconds": 2.0, "routes": 10.0, **parts}
    report.write(table, {"receive": FIGURES["receive"]}, [{"collector": run}])
    page = (tmp_path / "PAGE").read_text()
    assert "| <= 150 ms | **200** ms | 100 to 300 | 2 | **no** |" in page
    assert "| <= 3 % | **2** % |  | 1 | yes |" in page
    monkeypatch.setitem(CASES, "help", Case(CASES["help"].run, lambda: "no help here"))
    report.write(table, {"help": FIGURES["help"]}, [{}])
    assert "| **200** ms |" in (tmp_path / "PAGE").read_text()
