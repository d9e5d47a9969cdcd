"""Figures of announcing: from an order to the wire, and what orders cost the archive."""

from __future__ import annotations

from benchmarks.figure import Figure

FIGURES: dict[str, Figure] = {
    "order-to-wire": Figure(
        "an order to announce a prefix, until its UPDATE is at the peer, 95th percentile",
        ("orders",),
        lambda one: 1000 * one["orders"]["p95"],
        "ms",
        goal=50,
    ),
    "announce-10000": Figure(
        "10,000 prefixes in one order, until all are at the peer",
        ("orders",),
        lambda one: one["orders"]["announced"],
        "s",
    ),
    "withdraw-10000": Figure(
        "the withdrawal of these in one order, until all have gone from the peer",
        ("orders",),
        lambda one: one["orders"]["withdrawn"],
        "s",
    ),
    "announcing-load": Figure(
        "the archive's rate while a table comes in and there are ten orders a second, over its rate without orders",
        ("announcing-ordered", "announcing-quiet"),
        lambda one: one["announcing-quiet"]["seconds"] / one["announcing-ordered"]["seconds"],
        better="more",
        beside="no orders",
        goal=0.95,
    ),
}
