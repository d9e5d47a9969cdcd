"""Current events as server-sent events and in RIS Live's protocol; and the past through the same socket."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from collector.bgp.decode import decode_message
from collector.bgp.families import FAMILIES
from collector.bgp.open_messages import Abilities
from collector.http.rislive.subscriptions import Request, Subscription, Subscriptions
from collector.store.mongo import Store
from schemas.json_object import JsonObject
from tests.http.conftest import PATIENCE, Filled, connect, serving
from tests.running import free_port
from tests.store.test_asking import PREFIX, archive
from tests.support import ROOT, Router

OTHER = "198.51.100.0/24"


class Scene:
    """An archive that is written to while a client listens."""

    def __init__(self, store: Store, url: str, directory: Path) -> None:
        self.url = url
        self.socket = url.replace("http", "ws")
        self.store = store
        self.directory = directory
        self._spools = 0
        self._router = Router("192.0.2.1", 64500, start=round(time.time()) - 60)

    async def happens(self, *lines: bytes) -> None:
        self._spools += 1
        # Tests may begin within one second, and lines of one name, number and second have one key.
        await archive(self.directory, self.store, lines, f"{self.directory.name}-{self._spools}")

    async def comes_up(self) -> None:
        await self.happens(*self._router.up())

    async def announces(self, *prefixes: str, path: tuple[int, ...] = (64500, 64496)) -> None:
        await self.happens(*self._router.up(), self._router.announce(*prefixes, path=path))

    async def withdraws(self, *prefixes: str) -> None:
        await self.happens(*self._router.up(), self._router.withdraw(*prefixes))


@pytest.fixture(scope="module")
def place(embedded_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filled, str]]:
    """An empty archive, and where it is answered for."""
    one = Filled(embedded_uri, f"test_{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("live"))

    async def prepare() -> None:
        async with Store.open(one.uri, database=one.database) as store:
            await store.prepare()

    asyncio.run(prepare())
    listen = f"127.0.0.1:{free_port()}"
    with serving(listen, one.environment):
        yield one, f"http://{listen}"


@pytest.fixture
async def scene(place: tuple[Filled, str], tmp_path: Path) -> AsyncIterator[Scene]:
    filled, url = place
    async with Store.open(filled.uri, database=filled.database) as store:
        yield Scene(store, url, tmp_path)


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, JsonObject]]:
    """The id and the data of each event but gaps."""
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            name = line.removeprefix("id: ")
        elif line.startswith("data: "):
            entry = json.loads(line.removeprefix("data: "))
            if entry["event"] != "gap":  # each spool begins anew, which is one
                yield name, entry


async def test_events_come_and_nothing_is_missed_in_between(scene: Scene) -> None:
    url = f"{scene.url}/api/v1/live"
    asked = {"prefix": f"{PREFIX},{OTHER}", "elem": "announce"}
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        async with http.stream("GET", url, params=asked) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            coming = events(response)
            first = asyncio.ensure_future(anext(coming))
            while not first.done():  # it listens from some moment on
                await scene.announces(PREFIX, "10.0.0.0/8")
                await asyncio.wait((first,), timeout=1)
            name, entry = first.result()
            assert entry["prefix"] == PREFIX
        await scene.announces(OTHER)
        await scene.announces(OTHER, path=(64500, 64511))
        async with http.stream("GET", url, params=asked, headers={"Last-Event-ID": name}) as response:
            missed = [
                entry async for name, entry in _until(events(response), lambda one: "64511" in (one["as_path"] or ""))
            ]
        assert {one["prefix"] for one in missed} <= {PREFIX, OTHER}
        assert [one["as_path"] for one in missed if one["prefix"] == OTHER] == ["64500 64496", "64500 64511"]
        refused = await http.get(url, headers={"Last-Event-ID": "x"})
        assert refused.status_code == 400


async def test_events_of_one_moment_are_neither_lost_nor_doubled(scene: Scene) -> None:
    url, asked = f"{scene.url}/api/v1/live", {"elem": "announce", "peer": "192.0.2.1", "origin": "64512,64513"}
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        async with http.stream("GET", url, params=asked) as response:
            coming = events(response)
            first = asyncio.ensure_future(anext(coming))
            while not first.done():
                await scene.announces(PREFIX, OTHER, path=(64500, 64512))
                await asyncio.wait((first,), timeout=1)
            name, entry = first.result()
            assert entry["prefix"] == PREFIX
        await scene.announces(PREFIX, path=(64500, 64513))
        async with http.stream("GET", url, params=asked, headers={"Last-Event-ID": name}) as response:
            missed = [entry async for _, entry in _until(events(response), lambda one: one["as_path"] == "64500 64513")]
    prefixes = [one["prefix"] for one in missed]
    assert prefixes == [OTHER, *[PREFIX, OTHER] * (len(prefixes) // 2 - 1), PREFIX]


async def test_nothing_is_missed_after_a_clock_was_set_back(scene: Scene) -> None:
    url, asked = f"{scene.url}/api/v1/live", {"elem": "announce", "peer": "192.0.2.77"}
    router = Router("192.0.2.77", 64577, start=round(time.time()) - 60)

    async def says(*lines: bytes) -> None:
        await archive(scene.directory, scene.store, lines, "set-back", says_how_far=True)

    await says(*router.up())
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        async with http.stream("GET", url, params=asked) as response:
            first = asyncio.ensure_future(anext(events(response)))
            while not first.done():
                await says(router.announce(PREFIX))
                await asyncio.wait((first,), timeout=1)
            name, _ = first.result()
        router.time -= 3600
        said = [(64577, 64500 + number) for number in range(4)]
        for path in said:
            await says(router.announce(OTHER, path=path))
        async with http.stream("GET", url, params=asked, headers={"Last-Event-ID": name}) as response:
            last = " ".join(map(str, said[-1]))
            missed = [entry async for _, entry in _until(events(response), lambda one: one["as_path"] == last)]
    assert [one["as_path"] for one in missed if one["prefix"] == OTHER] == [f"{peer} {origin}" for peer, origin in said]


async def _until(
    coming: AsyncIterator[tuple[str, JsonObject]], last: Callable[[JsonObject], bool]
) -> AsyncIterator[tuple[str, JsonObject]]:
    async for one in coming:
        yield one
        if last(one[1]):
            return


async def say(socket: ClientConnection, kind: str, data: Any = None) -> JsonObject:
    """Send a message; returns the answer."""
    await socket.send(json.dumps({"type": kind, "data": data}))
    while True:
        answer: JsonObject = json.loads(await socket.recv())
        if answer["type"] != "ris_message":
            return answer


async def test_the_protocol_of_ris_live(scene: Scene) -> None:
    async with connect(f"{scene.socket}/v1/ws/?client=test") as socket:
        assert (await say(socket, "ping"))["type"] == "pong"
        asked = {"prefix": "203.0.112.0/22", "path": "64496$", "type": "UPDATE", "require": "announcements"}
        accepted = await say(socket, "ris_subscribe", asked | {"socketOptions": {"acknowledge": True}})
        assert accepted["type"] == "ris_subscribe_ok"
        assert accepted["data"]["subscription"] == asked
        for wrong in ({"prefix": "x"}, {"path": "(a+)+"}, {"peer": "nobody"}, {"require": "nothing"}):
            assert (await say(socket, "ris_subscribe", wrong))["type"] == "ris_error"
        assert (await say(socket, "nonsense"))["type"] == "ris_error"
        await socket.send("[1")
        assert json.loads(await socket.recv())["type"] == "ris_error"
        coming = asyncio.ensure_future(socket.recv())
        while not coming.done():
            await scene.announces(PREFIX, OTHER)
            await asyncio.wait((coming,), timeout=1)
        said = json.loads(coming.result())
        assert said["type"] == "ris_message"
        data = said["data"]
        assert data["announcements"] == [{"next_hop": "192.0.2.1", "prefixes": [PREFIX, OTHER]}]
        assert (data["peer"], data["peer_asn"], data["path"]) == ("192.0.2.1", "64500", [64500, 64496])
        assert abs(data["timestamp"] - time.time()) < 3600
        assert (await say(socket, "request_rrc_list"))["type"] == "ris_rrc_list"


async def test_the_page_shows_what_comes(scene: Scene) -> None:
    page = (ROOT / "docs/http.md").read_text()
    accepted, message = [json.loads(line) for line in re.findall(r'^\{"type": "ris_.*', page, re.MULTILINE)]
    asked = re.search(r"/v1/ws/\?from=10m&speed=10, (\{.*\})", page)
    assert asked
    await scene.announces(PREFIX, path=(64500, 64511))
    async with connect(f"{scene.socket}/v1/ws/?from=10m&speed=100000") as socket:
        assert await say(socket, "ris_subscribe", json.loads(asked[1])) == accepted
        data = json.loads(await socket.recv())["data"]
    shown = message["data"]
    assert [(name, type(value)) for name, value in data.items()] == [(name, type(shown[name])) for name in shown]
    assert [len(one["id"].rpartition("-")[2]) for one in (data, shown)] == [24, 24]
    assert data["announcements"][0].keys() == shown["announcements"][0].keys()


async def test_messages_come_with_their_bytes_if_asked_for(scene: Scene) -> None:
    await scene.announces(PREFIX, OTHER, path=(64500, 64514))
    async with connect(f"{scene.socket}/v1/ws/?from=10m&speed=100000") as socket:
        asked = {"path": "64514$", "socketOptions": {"includeRaw": True, "acknowledge": True}}
        accepted = await say(socket, "ris_subscribe", asked)
        assert accepted["data"]["socketOptions"] == {"includeRaw": True, "acknowledge": True}
        await scene.announces(PREFIX, OTHER, path=(64500, 64514))
        data = json.loads(await socket.recv())["data"]
        read = decode_message(bytes.fromhex(data["raw"]), Abilities(as4=True, families=FAMILIES))
        assert read["attributes"]["as_path"] == "64500 64514"
        assert [group["nlri"] for group in read["announce"]] == [[PREFIX, OTHER]]


async def test_pages_of_others_open_no_socket(scene: Scene) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{scene.socket}/v1/ws/", origin="https://evil.example"):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403


async def test_the_past_comes_through_the_same_socket(scene: Scene) -> None:
    await scene.announces(PREFIX)
    await scene.withdraws(PREFIX)
    async with connect(f"{scene.socket}/v1/ws/?from=10m&speed=100000") as socket:
        for _ in range(20):  # whoever takes their time to subscribe misses nothing
            await say(socket, "request_rrc_list")
        await socket.send(json.dumps({"type": "ris_subscribe", "data": {"socketOptions": {"acknowledge": False}}}))
        found: list[JsonObject] = []
        while not any(one.get("withdrawals") for one in found):
            found.append(json.loads(await socket.recv())["data"])
        assert [one.get("state") for one in found if "state" in one][:1] in ([], ["up"])
        assert found[-1]["withdrawals"] == [PREFIX]
    async with connect(f"{scene.socket}/v1/ws/?from=nonsense") as socket:
        assert json.loads(await socket.recv())["type"] == "ris_error"


def test_thousands_of_subscriptions_are_found_as_one_by_one() -> None:
    chance = random.Random(1)
    octets, lengths = ["10", "203"], [8, 14, 18, 24]
    every = [
        f"{chance.choice(octets)}.{chance.randrange(4)}.{chance.randrange(4) * 64}.0/{chance.choice(lengths)}"
        for _ in range(3000)
    ]
    asked = [
        {
            "prefix": str(ip_network(one, strict=False)),
            "moreSpecific": chance.random() < 0.5,
            "lessSpecific": chance.random() < 0.2,
            **({"peer": "192.0.2.2"} if chance.random() < 0.8 else {}),
        }
        for one in chance.sample(every, 40)
    ]
    subscriptions = Subscriptions()
    for one in asked:
        subscriptions.add(*Request.parse(one).subscriptions)
    for text in chance.sample(every, 500):
        prefix = ip_network(text, strict=False)
        expected = any(
            "peer" not in one
            and (
                prefix == ip_network(str(one["prefix"]))
                or (one["moreSpecific"] and prefix.subnet_of(ip_network(str(one["prefix"]))))  # type: ignore[arg-type]
                or (one["lessSpecific"] and prefix.supernet_of(ip_network(str(one["prefix"]))))  # type: ignore[arg-type]
            )
            for one in asked
        )
        said = {"type": "UPDATE", "peer": "192.0.2.1", "host": "rrc00", "path": [1]}
        assert subscriptions.wants(said, [str(prefix)]) == expected, prefix
    for one in asked:
        subscriptions.remove(*Request.parse(one).subscriptions)
    assert not subscriptions.wants({"type": "UPDATE", "peer": "192.0.2.1", "host": "rrc00"}, ["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("64496", [1, 64496, 2], True),
        ("1,64496", [1, 64496, 2], True),
        ("1,2", [1, 64496, 2], False),
        ("^1", [1, 2], True),
        ("^2", [1, 2], False),
        ("2$", [1, 2], True),
        ("1$", [1, 2], False),
        ("^1,2$", [1, 2], True),
        ("^1$", [1, 2], False),
        ("5", [1, [4, 5]], True),
        ("[4,5]$", [1, [4, 5]], True),
        ("[5]", [1, [4, 5]], False),
        ("!^1", [1, 2], False),
        ("!2,1", [1, 2], True),
        ("1,2,3", [1, 2], False),
        (64496, [64496], True),
    ],
)
def test_paths_are_matched(pattern: str, path: list[Any], found: bool) -> None:
    one = Subscription.model_validate({"path": pattern})
    said = {"type": "UPDATE", "peer": "192.0.2.1", "host": "rrc00", "path": path}
    assert one.takes(said) == found
    assert not one.takes({name: value for name, value in said.items() if name != "path"})
