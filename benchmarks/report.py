"""docs/benchmarks.md: one table of all figures, and the pictures; made of docs/benchmarks.json."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from statistics import median

from benchmarks.collecting import PARTS
from benchmarks.data import ROOT, Table
from benchmarks.figure import CASES, Figure
from benchmarks.figures import FIGURES
from benchmarks.plot import bars
from benchmarks.stores import STORE
from schemas.json_object import JsonObject

PAGE = ROOT / "docs" / "benchmarks.md"
_SAMPLES = ROOT / "docs" / "benchmarks.json"
_RATES = ROOT / "docs" / "benchmarks-rates.svg"
_SHARES = ROOT / "docs" / "benchmarks-cpu.svg"
_WORDS = Path(__file__).with_name("page.md")
_FIGURES, _FAST = "figures", "figures of secantusd-rs"
_PROGRAMS = {
    "PyPy": ("pypy3", "-c", "import sys; print('%d.%d.%d' % sys.pypy_version_info[:3])"),
    "pmbgpd": ("pmbgpd", "-V"),
}


def write(table: Table, chosen: Mapping[str, Figure], rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    """Add what was measured to what is known, and write the page anew."""
    known: JsonObject = json.loads(_SAMPLES.read_text()) if _SAMPLES.exists() else {}
    of_pip, of_fast = (known.setdefault(name, {}) for name in (_FIGURES, _FAST))
    figures = of_fast if STORE else of_pip
    circumstances = _circumstances(table)
    for name, figure in chosen.items():
        complete = [one for one in rounds if all(case in one for case in figure.cases)]
        missing = next((reason for case in figure.cases if (reason := CASES[case].missing())), None)
        if complete or (missing and name not in figures):
            figures[name] = {
                "values": [figure.value(one) for one in complete],
                "missing": missing,
                "samples": [{case: one[case] for case in figure.cases} for one in complete],
                "when": circumstances,
            }
    _SAMPLES.write_text(json.dumps(known, indent=1) + "\n")
    _RATES.write_text(bars("Routes a second, median", _rates(of_pip)))
    _SHARES.write_text(bars("CPU seconds for one table, median", _shares(of_pip)))
    words = _WORDS.read_text()
    tables = {"table": _table(known, _FIGURES), "table-fast": _table(known, _FAST)}
    for mark, text in {**tables, "circumstances": _described(known)}.items():
        words = words.replace(f"<!-- {mark} -->", text)
    PAGE.write_text(words)


# --- circumstances --------------------------------------------------------------------------------------------------


def _circumstances(table: Table) -> JsonObject:
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "table": f"{table.path.name}: {table.updates} UPDATEs, {table.routes} routes",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()} GB, Linux {platform.release()}",
        "load": round(os.getloadavg()[2], 1),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    packages = ("bgpledger", "exabgp", "pydantic", "pymongo", "secantusdb")
    found = {name: importlib.metadata.version(name) for name in packages}
    if STORE:
        del found["secantusdb"]
        found["store"] = _output(STORE, "--version").partition("\n")[0]
    found["Python"] = platform.python_version()
    for name, command in _PROGRAMS.items():
        if output := _output(*command):
            found[name] = output.splitlines()[0]
    return found


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


# --- the page -------------------------------------------------------------------------------------------------------


def _table(known: JsonObject, which: str) -> str:
    rows = [
        "| figure | beside | goal | median | spread | rounds | reached | measured | command |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, figure in FIGURES.items():
        found = known[which].get(name)
        if found is not None:
            rows.append(_row(name, figure, found, " STORE=secantusd-rs" if which == _FAST else ""))
    return "\n".join(rows)


def _row(name: str, figure: Figure, found: JsonObject, arguments: str) -> str:
    sign = "<=" if figure.better == "less" else ">="
    goal = "" if figure.goal is None else f"{sign} {_number(figure.goal)} {figure.unit}"
    command = f"`make bench FIGURES={name}{arguments}`"
    values, when = found["values"], found["when"]
    if not values:
        return f"| {figure.title} | {figure.beside} | {goal} | {found['missing']} | | | | | {command} |"
    middle = median(values)
    reached = {True: "yes", False: "**no**", None: ""}[figure.reached(middle)]
    spread = f"{_number(min(values))} to {_number(max(values))}" if len(values) > 1 else ""
    return (
        f"| {figure.title} | {figure.beside} | {goal} | **{_number(middle)}** {figure.unit} | {spread} |"
        f" {len(values)} | {reached} | {when['date'][:10]}, {when['commit']}, load {when['load']} | {command} |"
    )


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _described(known: JsonObject) -> str:
    """Each set of circumstances, with the days of the figures that were measured under it."""
    groups: dict[str, set[str]] = {}
    for found in [*known[_FIGURES].values(), *known[_FAST].values()]:
        when = found["when"]
        versions = ", ".join(f"{program} {version}" for program, version in when["versions"].items())
        text = f"{when['table']}. {when['machine']}. {versions}."
        groups.setdefault(text, set()).add(when["date"][:10])
    return "\n".join(f"- {', '.join(sorted(days))}: {text}" for text, days in groups.items())


# --- the pictures ---------------------------------------------------------------------------------------------------


def _median(figures: JsonObject, case: str, value: Callable[[Mapping[str, float]], float]) -> float | None:
    """Of a case's last samples, under whichever figure they are."""
    samples = [found["samples"] for found in figures.values() if any(case in one for one in found["samples"])]
    return median(value(one[case]) for one in samples[0]) if samples else None


def _rates(figures: JsonObject) -> list[tuple[str, float, str]]:
    cases = {
        "ExaBGP alone, to /dev/null": "exabgp",
        "the store alone, from memory": "store",
        "the collector, to queryable": "collector",
        "pmbgpd and insert_many, to queryable": "pmbgpd",
        "a script with insert_one": "script",
        "the same, durable, to be found by prefix": "findable-script",
    }
    rates = {label: _median(figures, case, lambda one: one["routes"] / one["seconds"]) for label, case in cases.items()}
    return [(label, rate, _number(rate)) for label, rate in rates.items() if rate is not None]


def _shares(figures: JsonObject) -> list[tuple[str, float, str]]:
    parts = {part: _median(figures, "collector", itemgetter(f"{part}_cpu")) for part in PARTS}
    return [(part, seconds, f"{seconds:.1f} s") for part, seconds in parts.items() if seconds is not None]
