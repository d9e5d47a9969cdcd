"""Runs the figures: `make bench` with MRT, ROUNDS, FIGURES, TABLES, STORE; or `python -m benchmarks` with the same.

The cases that the figures need are run in turn, each once a round, so that whatever slows this machine down for a
while slows all of them down; a ratio is made of values of one round. What was measured goes to docs/benchmarks.json,
where figures that were not asked for stay as they were, and from there to docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence

from benchmarks import amounts, report
from benchmarks.data import Table, find_table
from benchmarks.figure import CASES, Figure
from benchmarks.figures import FIGURES
from benchmarks.speakers import record

_ABOUT = f"""\
Measure the figures of docs/benchmarks.md, and write them to it; figures that are not measured stay as they are.

Environment variables say what is measured:

  FIGURES      which figures, by name, such as FIGURES="decode receive"; without it, all of them, which takes hours
  ROUNDS       how often each is measured; without it, {amounts.ROUNDS} times
  MRT          the MRT file with the table; without it, the one in ../shared/data, or a generated one
  STORE        the program of the embedded store, such as secantusd-rs; without it, the one that pip installs
  TABLES       how many tables memory-twenty, memory-growth and query take; without it, {amounts.TABLES}
  MONGODB_URI  the store of the figures latency and latency-cost; without it, an embedded one

`make bench` passes the first five on: make bench FIGURES=decode ROUNDS=3
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the environment asks for, and write the report after each case, should a later one fail.

    Args:
        arguments: those of the command; None: of this process.

    Raises:
        SystemExit: the help was asked for, or something that does not exist.
    """
    _parser().parse_args(arguments)
    chosen = _chosen(os.environ.get("FIGURES", ""))
    rounds = amounts.rounds()
    amounts.tables()  # a wrong one is refused now, and not when its case comes, hours later
    table = find_table(os.environ.get("MRT", ""))
    record(table)
    _say(f"{table.path.name}: {table.updates} UPDATEs, {table.routes} routes; {rounds} rounds")
    for name, reason in _missing(chosen):
        _say(f"{name} cannot be measured here: {reason}")
    done: list[dict[str, dict[str, float]]] = []
    for number in range(rounds):
        done.append({})
        for name in _order(chosen, number):
            done[-1][name] = _measure(table, name, f"round {number + 1}")
            report.write(table, chosen, done)
    _say(f"written to {report.PAGE}")
    if not any(done):
        raise SystemExit("nothing was measured")


def _parser() -> argparse.ArgumentParser:
    names = textwrap.fill(" ".join(FIGURES), 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_ABOUT,
        epilog=f"figures:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _chosen(names: str) -> dict[str, Figure]:
    wanted = names.replace(",", " ").split() or list(FIGURES)
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        raise SystemExit(f"FIGURES={names}: there is no {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    return {name: FIGURES[name] for name in wanted}


def _missing(chosen: dict[str, Figure]) -> Iterator[tuple[str, str]]:
    """The figures that cannot be measured here, each with its reason."""
    for name, figure in chosen.items():
        reasons = (CASES[case].missing() for case in figure.cases)
        if reason := next(filter(None, reasons), None):
            yield name, reason


def _order(chosen: dict[str, Figure], number: int) -> list[str]:
    """The cases of a round that can be run here; what is run once comes last in the first one."""
    once: dict[str, bool] = {}
    for figure in chosen.values():
        for name in figure.cases:
            once[name] = once.get(name, True) and figure.once
    possible = [name for name in once if CASES[name].missing() is None]
    again = [name for name in possible if not once[name]]
    if number == 0:
        return again + [name for name in possible if once[name]]
    # Every second round the other way round: what a case leaves behind is not always met by the same one.
    return again[:: -1 if number % 2 else 1]


def _measure(table: Table, name: str, when: str) -> dict[str, float]:
    began = time.monotonic()
    values = {**CASES[name].run(table), "load": os.getloadavg()[0]}
    shown = ", ".join(f"{key} {value:.6g}" for key, value in values.items())
    _say(f"{when}, {name}, {time.monotonic() - began:.0f} s: {shown}")
    return values


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
