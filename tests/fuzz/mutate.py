"""Hostile lines: mutations of real ones, noise, and a few monsters. The same seed gives the same lines."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from tests.support import SHARED, Router

_LARGE = 16_384
"""Recorded lines over this are mutated rarely: they would take all of the time."""

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 255, 256, 23456, 65536, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**4200),
    *(0.0, -0.5, 1e308, 1.8e9, float("nan"), float("inf"), 4294967295.9999),
    *("", " ", "\0", "a\0b", "0x", "0xZZ", "0x0", "$where", "a.b", "＄", "\ud800", "é" * 50, "x" * 5000, "null"),
    *("10.0.0.0/33", "::/129", "::/200", "255.255.255.255/32", "2001:DB8::1/32", "1.2.3.4", "fe80::1", "no-nexthop"),
    *("up", "down", "connected", "receive", "send", "begin", "ipv4 unicast", "l2vpn evpn", "0.0.0.0.0.1", "-1:-1"),
    *([], {}, [[]], [None], [0] * 300, {"": 1}, {"$set": {"a.b": 1}, "\0": 2}, {"nlri": "10.0.0.0/8", "label": [[1]]}),
)
_ODD_KEYS = ("", "$", "$set", "a.b", ".", "\0", "_id", "v", "kind", "__proto__", "neighbor", "0", "-1", "9" * 4000, "é")
_RAW_TOKENS = (
    *(b"9" * 10_000, b"-" + b"9" * 10_000, b"0." + b"1" * 10_000, b"1e999", b"-0", b"NaN", b"-Infinity", b"1e-999"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b'"\\u0000"', b'"\\x"', b'"\xff"', b"\0", b"None", b"nan"),
    *(b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"[" * 199 + b"]" * 199),
    *(b"[" * 60 + b"]" * 60, b"[" * 66 + b"]" * 66, b'{"a":' * 90 + b"1" + b"}" * 90, b'{"a": 1, "a": 2, "a": {}}'),
)
_ANSWERS = (b"done", b"error", b"exabgp 5.0.15", b"show adj-rib in", b"Peer AS up/down state", b"neighbor 10.0.0.1 up")


def samples() -> list[bytes]:
    """Good lines: those that were recorded, where they are here, and ours of every kind."""
    recorded = [line for file in sorted((SHARED / "exabgp-json").glob("*.jsonl")) for line in _lines(file.read_bytes())]
    return recorded + own_samples()


def _lines(text: bytes) -> list[bytes]:
    return [line for line in text.split(b"\n") if line]


def own_samples() -> list[bytes]:
    """One line and more of every kind, as ExaBGP 5 writes them."""
    router, other = Router(), Router("2001:db8::2", 4200000001)
    attributes = {
        "origin": "igp",
        "as-path": {
            "0": {"element": "as-sequence", "value": [64500, 64501]},
            "1": {"element": "as-set", "value": [1, 2]},
        },
        "med": 10,
        "local-preference": 100,
        "atomic-aggregate": True,
        "aggregator": "64500:192.0.2.9",
        "community": [[64500, 1], [65535, 666]],
        "large-community": [[4200000001, 1, 2]],
        "extended-community": [{"value": 2**63 + 5, "string": "target:64500:5"}],
        "extended-community-ipv6": [{"value": 2**159, "string": ""}],
        "originator-id": "192.0.2.9",
        "cluster-list": ["192.0.2.8"],
        "aigp": "0x00000000000000ff",
        "attribute-0xFA-0xE0": "0x0102",
        "bgp-prefix-sid": {"sr-label-index": 5},
    }
    vpn = {"nlri": "10.1.0.0/16", "label": [[16, 257]], "rd": "64500:1", "path-information": "0.0.0.7"}
    evpn = {"code": 2, "parsed": True, "raw": "0221", "name": "MAC", "rd": "192.0.2.1:7", "label": [[5, 81]]}
    flow = {"destination-ipv4": ["192.0.2.0/24"], "protocol": ["=tcp"], "string": "flow destination-ipv4 192.0.2.0/24"}
    receive = {"direction": "receive"}
    return [
        *router.up(),
        *other.up(),
        router.announce("10.0.0.0/8", "192.0.2.0/24", path=(64500, 64496)),
        router.withdraw("10.0.0.0/8"),
        other.announce("2001:db8::/32", next_hop="2001:db8::2"),
        router.update(attribute=attributes, announce={"ipv4 unicast": {"192.0.2.1": [{"nlri": "10.0.0.0/8"}]}}),
        router.update(
            attribute=attributes,
            announce={"ipv4 mpls-vpn": {"192.0.2.1": [vpn]}, "l2vpn evpn": {"192.0.2.1": [evpn]}},
            withdraw={"ipv4 flow": [flow], "ipv6 unicast": ["2001:db8::/32"]},
        ),
        router.line("update", **receive, message={"eor": {"afi": "ipv4", "safi": "unicast"}}),
        router.line("notification", **receive, notification={"code": 6, "subcode": 2, "data": "0x02", "message": "m"}),
        router.line("refresh", **receive, **{"route-refresh": {"afi": "ipv4", "safi": "unicast", "subtype": "query"}}),
        router.line("operational", **receive, operational={"name": "ASM", "afi": "ipv4", "advisory": "x"}),
        router.line("negotiated", negotiated={"hold_time": 180, "families": ["ipv4 unicast"], "nexthop": []}),
        router.line("fsm", state="OPENSENT"),
        router.line("signal", code="15", name="SIGTERM"),
        router.line("update", **receive, message={"category": 2, "header": "0x" + "FF" * 16, "body": "0x0000"}),
        router.line("keepalive", direction="send"),
        other.down("notification sent (4,0)"),
        router.down(),
        b'{"exabgp": "5.0.0", "time": 1800000000.5, "pid": 100, "type": "notification", "notification": "shutdown"}',
        b'{"bgpledger": "receive", "event": "start", "time": 1800000000.5, "pid": 2, "ppid": 100, "host": "h"}',
        *_ANSWERS,
    ]


class Mutator:
    """An endless source of lines without newlines, most of them nearly good.

    Args:
        seed: decides all.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        good = samples()
        self._small = [line for line in good if len(line) <= _LARGE]
        self._large = [line for line in good if len(line) > _LARGE] or self._small
        self._objects = [line for line in self._small if _is_object(line)]
        self._ways: list[Callable[[], bytes]] = [self._as_it_is, self._tree, self._bytes, self._token, self._noise]

    def lines(self, count: int) -> Iterator[bytes]:
        """The next `count` lines."""
        for _ in range(count):
            (way,) = self._random.choices(self._ways, (5, 50, 30, 10, 5))
            yield way().replace(b"\n", b" ")

    def _as_it_is(self) -> bytes:
        return self._random.choice(self._small)

    def _tree(self) -> bytes:
        """A good line with one to three places changed."""
        line = json.loads(self._random.choice(self._objects))
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            self._change(line)
        return json.dumps(line).encode()

    def _change(self, line: Any) -> None:
        at, key = self._place(line)
        if key is None:
            return
        change = self._random.randrange(11)
        if change == 0:
            del at[key]
        elif change == 1 and isinstance(at, dict):
            at[self._random.choice(_ODD_KEYS)] = at.pop(key)
        elif change == 2 and isinstance(at, list):
            at.extend(at[:5] * self._random.randrange(200))
        elif change == 3:
            other, name = self._place(json.loads(self._random.choice(self._objects)))
            at[key] = other[name] if name is not None else other
        elif change == 4:
            at[key] = [at[key]] if self._random.random() < 0.5 else {"a.$": at[key]}
        elif change < 8:
            at[key] = self._near(at[key])
        else:
            at[key] = deepcopy(self._random.choice(_ODD))  # the next change may be within it

    def _near(self, value: Any) -> Any:
        """A value of the same type, which a check of types alone lets in."""
        if isinstance(value, str):
            at = self._random.randrange(len(value) + 1)
            return value[:at] + self._random.choice(("", "0", "/", ":", "-", " ", "\0", "é", ".")) + value[at + 1 :]
        if isinstance(value, int | float):
            return value + self._random.choice((1, -1)) * 2 ** self._random.randrange(70)
        return value

    def _place(self, tree: Any) -> tuple[Any, Any]:
        """A container in the tree and one of its keys, None if it is empty."""
        at = tree
        while True:
            if not at:
                return at, None
            key = self._random.choice(list(at)) if isinstance(at, dict) else self._random.randrange(len(at))
            if not isinstance(at[key], dict | list) or self._random.random() < 0.2:
                return at, key
            at = at[key]

    def _token(self) -> bytes:
        """A good line with something in place of a value that no JSON writer would write."""
        line = json.loads(self._random.choice(self._objects))
        at, key = self._place(line)
        if key is not None:
            at[key] = "@@"
        return json.dumps(line).encode().replace(b'"@@"', self._random.choice(_RAW_TOKENS))

    def _bytes(self) -> bytes:
        """A good line with bytes changed, lost, doubled, or mixed with another's."""
        line = bytearray(self._random.choice(self._large if self._random.random() < 0.001 else self._small))
        for _ in range(self._random.randrange(1, 6)):
            start = self._random.randrange(len(line) + 1)
            end = min(len(line), start + self._random.choice((1, 1, 4, 30, 1000)))
            change = self._random.randrange(6)
            if change == 0:
                del line[start:end]
            elif change == 1:
                line[start:start] = self._random.randbytes(end - start)
            elif change == 2:
                line[start:start] = line[start:end]
            elif change == 3:
                line[start:] = self._random.choice(self._small)[start:]
            elif change == 4:
                line[start:end] = self._random.choice((b"\0", b'"', b"{", b"]", b",", b"\\", b"\xff", b"\r", b"0"))
            elif start < end:
                line[start] ^= 1 << self._random.randrange(8)
        return bytes(line)

    def _noise(self) -> bytes:
        """Random bytes; some begin as an object, an array or an answer does."""
        beginning = self._random.choice((b"", b"", b"{", b"[", b'{"neighbor": ', *_ANSWERS))
        return beginning + self._random.randbytes(self._random.choice((0, 1, 10, 200)))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def giants(size: int) -> Iterator[tuple[str, bytes]]:
    """Lines that want all of the memory or the time, with a name; `size` bytes long, and quickly made."""
    within = size - 1000
    router = Router("192.0.2.66", 64566)
    yield "arrays that never end", b"[" * within
    yield "a number", b'{"time": ' + b"9" * within + b"}"
    yield "NULs", b"\0" * size
    yield "an answer of spaces", b"show " + b" " * within + b"!"
    yield "an answer of brackets", b"show a" + b"[]" * (within // 2) + b"!"
    yield "an answer that is one", b"show " + b"a" * within
    yield "no UTF-8", b"\xff" * size
    yield "empty objects", b'{"neighbor": [' + b"{}," * (within // 3) + b"{}]}"
    yield "an array of arrays", b"[" + b"[]," * (within // 3) + b"[]]"
    yield "equal keys", b'{"a": 0' + b', "a": 0' * (within // 8) + b"}"
    yield "a string", router.line("state", state="down", reason="x" * within)
    yield "an attribute", router.update(attribute={"attribute-0xFA-0xE0": "0x" + "00" * (within // 2)})
    yield "an OPEN", router.up()[1].replace(b'"name": "asn4"', b'"name": "' + b"x" * within + b'"')


def monsters(size: int) -> Iterator[tuple[str, bytes]]:
    """Lines that are much work because of what they say, with a name; up to `size` bytes long."""
    within = size - 1000
    router = Router("192.0.2.67", 64567)
    yield "objects nested", b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    yield "arrays nested", b"[" * 10_000 + b"]" * 10_000
    yield "keys", json.dumps({**json.loads(router.keepalive()), **{f"{n:x}": 0 for n in range(within // 12)}}).encode()
    yield "prefixes", router.announce(*("10.0.0.0/8",) * (within // 26))
    yield "prefixes, compact", router.update(withdraw={"ipv6 unicast": ["::/0"] * (within // 9)})
    yield "routes of no prefix", router.update(withdraw={"ipv4 flow": [{}] * (within // 5)})
    yield "labels", router.update(withdraw={"ipv4 nlri-mpls": [{"nlri": "::/0", "label": [[1]] * (within // 7)}]})
    yield "a path", router.announce("10.0.0.0/8", path=(2**32 - 1,) * (within // 12))
    yield "wrong routes", router.update(withdraw={"ipv4 unicast": [1] * (within // 3)})
    yield "wrong AS numbers", router.update(attribute={"as-path": [""] * (within // 4)})
    yield "wrong families", router.update(withdraw={f"{n:x}": 1 for n in range(within // 14)})
    yield "wrong segments", router.update(attribute={"as-path": {f"{n:x}": 1 for n in range(within // 14)}})
    yield "wrong communities", router.update(attribute={"community": [[1]] * (within // 7)})
