"""Announcing over HTTP, with a real collector: ExaBGP accepts the orders, though no peer is up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from pymongo import MongoClient

from collector.errors import UsageError
from collector.http import tokens
from collector.http.tokens import Bounds
from collector.store.driver import Document
from schemas.json_object import JsonObject
from tests.http.browsing import AXE, PATIENCE, Watched
from tests.running import BGPLEDGER, bgpledger, free_port
from tests.support import missing, program

HERE = "/api/v1/announcements"
KEY = ("--key", "4713")
CONFIGURATION = """
[bgp]
listen = "127.0.0.1:{bgp}"
local_as = 64510
[http]
listen = "127.0.0.1:{http}"
[announce]
prefixes = ["203.0.113.0/24 le 32", "198.51.100.0/24", "2001:db8::/48"]
flows = true
[[peers]]
address = "127.0.0.3"
asn = 64501
passive = true
families = ["ipv4 unicast"]
[[peers]]
address = "127.0.0.2"
asn = 64500
passive = true
[[policies]]
name = "mark"
prefixes = ["203.0.113.64/26"]
add_communities = ["64510:1"]
[[policies]]
name = "not there"
peers = ["127.0.0.3"]
communities = ["64510:1"]
reject = true
"""


class Announcing(NamedTuple):
    """A collector that may announce, and its tokens."""

    url: str
    noc: str
    one: str
    any: str
    slow: str
    reader: str
    data_dir: Path
    documents: Callable[[str], list[JsonObject]]

    def ask(self, token: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)


def until(what: Callable[[], Any]) -> Any:
    end = monotonic() + PATIENCE
    while not (found := what()):
        assert monotonic() < end
        sleep(0.1)
    return found


@pytest.fixture(scope="module")
def announcing(embedded_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Announcing]:
    home, database = tmp_path_factory.mktemp("announcing"), f"test_{uuid.uuid4().hex[:12]}"
    http = free_port()
    (home / "collector.toml").write_text(CONFIGURATION.format(bgp=free_port(), http=http))
    data_dir = home / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
    environment |= {"BGPLEDGER_MONGODB_URI": embedded_uri, "BGPLEDGER_MONGODB_DATABASE": database}
    command = [BGPLEDGER, "--data-dir", str(data_dir), "run", "--config", str(home / "collector.toml")]
    prefixes = Bounds(("203.0.113.0/24 le 32",))
    noc = tokens.add(data_dir, "noc", "announce", prefixes)
    one = tokens.add(data_dir, "one", "announce", prefixes._replace(limit=1))
    every = tokens.add(data_dir, "any", "announce", Bounds())
    slow = tokens.add(data_dir, "slow", "announce", prefixes._replace(rate=0.001))
    reader = tokens.add(data_dir, "reader", "read")
    with (
        (home / "log").open("wb") as log,
        MongoClient[Document](embedded_uri) as client,
        subprocess.Popen(command, env=environment, stderr=log, stdout=log) as collector,
    ):

        def is_up() -> bool:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{http}/health").close()
            except urllib.error.URLError:
                return False
            return (data_dir / "acting.jsonl").exists()

        try:
            until(is_up)
            url = f"http://127.0.0.1:{http}"
            yield Announcing(
                url, noc, one, every, slow, reader, data_dir, lambda name: list(client[database][name].find())
            )
        finally:
            collector.terminate()
            collector.wait(PATIENCE)
            client.drop_database(database)


def order(*prefixes: str, **more: Any) -> JsonObject:
    return {"announcements": [{"prefix": prefix} for prefix in prefixes], "why": "a test", **more}


def test_an_order_is_accepted_shown_and_withdrawn(announcing: Announcing) -> None:
    with announcing.ask(announcing.noc) as noc:
        body = order("203.0.113.7/32")
        taken = until(lambda: (said := noc.post(HERE, json=body)).status_code == 201 and said)
        (name,) = taken.json()["ids"]
        assert taken.headers["location"] == f"{HERE}/{name}"
        assert (taken.json()["intent"]["who"], taken.json()["intent"]["source"]) == ("noc", "api")
        until(lambda: noc.get(f"{HERE}/{name}").json()["state"] == "accepted")
        assert [one["id"] for one in noc.get(HERE, params={"who": "noc"}).json()["answers"]] == [name]
        assert noc.delete(f"{HERE}/{name}").status_code == 400  # `why` is missing
        assert noc.delete(f"{HERE}/{name}", params={"why": "it is over"}).status_code == 200
        gone = until(lambda: (one := noc.get(f"{HERE}/{name}").json())["state"] == "withdrawn" and one)
        assert ("noc", "it is over") in [(one["who"], one["reason"]) for one in gone["states"]]
        assert noc.get(HERE, params={"who": "noc"}).json()["answers"] == []
        assert len(noc.get(HERE, params={"state": "withdrawn", "who": "noc"}).json()["answers"]) == 1
        assert noc.delete(f"{HERE}/{'0' * 24}", params={"why": "x"}).status_code == 404


def test_a_key_is_for_one_order(announcing: Announcing) -> None:
    with announcing.ask(announcing.noc) as noc:
        key = {"Idempotency-Key": "4711"}
        first = until(lambda: (s := noc.post(HERE, json=order("203.0.113.8/32"), headers=key)).status_code == 201 and s)
        again = noc.post(HERE, json=order("203.0.113.8/32"), headers=key)
        assert again.json()["ids"] == first.json()["ids"]
        other = noc.post(HERE, json=order("203.0.113.9/32"), headers=key)
        assert (other.status_code, "another order has already used" in other.json()["detail"]) == (422, True)


def test_a_token_orders_only_so_often(announcing: Announcing) -> None:
    with announcing.ask(announcing.noc) as noc:
        until(lambda: noc.post(HERE, json=order("203.0.113.0/28", dry_run=True)).status_code == 200)
    with announcing.ask(announcing.slow) as slow:
        taken = slow.post(HERE, json=order("203.0.113.10/32"))
        assert taken.status_code == 201
        more = slow.post(HERE, json=order("203.0.113.11/32"))
        assert (more.status_code, more.json()["cure"]) == (429, "order less often, or put many routes into one order")
        assert int(more.headers["retry-after"]) > 60
        (name,) = taken.json()["ids"]
        assert slow.delete(f"{HERE}/{name}", params={"why": "it is over"}).status_code == 429
    with announcing.ask(announcing.noc) as noc:
        assert noc.delete(f"{HERE}/{name}", params={"why": "it is over"}).status_code == 200


def test_an_order_that_is_only_checked_is_not_carried_out(announcing: Announcing) -> None:
    with announcing.ask(announcing.noc) as noc:
        said = until(
            lambda: (
                (s := noc.post(HERE, json=order("203.0.113.64/26", "203.0.113.64/27", dry_run=True))).status_code == 200
                and s
            )
        )
        plain = "attributes next-hop self origin igp"
        assert said.json()["would"] == [
            {
                "nlri": "203.0.113.64/26",
                "peers": {"127.0.0.2": f"{plain} community [ 64510:1 ]"},
                "policies": {"127.0.0.3": ["mark", "not there"], "127.0.0.2": ["mark"]},
                "failing": {},
            },
            {
                "nlri": "203.0.113.64/27",
                "peers": {"127.0.0.3": plain, "127.0.0.2": plain},
                "policies": {},
                "failing": {},
            },
        ]
        assert "203.0.113.64/26" not in noc.get(HERE).text
    words = ("announce", "203.0.113.64/26", "--why", "a test", "--dry-run")
    typed = bgpledger("--data-dir", str(announcing.data_dir), *words)
    assert typed.stdout.splitlines() == [
        f"203.0.113.64/26  127.0.0.2  {plain} community [ 64510:1 ]  by policy: mark",
        "203.0.113.64/26  127.0.0.3  rejected  by policy: mark, not there",
    ]


def test_refusals_have_cause_and_cure_and_are_written_down(announcing: Announcing) -> None:
    with announcing.ask(announcing.noc) as noc:
        until(lambda: noc.post(HERE, json=order("203.0.113.0/28", dry_run=True)).status_code == 200)
    one = {"prefix": "203.0.113.6/32"}
    flow = {"match": {"destination": "203.0.113.6/32"}, "then": {"discard": True}}
    refused = [
        (None, order("203.0.113.1/32"), 401, "a change requires a token"),
        ("x", order("203.0.113.1/32"), 401, "the token is not known here"),
        (announcing.reader, order("203.0.113.2/32"), 403, "the token 'reader' only allows queries"),
        (announcing.noc, order("198.51.100.0/24"), 403, "is not for 198.51.100.0/24"),
        (announcing.one, order("203.0.113.3/32", "203.0.113.4/32"), 403, "more than 1 routes would be announced"),
        (announcing.any, order("0.0.0.0/0"), 422, "0.0.0.0/0 is a default route, which is never announced"),
        (announcing.any, order("::/0"), 422, "::/0 is a default route, which is never announced"),
        (announcing.any, order("192.0.2.0/24"), 422, "none of the prefixes that may be announced"),
        (announcing.any, order("2001:db8::/48", peers=["127.0.0.3"]), 422, "not configured for ipv6 unicast"),
        (announcing.noc, {"announcements": [flow], "why": "a test"}, 422, "not configured for ipv4 flow: 127.0.0.3, 1"),
        (announcing.noc, order("203.0.113.1/24"), 422, "has host bits set: the prefix is 203.0.113.0/24"),
        (announcing.noc, order("203.0.113.5/32", "203.0.113.5/32"), 422, "203.0.113.5/32 is listed twice"),
        (announcing.noc, order("203.0.113.6/32", peers=["192.0.2.9"]), 422, "no peer has the address 192.0.2.9"),
        (announcing.noc, order("203.0.113.6/32", expires="2020-01-01T00:00:00Z"), 422, "is in the past"),
        (announcing.noc, {"announcements": [{**one, "local_pref": 5}], "why": "a test"}, 422, "peers in our own AS"),
        (announcing.noc, {**order("203.0.113.6/32"), "who": "root"}, 422, "who"),
        (
            announcing.noc,
            {"announcements": [{**one, "meds": 5}], "why": "a test"},
            422,
            "announcements[0].meds is not known",
        ),
        (announcing.noc, [], 422, "the body is not a JSON object"),
        (announcing.noc, {"announcements": [{"prefix": "203.0.113.6/32; shutdown"}], "why": "a test"}, 422, "prefix"),
    ]
    for token, body, status, says in refused:
        with announcing.ask(token) as client:
            said = client.post(HERE, json=body)
            assert (said.status_code, bool(said.json()["cure"])) == (status, True), (body, said.text)
            assert says in said.json()["detail"], said.text
    another = "another order has already used this key"
    with announcing.ask(announcing.noc) as noc:
        key = {"Idempotency-Key": "4712"}
        assert noc.post(HERE, json=order("203.0.113.10/32"), headers=key).status_code == 201
        said = noc.post(HERE, json=order("203.0.113.11/32"), headers=key)
        assert (said.status_code, another in said.json()["detail"]) == (422, True)
        assert said.json()["cure"] == "give each order a key of its own"
        assert noc.post(HERE, json=order("203.0.113.12/32", peers=["192.0.2.9"], dry_run=True)).status_code == 422
        assert noc.post(HERE, json=order("198.51.100.0/24", dry_run=True)).status_code == 403
    until(lambda: len(announcing.documents("refusals")) >= len(refused) + 3)
    written = [one for one in announcing.documents("refusals") if one["source"] == "api"]
    assert {"not known", "noc", "one", "any", "reader"} == {one["who"] for one in written}
    assert all(one["cause"] and one["cure"] for one in written)
    for says in (another, *(says for *_, says in refused)):
        assert any(says in one["cause"] for one in written), says
    (stranger, _) = [one for one in written if one["who"] == "not known"]
    assert (stranger["cause"], stranger["order"]) == ("a change requires a token", f"POST {HERE} from 127.0.0.1")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["203.0.113.1/24"], 2, "'203.0.113.1/24' has host bits set: the prefix is 203.0.113.0/24"),
        (["0.0.0.0/0"], 1, "0.0.0.0/0 is a default route, which is never announced"),
        (["192.0.2.0/24", "--dry-run"], 1, "192.0.2.0/24 is none of the prefixes that may be announced"),
        (["203.0.113.20/32", "--peer", "192.0.2.9"], 1, "no peer has the address 192.0.2.9"),
        (["203.0.113.20/32", "--local-pref", "200"], 1, "LOCAL_PREF is only for peers in our own AS"),
        (["203.0.113.20/32", "--expires", "2020-01-01T00:00:00Z"], 1, "is in the past"),
        (["::/0"], 1, "::/0 is a default route, which is never announced"),
        (["2001:db8::/48", "--peer", "127.0.0.3"], 1, "not configured for ipv6 unicast: 127.0.0.3"),
        (["203.0.113.20/32", "--flow", "--match", "port=80", "--then", "discard"], 2, "--match port is not known here"),
        (["203.0.113.20/32", "--community", "blackhol"], 2, "--community: 'blackhol' is neither N:N nor one of"),
        (["203.0.113.20/32", *KEY], 1, "another order has already used this key"),
    ],
)
def test_the_command_line_is_refused_with_cause_and_cure_and_it_is_written_down(
    announcing: Announcing, words: list[str], status: int, says: str
) -> None:
    if "--key" in words:
        first = bgpledger(
            "--data-dir", str(announcing.data_dir), "announce", "203.0.113.21/32", *KEY, "--why", "a test"
        )
        assert first.returncode == 0, first.stderr
    said = bgpledger("--data-dir", str(announcing.data_dir), "announce", *words, "--why", f"{words}"[:400])
    assert (said.returncode, said.stdout) == (status, "")
    assert says in said.stderr, said.stderr
    assert len(said.stderr.strip().splitlines()) >= 2, "a cause and a cure"

    def written() -> list[str]:
        return [one["cause"] for one in announcing.documents("refusals") if one["source"] == "cli"]

    until(lambda: any(says in cause for cause in written()))


def test_a_page_orders_and_withdraws_without_a_script(announcing: Announcing) -> None:
    ours = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    with httpx.Client(base_url=announcing.url, headers=ours, timeout=PATIENCE) as browser:
        assert "sign in" in browser.get("/announcements").text
        form = {"prefixes": "203.0.113.16/28", "why": "by hand", "communities": "64510:1, 64510:1:2", "key": "k"}
        assert browser.post("/announcements", data=form).headers["location"] == "/sign-in?next=%2Fannouncements"
        browser.post("/sign-in", data={"token": announcing.noc, "next": "/announcements"})
        key = re.search(r'name="key" value="(\w{32})"', browser.get("/announcements").text)
        assert key
        assert "It could be announced" in browser.post("/announcements", data={**form, "do": "check"}).text
        refused = browser.post("/announcements", data={**form, "prefixes": "198.51.100.0/24", "do": "announce"})
        assert (refused.status_code, "is not for 198.51.100.0/24" in refused.text) == (403, True)
        assert ">198.51.100.0/24</textarea>" in refused.text
        cross = browser.post("/announcements", data=form, headers={"Sec-Fetch-Site": "cross-site"})
        assert cross.status_code == 403
        there = browser.post("/announcements", data={**form, "do": "announce"}).headers["location"]
        assert "64510:1:2" in browser.get(there).text
        assert browser.post(f"{there}/withdraw", data={"why": ""}).status_code == 422
        assert browser.post(f"{there}/withdraw", data={"why": "<done>"}).headers["location"] == there
        until(lambda: "&lt;done&gt;" in browser.get(there).text)
        assert "203.0.113.16/28" in browser.get("/announcements?ended=true").text
        until(lambda: announcing.documents("intents"))
        assert browser.get("/prefix/203.0.113.16/28").status_code == 200


def test_the_form_and_a_detail_are_fit_for_everybody(announcing: Announcing) -> None:
    if not AXE.exists():
        missing("axe-core is not installed; `make tools` installs it where it may")
    with announcing.ask(announcing.noc) as noc:
        (name,) = until(
            lambda: (s := noc.post(HERE, json=order("203.0.113.12/32"))).status_code == 201 and s.json()["ids"]
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        watched = Watched(started.new_context(base_url=announcing.url))
        watched.page.goto("/sign-in?next=/announcements")
        watched.page.get_by_label("Token").fill(announcing.noc)
        watched.page.get_by_label("Token").press("Enter")
        expect(watched.page.get_by_role("button", name="Announce", exact=True)).to_be_visible(timeout=1000 * PATIENCE)
        for path in ("/announcements", f"/announcements/{name}"):
            watched.page.goto(path)
            for theme in ("light", "dark"):
                watched.page.emulate_media(color_scheme=theme)
                watched.faults += watched.axe()
        started.close()
    assert not watched.faults


def test_bounds_are_for_those_who_announce(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        tokens.add(tmp_path, "a", "read", Bounds(limit=1))
    with pytest.raises(UsageError, match="is not a prefix"):
        tokens.add(tmp_path, "a", "announce", Bounds(("203.0.113.0",)))
    tokens.add(tmp_path, "a", "announce", Bounds(("203.0.113.0/24^+",), 5, 0.5))
    (one,) = json.loads((tmp_path / "tokens.json").read_text())
    assert (one["prefixes"], one["limit"], one["rate"]) == (["203.0.113.0/24^+"], 5, 0.5)
