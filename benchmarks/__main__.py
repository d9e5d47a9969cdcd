"""Runs the figures: `make bench`, MRT=file, ROUNDS=n, FIGURES="one another"; `python -m benchmarks` is the same.

The cases that the figures need are run in turn, each once a round, so that whatever slows this machine down for a
while slows all of them down; a ratio is made of values of one round. What was measured goes to docs/benchmarks.json,
where figures that were not asked for stay as they were, and from there to docs/benchmarks.md.
"""

from __future__ import annotations

import os
import sys
import time

from benchmarks import report
from benchmarks.data import Table, find_table
from benchmarks.figures import CASES, FIGURES, Figure
from benchmarks.speakers import record

_ROUNDS = 5


def main() -> None:
    """Run what the environment asks for, and write the report after each round, should a later one fail."""
    table = find_table(os.environ.get("MRT", ""))
    chosen = _chosen(os.environ.get("FIGURES", ""))
    rounds = int(os.environ.get("ROUNDS") or _ROUNDS)
    record(table)
    _say(f"{table.path.name}: {table.updates} UPDATEs, {table.routes} routes; {rounds} rounds")
    done: list[dict[str, dict[str, float]]] = []
    for number in range(rounds):
        done.append(_round(table, chosen, number))
        report.write(table, chosen, done)
    _say(f"written to {report.PAGE}")


def _chosen(names: str) -> dict[str, Figure]:
    wanted = names.replace(",", " ").split() or list(FIGURES)
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        raise SystemExit(f"FIGURES={names}: there is no {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    return {name: FIGURES[name] for name in wanted}


def _round(table: Table, chosen: dict[str, Figure], number: int) -> dict[str, dict[str, float]]:
    needed: dict[str, bool] = {}
    for figure in chosen.values():
        for name in figure.cases:
            needed[name] = needed.get(name, True) and figure.once
    results: dict[str, dict[str, float]] = {}
    # Every second round the other way round: what a case leaves behind is not always met by the same one.
    for name in list(needed)[:: -1 if number % 2 else 1]:
        if (needed[name] and number) or CASES[name].missing():
            continue
        began = time.monotonic()
        results[name] = {**CASES[name].run(table), "load": os.getloadavg()[0]}
        shown = ", ".join(f"{key} {value:.6g}" for key, value in results[name].items())
        _say(f"round {number + 1}, {name}, {time.monotonic() - began:.0f} s: {shown}")
    return results


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
