"""Figures of collecting: from the wire to the store, reading files, memory, start times, and space on disk."""

from __future__ import annotations

from benchmarks.figure import Figure, Round, Values


def _slower_end(one: Round) -> float:
    return max(one["exabgp"]["seconds"], one["store"]["seconds"])


def _rate(measured: Values) -> float:
    return measured["lines"] / measured["seconds"]


FIGURES: dict[str, Figure] = {
    "end-to-end": Figure(
        "whole table, from sending the first UPDATE until the last one can be queried, over the slower end alone",
        ("collector", "exabgp", "store"),
        lambda one: one["collector"]["seconds"] / _slower_end(one),
        goal=1.10,
        beside="ExaBGP alone, the store alone",
    ),
    "latency": Figure(
        "lines a second that the archiver stores 30 ms away (each way), over ExaBGP's own rate",
        ("far-store", "exabgp"),
        lambda one: _rate(one["far-store"]) * one["exabgp"]["seconds"] / one["exabgp"]["updates"],
        better="more",
        goal=1.0,
        beside="ExaBGP alone",
    ),
    "latency-cost": Figure(
        "the same, over what it stores without the 30 ms",
        ("far-store", "near-store"),
        lambda one: _rate(one["far-store"]) / _rate(one["near-store"]),
        better="more",
        beside="a store without delay",
    ),
    "routes": Figure(
        "the same, routes a second",
        ("collector",),
        lambda one: one["collector"]["routes"] / one["collector"]["seconds"],
        "routes/s",
        "more",
    ),
    "pypy": Figure(
        "the same rate with ExaBGP under PyPy, over the one with CPython",
        ("collector", "collector-pypy"),
        lambda one: one["collector"]["seconds"] / one["collector-pypy"]["seconds"],
        better="more",
        beside="CPython",
    ),
    "routes-pypy": Figure(
        "routes a second with ExaBGP under PyPy",
        ("collector-pypy",),
        lambda one: one["collector-pypy"]["routes"] / one["collector-pypy"]["seconds"],
        "routes/s",
        "more",
    ),
    "pypy-spool": Figure(
        "how fast ExaBGP gets rid of the table into the spool under PyPy, over CPython, while the store works",
        ("collector", "collector-pypy"),
        lambda one: one["collector"]["wire_seconds"] / one["collector-pypy"]["wire_seconds"],
        better="more",
        beside="CPython",
    ),
    "pypy-alone": Figure(
        "ExaBGP alone, to /dev/null, under PyPy over CPython",
        ("exabgp", "exabgp-pypy"),
        lambda one: one["exabgp"]["seconds"] / one["exabgp-pypy"]["seconds"],
        better="more",
        beside="CPython",
    ),
    "processes": Figure(
        "two peers' tables at once into the spools: two ExaBGP processes over one, while the store works",
        ("two-peers", "two-processes"),
        lambda one: one["two-peers"]["wire_seconds"] / one["two-processes"]["wire_seconds"],
        better="more",
        beside="one process",
    ),
    "processes-whole": Figure(
        "the same, to the last UPDATE queryable",
        ("two-peers", "two-processes"),
        lambda one: one["two-peers"]["seconds"] / one["two-processes"]["seconds"],
        better="more",
        beside="one process",
    ),
    "cpu-store": Figure(
        "CPU of the store for the whole table, over the same documents from memory",
        ("collector", "store"),
        lambda one: one["collector"]["store_cpu"] / one["store"]["cpu"],
        goal=1.10,
        beside="the store alone",
    ),
    "cpu-exabgp": Figure(
        "CPU of ExaBGP for the whole table, over ExaBGP alone",
        ("collector", "exabgp"),
        lambda one: one["collector"]["exabgp_cpu"] / one["exabgp"]["cpu"],
        goal=1.10,
        beside="ExaBGP alone",
    ),
    "cpu-ours": Figure(
        "CPU of receive and archiver, over that of ExaBGP and the store",
        ("collector",),
        lambda one: (
            100
            * (one["collector"]["receive_cpu"] + one["collector"]["archiver_cpu"])
            / (one["collector"]["exabgp_cpu"] + one["collector"]["store_cpu"])
        ),
        "%",
        beside="ExaBGP and the store",
    ),
    "store-cpu-rate": Figure(
        "routes in a CPU second of the store, from memory",
        ("store",),
        lambda one: one["store"]["routes"] / one["store"]["cpu"],
        "routes/s",
        "more",
    ),
    "decode": Figure(
        "decode, document and BSON of the table's lines, one core, no store",
        ("decode",),
        lambda one: one["decode"]["updates"] / one["decode"]["cpu"],
        "UPDATE/s",
        "more",
    ),
    "bytes": Figure(
        "an MRT file's UPDATEs, from bytes to BSON, one core, no store",
        ("reading",),
        lambda one: one["reading"]["updates"] / one["reading"]["ours"],
        "UPDATE/s",
        "more",
        goal=25_000,
    ),
    "bytes-bgpkit": Figure(
        "the same over bgpkit-parser 0.6.2 (Rust), to its elements in Python",
        ("reading",),
        lambda one: one["reading"]["bgpkit"] / one["reading"]["ours"],
        better="more",
        beside="bgpkit-parser",
    ),
    "bytes-mrtparse": Figure(
        "the same over mrtparse 2.2.0, to its records",
        ("reading",),
        lambda one: one["reading"]["mrtparse"] / one["reading"]["ours"],
        better="more",
        beside="mrtparse",
    ),
    "import": Figure(
        "`bgpledger import` of an MRT file: its rate over that of the store alone with the same documents",
        ("import", "import-store"),
        lambda one: one["import-store"]["seconds"] / one["import"]["seconds"],
        better="more",
        goal=0.8,
        beside="the store alone",
    ),
    "import-wall": Figure(
        "the same for the whole command, which stores the tables of the file's sessions as well",
        ("import", "import-store"),
        lambda one: one["import-store"]["seconds"] / one["import"]["wall"],
        better="more",
        beside="the store alone",
    ),
    "import-bgpkit": Figure(
        "seconds of that import, over those that bgpkit-parser takes to read the file",
        ("import", "reading"),
        lambda one: one["import"]["seconds"] / one["reading"]["bgpkit"],
        beside="bgpkit-parser",
    ),
    "import-pmbgpd": Figure(
        "seconds of that import, over those that pmbgpd takes to log the file that a peer plays",
        ("import", "pmbgpd-log"),
        lambda one: one["import"]["seconds"] / one["pmbgpd-log"]["seconds"],
        beside="pmbgpd",
    ),
    "decode-ratio": Figure(
        "the same over version 0.1, both in turns",
        ("earlier",),
        lambda one: one["earlier"]["before"] / one["earlier"]["now"],
        better="more",
        goal=2.2,
        beside="version 0.1",
    ),
    "receive": Figure(
        "CPU of receive over ExaBGP's, for the whole table",
        ("collector",),
        lambda one: 100 * one["collector"]["receive_cpu"] / one["collector"]["exabgp_cpu"],
        "%",
        goal=3,
        beside="ExaBGP",
    ),
    "memory": Figure(
        "memory of receive and archiver together, their peaks, one table",
        ("collector",),
        lambda one: (one["collector"]["receive_peak"] + one["collector"]["archiver_peak"]) / 1e6,
        "MB",
        goal=150,
    ),
    "memory-twenty": Figure(
        "the same after twenty tables",
        ("twenty-tables",),
        lambda one: (one["twenty-tables"]["receive_peak"] + one["twenty-tables"]["archiver_peak"]) / 1e6,
        "MB",
        goal=150,
        once=True,
    ),
    "memory-growth": Figure(
        "what both hold after twenty tables over what they held after the second",
        ("twenty-tables",),
        lambda one: one["twenty-tables"]["resident_last"] / one["twenty-tables"]["resident_second"],
        goal=1.03,
        once=True,
        beside="the second table",
    ),
    "query": Figure(
        "the history of one prefix with twenty tables in the store, 95th percentile",
        ("twenty-tables",),
        lambda one: one["twenty-tables"]["query_p95"] * 1000,
        "ms",
        goal=10,
        once=True,
    ),
    "help": Figure(
        "`bgpledger --help`, wall",
        ("help",),
        lambda one: one["help"]["seconds"] * 1000,
        "ms",
        goal=150,
    ),
    "history": Figure(
        "`bgpledger history PREFIX`, wall, the table in the store",
        ("collector",),
        lambda one: one["collector"]["history_seconds"] * 1000,
        "ms",
        goal=400,
    ),
    "pmbgpd": Figure(
        "the table to queryable: pmbgpd's JSON log and `insert_many`, one document a route, over ours",
        ("collector", "pmbgpd"),
        lambda one: one["pmbgpd"]["seconds"] / one["collector"]["seconds"],
        better="more",
        goal=4,
        beside="pmbgpd",
    ),
    "script": Figure(
        "lines a second, ours over a script that does `insert_one` for each",
        ("collector", "script"),
        lambda one: one["collector"]["updates"] / one["collector"]["seconds"] / one["script"]["lines_per_second"],
        better="more",
        goal=20,
        beside="a script",
    ),
    "findable-script": Figure(
        "the same over a script whose documents can be found by prefix and are as durable as ours",
        ("collector", "findable-script"),
        lambda one: (
            one["collector"]["updates"] / one["collector"]["seconds"] / one["findable-script"]["lines_per_second"]
        ),
        better="more",
        beside="a script",
    ),
    "disk": Figure(
        "a route in the embedded store, documents and indexes, on disk",
        ("sizes",),
        lambda one: one["sizes"]["disk"] / one["sizes"]["routes"],
        "bytes",
        once=True,
    ),
    "disk-documents": Figure(
        "a route in the embedded store, documents alone, on disk",
        ("sizes",),
        lambda one: one["sizes"]["disk_unindexed"] / one["sizes"]["routes"],
        "bytes",
        once=True,
    ),
    "bson": Figure(
        "BSON of an UPDATE",
        ("sizes",),
        lambda one: one["sizes"]["bson"] / one["sizes"]["updates"],
        "bytes",
        once=True,
    ),
    "bson-route": Figure(
        "BSON of a route",
        ("sizes",),
        lambda one: one["sizes"]["bson"] / one["sizes"]["routes"],
        "bytes",
        once=True,
    ),
    "bson-mrt": Figure(
        "BSON over the MRT file, gzipped",
        ("sizes",),
        lambda one: one["sizes"]["bson"] / one["sizes"]["mrt"],
        once=True,
        beside="the MRT file",
    ),
    "bson-pmbgpd": Figure(
        "pmbgpd's JSON log over our BSON",
        ("sizes", "pmbgpd"),
        lambda one: one["pmbgpd"]["log_bytes"] / one["sizes"]["bson"],
        better="more",
        once=True,
        beside="pmbgpd",
    ),
}
