"""What a figure is, and all that can be run for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks import (
    announcing,
    asking,
    commands,
    decoding,
    earlier,
    earlier_asking,
    importing,
    latency,
    over_http,
    reading,
    rivals,
    sizes,
    whole_table,
)
from benchmarks.data import Table

Values = Mapping[str, float]
"""What one run has measured, by name."""

Round = Mapping[str, Values]
"""What all the cases of a figure have measured in one round, by case."""


@dataclass(frozen=True)
class Case:
    """Something that is run and measured.

    Attributes:
        run: measures it once.
        missing: why it cannot be run on this machine, if so.
    """

    run: Callable[[Table], dict[str, float]]
    missing: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Figure:
    """One line of the table in docs/benchmarks.md.

    Attributes:
        title: what it is.
        cases: what is run for it, interleaved.
        value: the figure of one round.
        unit: what it is counted in; `x` is a ratio.
        better: which way is better.
        beside: what it is compared to in the same run; empty where it stands alone.
        goal: what it has to reach; None where it only informs.
        once: one round is enough: it takes minutes, or never differs.
    """

    title: str
    cases: tuple[str, ...]
    value: Callable[[Round], float]
    unit: str = "x"
    better: Literal["less", "more"] = "less"
    beside: str = ""
    goal: float | None = None
    once: bool = False

    def reached(self, value: float) -> bool | None:
        """Whether a value is as good as the goal; None without one."""
        if self.goal is None:
            return None
        return value <= self.goal if self.better == "less" else value >= self.goal


CASES: dict[str, Case] = {
    "collector": Case(whole_table.collector),
    "exabgp": Case(whole_table.exabgp),
    "collector-pypy": Case(whole_table.collector_pypy, whole_table.missing_pypy),
    "exabgp-pypy": Case(whole_table.exabgp_pypy, whole_table.missing_pypy),
    "two-peers": Case(whole_table.two_peers),
    "two-processes": Case(whole_table.two_processes),
    "store": Case(whole_table.store),
    "decode": Case(decoding.decode_and_encode),
    "reading": Case(reading.compare, reading.missing),
    "import": Case(importing.from_file),
    "import-store": Case(importing.from_memory),
    "pmbgpd-log": Case(rivals.pmbgpd_log, rivals.missing_pmbgpd),
    "earlier": Case(earlier.compare, earlier.missing),
    "earlier-asking": Case(earlier_asking.compare, earlier.missing),
    "help": Case(commands.show_help),
    "twenty-tables": Case(whole_table.twenty_tables),
    "script": Case(rivals.simplest_script),
    "findable-script": Case(rivals.findable_script),
    "pmbgpd": Case(rivals.pmbgpd, rivals.missing_pmbgpd),
    "sizes": Case(sizes.measure),
    "asking": Case(asking.measure),
    "near-store": Case(latency.near),
    "far-store": Case(latency.far),
    "http-commands": Case(over_http.commands),
    "http-quiet": Case(over_http.quiet),
    "http-asked": Case(over_http.asked),
    "http-at-rest": Case(over_http.at_rest),
    "orders": Case(announcing.orders),
    "announcing-quiet": Case(announcing.quiet),
    "announcing-ordered": Case(announcing.ordered),
}
