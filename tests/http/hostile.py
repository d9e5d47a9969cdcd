"""Hostile strings, and sections of a configuration with one of them in one field."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collector.errors import ConfigurationError
from collector.settings.load import load
from collector.settings.model import Settings
from tests.unit.test_acting_commands import HOSTILE

NASTY = (
    *HOSTILE,
    "\u2028",
    "\u2029",
    "\x85",
    "\x0b",
    "\x1b[2J",
    "\ud800",
    '"}\n{"do":"relay"}',
    "\nshutdown\n",
    "; shutdown",
    " nlri 0.0.0.0/0",
    " watchdog x",
    "]\nneighbor * teardown 6\n",
    '";\n}\nneighbor 192.0.2.66 {\n',
    "%0a",
    "${IFS}",
    "9" * 5000,
    "x" * 70_000,
)
PEER = "192.0.2.1"
ROUTE: Mapping[str, Any] = {
    "prefix": "203.0.113.7/32",
    "next_hop": "192.0.2.9",
    "origin": "igp",
    "med": "5",
    "as_path": "64510",
    "communities": "64500:1",
    "large_communities": "1:2:3",
    "extended_communities": "target:64500:7",
}
BEGIN = f"""
[bgp]
local_as = 64500
[http]
rate = 10000
[announce]
prefixes = ["203.0.113.0/24 le 32"]
flows = true
rate = 10000
limit = 200000
[[peers]]
address = "{PEER}"
asn = 64501
group = "transit"
passive = true
families = ["ipv4 unicast", "ipv4 flow"]
"""
STATIC: Mapping[str, Any] = {**ROUTE, "med": 5, "why": "a test"}
CHECK: Mapping[str, Any] = {
    "name": "www",
    "ip": "203.0.113.8/32",
    "peers": PEER,
    "next_hop": "192.0.2.9",
    "local_preference": 100,
    "up_metric": 7,
    "increase": 1,
    "community": "64500:1",
    "disabled_community": "no-export",
    "extended_community": "target:64500:7",
    "large_community": "1:2:3",
    "as_path": "64510",
    "up_as_path": "64510 64511",
    "http_host": "www.example.net",
    "http": "http://127.0.0.1:1/",
}
"""All that a check may say, but for what it runs, which is to be run."""
UNCHECKED = ("http", "http_host", "local_preference")
"""Fields that keep a check from announcing at once: they are there only to be nasty."""
POLICY: Mapping[str, Any] = {
    "name": "keep here",
    "peers": PEER,
    "prefixes": "203.0.113.0/24^+",
    "communities": "64500:1",
    "as_path": "^64510",
    "family": "ipv4 unicast",
    "add_communities": "64500:2",
    "remove_communities": "64500:3",
    "set_communities": "64500:4",
    "med": 7,
    "local_preference": 100,
    "prepend": 1,
    "next_hop": "192.0.2.9",
}
OURS: Mapping[str, Any] = {"local_as": 64500, "router_id": "10.0.0.1", "listen": "127.0.0.1:1790", "hold_time": 90}
NEIGHBOR: Mapping[str, Any] = {
    "address": "127.0.0.77",
    "asn": 64501,
    "local_as": 64502,
    "description": "a peer",
    "group": "transit",
    "port": 1791,
    "local_address": "127.0.0.1",
    "hold_time": 30,
    "families": ["ipv4 unicast"],
}


def with_nasty(good: Mapping[str, Any], name: str, nasty: str) -> Iterator[dict[str, Any]]:
    """The hostile string after, before, within and instead of a value."""
    value = good.get(name, "")
    value = value[0] if isinstance(value, list) else str(value)
    middle = len(value) // 2
    for text in (value + nasty, nasty + value, value[:middle] + nasty + value[middle:], nasty):
        yield {**good, name: [text] if isinstance(good.get(name), list) else text}


def section(head: str, values: Mapping[str, Any]) -> str:
    """A section of a configuration, which may be invalid TOML."""
    return f"{head}\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def read(directory: Path, text: str) -> Settings | None:
    """The settings of a configuration; None if it is refused."""
    file = directory / "try.toml"
    file.write_text(text, errors="surrogateescape" if "\ud800" in text else "strict")
    try:
        return load(file, environ={})
    except ConfigurationError:
        return None


def announcing(directory: Path, chosen: random.Random, rounds: int) -> dict[str, list[str]]:
    """Sections with something nasty that decide what is announced: by their heads, those that are taken."""
    kinds = {"[[announce.static]]": STATIC, "[[checks]]": CHECK, "[[policies]]": POLICY}
    taken: dict[str, list[str]] = {head: [] for head in kinds}
    for at, nasty in enumerate(NASTY * rounds):
        head = chosen.choice(list(kinds))
        good = kinds[head]
        name = chosen.choice(list(good))
        said = {key: value for key, value in good.items() if key not in UNCHECKED or key == name}
        said |= {"name": f"number {at}"} if "name" in good else {}
        said |= {"prefix": f"203.0.113.{at % 250}/32"} if "prefix" in good else {}
        said |= {"ip": f"203.0.113.{at % 250}/32", "rise": 1, "interval": 0} if "ip" in good else {}
        text = section(head, chosen.choice(list(with_nasty(said, name, nasty))))
        if read(directory, BEGIN + text):
            taken[head].append(text)
    return taken


def speaker(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> str:
    """A configuration of ourselves and a peer, which is announced to."""
    announce = {"prefixes": ["203.0.113.0/24"]}
    return section("[bgp]", ours) + section("[announce]", announce) + section("[[peers]]", peer)


def speaking(directory: Path, chosen: random.Random, rounds: int) -> Iterator[Settings]:
    """Of such with something nasty, those that are taken."""
    for nasty in NASTY * rounds:
        for good in (OURS, NEIGHBOR):
            odd = chosen.choice(list(with_nasty(good, chosen.choice(list(good)), nasty)))
            text = speaker(odd, NEIGHBOR) if good is OURS else speaker(OURS, odd)
            if settings := read(directory, text):
                yield settings
