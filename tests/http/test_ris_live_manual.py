"""RIS Live's manual, read a second time by someone who had not seen how we read it: which messages a subscription gets.

`gets` is that reading. It is applied to all messages, which are compared with the archive's own answers first.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from bgpledger import Archive
from collector.bgp.decode import decode_message
from collector.bgp.families import FAMILIES
from collector.bgp.open_messages import Abilities
from collector.store.mongo import Store
from schemas.json_object import JsonObject
from tests.http.conftest import PATIENCE, Filled, connect
from tests.http.ris_live import EIGHT, HALF, LAST, PREFIX, TWICE, answering, collected, filled_with
from tests.store.test_asking import archive
from tests.support import Router


def gets(asked: JsonObject, message: JsonObject) -> bool:
    """Whether a subscription gets a message."""
    checks: dict[str, Callable[[Any], bool]] = {
        "host": lambda host: host.removesuffix(".ripe.net") == message["host"],
        "type": lambda kind: kind == message["type"],
        "require": lambda key: message.get(key) not in (None, []),
        "peer": lambda peer: ip_address(peer) == ip_address(message["peer"]),
        "path": lambda path: "path" in message and is_on(str(path), message["path"]),
        "prefix": lambda prefix: is_about(asked, prefix, message),
    }
    return all(check(asked[name]) for name, check in checks.items() if asked.get(name) not in (None, ""))


def is_on(pattern: str, path: list[Any]) -> bool:
    """Whether a pattern is on a path: as texts, with a blank after each AS. In a set, each AS is found too."""
    if pattern.startswith("!"):
        return not is_on(pattern[1:], path)
    whole = [json.dumps(one, separators=(",", ":")) for one in path]
    among = [
        [str(asn) for asn in one] if isinstance(one, list) else [text] for one, text in zip(path, whole, strict=True)
    ]
    wanted = re.findall(r"\[[^]]*\]|\d+", pattern)
    return any(
        all(item == text or item in inside for item, text, inside in zip(wanted, whole[at:], among[at:], strict=False))
        for at in range(len(path) - len(wanted) + 1)
        if (at == 0 or "^" not in pattern) and (at + len(wanted) == len(path) or "$" not in pattern)
    )


def is_about(asked: JsonObject, prefix: str | list[str], message: JsonObject) -> bool:
    """Whether a message is about a prefix, or one of several, with those within it unless it is said, or around it."""
    said = [one for group in message.get("announcements", []) for one in group["prefixes"]]
    for network in map(ip_network, [prefix] if isinstance(prefix, str) else prefix):
        for other in map(ip_network, said + message.get("withdrawals", [])):
            if network.version == other.version and (
                network == other
                or (asked.get("moreSpecific", True) and other.subnet_of(network))  # type: ignore[arg-type]
                or (asked.get("lessSpecific", False) and network.subnet_of(other))  # type: ignore[arg-type]
            ):
                return True
    return False


SUBSCRIPTIONS: list[JsonObject] = [
    dict.fromkeys(("host", "type", "require", "peer", "path", "prefix")),
    dict.fromkeys(("host", "type", "require", "peer", "path", "prefix"), ""),  # as IHR's page sends it
    *({"host": host} for host in ("rrc00", "rrc01", "rrc01.ripe.net", "rrc02")),
    *({"type": kind} for kind in ("UPDATE", "RIS_PEER_STATE")),
    *({"require": key} for key in ("announcements", "withdrawals", "path", "community", "med", "aggregator", "state")),
    *({"peer": peer} for peer in ("192.0.2.1", "2001:db8:0:0:0:0:0:3", "192.0.2.10")),
    *(
        {"path": path}
        for path in (64496, "6450", "64500,64496", "^64500", "^64496", "64496$", "64500$", "^64500,64500")
    ),
    *({"path": path} for path in ("^64500,64499,[64497,64498]$", "[64497,64498]", "[64497]", "64498", "^64500,6450$")),
    *({"path": path} for path in ("!64496$", "!^64500", "!64499,64496", "![64497,64498]$")),
    *({"prefix": one} for one in (PREFIX, TWICE, HALF, [HALF, EIGHT], "2001:db8:0::/32", "0.0.0.0/0", "::/0")),
    *({"prefix": one, "moreSpecific": False} for one in (PREFIX, TWICE, "0.0.0.0/0", "2001:db8::/32")),
    *({"prefix": one, "lessSpecific": True} for one in (PREFIX, "203.0.113.64/26", "2001:db8:1:1::/64")),
    *({"prefix": one, "moreSpecific": False, "lessSpecific": True} for one in (PREFIX, HALF)),
    {"prefix": PREFIX, "require": "withdrawals", "type": "UPDATE", "peer": "192.0.2.1"},
    {"prefix": EIGHT, "path": "64496$"},
]
REFUSED: list[object] = [
    *(
        "x",
        [],
        {"prefix": [EIGHT, 5]},
        {"path": "[1"},
        {"path": "64500 64496"},
        {"type": "OPEN"},
        {"require": "rubbish"},
    ),
]


@pytest.fixture(scope="module")
def collected_here(embedded_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with filled_with(embedded_uri, tmp_path_factory.mktemp("manual"), collected()) as one:
        yield one


@pytest.fixture
async def place(collected_here: Filled) -> AsyncIterator[tuple[Archive, str]]:
    async with answering(collected_here) as (found, listen):
        yield found, listen


async def say(socket: ClientConnection, kind: str, data: object = None) -> None:
    await socket.send(json.dumps({"type": kind, "data": data}))


async def hear(socket: ClientConnection) -> JsonObject:
    said: JsonObject = json.loads(await socket.recv())
    return said


async def played(listen: str, asked: JsonObject) -> list[JsonObject]:
    """The messages that a subscription gets of the past, but those of the last peer."""
    async with connect(f"ws://{listen}/v1/ws/?client=manual&from=10m&speed=1000000") as socket:
        await say(socket, "ris_subscribe", {"peer": LAST})
        await say(socket, "ris_subscribe", asked)
        found: list[JsonObject] = []
        while not (found and found[-1]["peer"] == LAST and found[-1]["type"] == "UPDATE"):
            said = await hear(socket)
            assert said["type"] == "ris_message", (asked, said)
            found.append(said["data"])
        return [one for one in found if one["peer"] != LAST]


def elements(message: JsonObject) -> list[tuple[Any, ...]]:
    common = message["timestamp"], message["peer"], message["peer_asn"]
    path = " ".join(json.dumps(one, separators=(",", ":")) for one in message["path"])
    path = path.translate(str.maketrans("[]", "{}"))
    communities = [f"{asn}:{value}" for asn, value in message["community"]]
    attributes = path, communities, message.get("origin"), message.get("med"), message.get("aggregator")
    withdrawn = [(*common, "withdraw", prefix) for prefix in message["withdrawals"]]
    return withdrawn + [
        (*common, "announce", prefix, group["next_hop"], *attributes)
        for group in message["announcements"]
        for prefix in group["prefixes"]
    ]


async def answers(archive: Archive) -> list[tuple[Any, ...]]:
    """What the archive says of the same."""
    found = []
    async with archive.search() as entries:
        async for one in entries:
            if one.peer.address == LAST or one.event not in ("announce", "withdraw"):
                continue
            common = one.ts.timestamp(), one.peer.address, str(one.peer.asn), one.event, one.prefix
            aggregator = one.aggregator and f"{one.aggregator.asn}:{one.aggregator.address}"
            attributes = one.next_hop, one.as_path, one.communities or [], one.origin, one.med, aggregator
            found.append(common + attributes if one.event == "announce" else common)
    return found


async def test_a_subscription_gets_what_the_manual_says(place: tuple[Archive, str]) -> None:
    archive, listen = place
    everything = await played(listen, {})
    updates = [one for one in everything if one["type"] == "UPDATE"]
    said = [element for one in updates for element in elements(one)]
    assert sorted(map(str, said)) == sorted(map(str, await answers(archive)))
    assert {one["path"][-1] for one in updates if one["path"] and isinstance(one["path"][-1], int)} == {
        *(64496, 6450, 64499, 64501)
    }
    assert [one["state"] for one in everything if one["type"] == "RIS_PEER_STATE"] == ["up", "down", "up"]
    assert len({one["id"] for one in everything}) == len(everything)
    assert {one["host"] for one in everything} == {"rrc00", "rrc01"}
    got = await asyncio.gather(*(played(listen, asked) for asked in SUBSCRIPTIONS))
    for asked, found in zip(SUBSCRIPTIONS, got, strict=True):
        assert found == [one for one in everything if gets(asked, one)], asked


async def test_the_stream_says_the_same_with_bytes(place: tuple[Archive, str]) -> None:
    _, listen = place
    url, asked = f"http://{listen}/v1/stream/", {"path": "!64501$", "type": "UPDATE"}
    expected = await played(listen, asked)
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        said: list[JsonObject] = []
        headers = {"X-RIS-Subscribe": json.dumps(asked)}
        async with http.stream(
            "GET", url, params={"format": "json", "from": "10m", "speed": 1e6}, headers=headers
        ) as got:
            async for line in got.aiter_lines():
                said.append(json.loads(line)["data"])
                if said[-1]["peer"] == LAST:
                    break
        for wrong in ({"params": {"format": "sse"}}, {"headers": {"X-RIS-Subscribe": "{"}}, {"params": {"speed": "0"}}):
            assert (await http.get(url, **wrong)).status_code == 400, wrong  # type: ignore[arg-type]
    for message in said:
        read = decode_message(bytes.fromhex(message.pop("raw")), Abilities(as4=True, families=FAMILIES))
        nlri = [prefix for group in read.get("announce", ()) for prefix in group["nlri"]]
        assert nlri == [prefix for group in message["announcements"] for prefix in group["prefixes"]]
    assert said[:-1] == expected


async def test_what_a_socket_says(place: tuple[Archive, str], collected_here: Filled) -> None:
    _, listen = place
    async with connect(f"ws://{listen}/v1/ws/") as socket:
        await say(socket, "ping")
        assert await hear(socket) == {"type": "pong", "data": None}
        await say(socket, "request_rrc_list")
        assert await hear(socket) == {"type": "ris_rrc_list", "data": ["rrc00", "rrc01"]}
        asked = {"prefix": HALF, "type": "UPDATE", "moreSpecific": False}
        await say(socket, "ris_subscribe", asked)  # nothing is said of it
        options = {"includeRaw": True, "acknowledge": True}
        await say(socket, "ris_subscribe", asked | {"socketOptions": options})
        assert await hear(socket) == {
            "type": "ris_subscribe_ok",
            "data": {"subscription": asked, "socketOptions": options},
        }
        await say(socket, "ris_subscribe", {"prefix": [PREFIX, EIGHT]})  # the options are the socket's
        for prefix in (PREFIX, EIGHT):
            assert (await hear(socket))["data"] == {"subscription": {"prefix": prefix}, "socketOptions": options}
        await say(socket, "ris_unsubscribe", {"prefix": PREFIX})
        await say(socket, "ris_unsubscribe", asked)
        await say(socket, "ris_unsubscribe", {"prefix": "192.0.2.0/24"})
        await say(socket, "ris_subscribe", {"host": "rrc07", "socketOptions": {}})  # those before are gone
        await say(socket, "ping", "still here")
        assert await hear(socket) == {"type": "pong", "data": "still here"}
        for wrong in REFUSED:
            await say(socket, "ris_subscribe", wrong)
            assert (await hear(socket))["type"] == "ris_error", wrong
        router = Router("192.0.2.1", 64500)
        coming = asyncio.ensure_future(hear(socket))
        async with Store.open(collected_here.uri, database=collected_here.database) as store:
            while not coming.done():
                lines = [*router.up(), *(router.announce(one) for one in (PREFIX, HALF, "192.0.2.0/24", "10.9.0.0/16"))]
                await archive(collected_here.data_dir, store, lines, f"live{router.counter}")
                await asyncio.wait((coming,), timeout=1)
        data = coming.result()["data"]
        assert (data["announcements"], "raw" in data) == (
            [{"next_hop": "192.0.2.1", "prefixes": ["10.9.0.0/16"]}],
            False,
        )
        assert data["host"] != "rrc99", "its collector is new"
