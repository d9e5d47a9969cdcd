"""Every answer over HTTP is the command line's, word for word: HTTP_QUESTIONS=500 (make http-questions) asks many."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from io import StringIO
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from bgpledger import Archive
from collector.cli import main
from schemas.json_object import JsonObject
from tests.http.conftest import BEGIN, Filled, client
from tests.store.test_asking import PREFIXES

QUESTIONS = int(os.environ.get("HTTP_QUESTIONS") or 40)
TIMES = [(BEGIN + timedelta(seconds=seconds)).isoformat() for seconds in (-60, 0, 3.5, 20, 45, 90)]
FILTERS: dict[str, Sequence[str]] = {
    "peer": ["192.0.2.1", "192.0.2.0/24", "!192.0.2.2", "198.51.100.7", "192.0.2.1,2001:db8::3"],
    "peer_asn": ["64500", "!64500", "64501", "1.10"],
    "origin": ["64496", "!64496,!64499", "64500"],
    "as_path": ["_64499_", "!^64500$", "64511$", "(", "6451[01]"],
    "community": ["64500:*", "!64500:1", "no-export"],
    "next_hop": ["192.0.2.7", "!192.0.2.1"],
    "family": ["ipv4", "ipv6", "ipv7"],
    "med": ["0", "10", "!0"],
    "local_pref": ["100"],
    "attribute": ["otc", "med"],
}
OF_ENTRIES: dict[str, Sequence[str]] = {
    "start": TIMES,
    "end": TIMES,
    "duration": ["20s", "1h"],
    "elem": ["announce", "withdraw", "session", "!session"],
}
FORMATS = ["jsonl", "jsonl", "csv", "psv", "bgpdump"]


class Question(NamedTuple):
    """The same one in both ways."""

    command: list[str]
    path: str
    parameters: dict[str, str]


def some_question(chance: random.Random) -> Question:
    kind = chance.choice(["history", "rib", "routes", "lookup", "updates", "updates", "diff", "top", "peers"])
    standing = kind in ("rib", "routes", "lookup", "diff")
    known = {} if kind == "peers" else FILTERS if standing else FILTERS | OF_ENTRIES
    names = chance.sample(sorted(known), min(len(known), chance.choice([0, 1, 1, 2])))
    parameters = {name: chance.choice(known[name]) for name in names}
    prefix = chance.choice([*PREFIXES, "10.1.2.3", "10.1.2.3/16", "203.0.113.0/33"])
    # Routes that stand now have the second in which that is, with bgpdump.
    form = chance.choice(FORMATS if kind in ("history", "updates") else FORMATS[:4])
    options = [word for name, value in parameters.items() for word in (f"--{name.replace('_', '-')}", value)]
    parameters["format"] = form
    options += ["--format", form]
    if kind not in ("top", "peers") and chance.random() < 0.3:
        parameters["limit"] = str(chance.randint(1, 20))
        options += ["--limit", parameters["limit"]]
    if kind in ("rib", "routes", "lookup") and chance.random() < 0.5:
        parameters["at"] = chance.choice(TIMES)
        options += ["--at", parameters["at"]]
    return _of(kind, prefix, options, parameters, chance)


def _of(kind: str, prefix: str, options: list[str], parameters: dict[str, str], chance: random.Random) -> Question:
    place = f"/api/v1/prefixes/{quote(prefix, safe='/')}"
    if kind == "history" or kind == "lookup":
        return Question([kind, prefix, *options], f"{place}/{kind}", parameters)
    if kind == "rib":
        match = chance.choice(["exact", "more_specific", "less_specific"])
        more = [] if match == "exact" else [f"--{match.replace('_', '-')}"]
        return Question(["rib", prefix, *options, *more], f"{place}/rib", {**parameters, "match": match})
    if kind == "routes":
        return Question(["rib", *options], "/api/v1/rib", parameters)
    if kind == "updates":
        return Question(["search", "--all", *options], "/api/v1/updates", {**parameters, "all": "true"})
    if kind == "diff":
        earlier, later = chance.sample(TIMES, 2)
        times = {"earlier": earlier, "later": later}
        return Question(["diff", earlier, later, *options], "/api/v1/diff", {**parameters, **times})
    if kind == "top":
        what, by = chance.choice(["prefixes", "origins", "peers", "paths"]), chance.choice(["flaps", "path-changes"])
        asked = {**parameters, "by": by.replace("-", "_")}
        return Question(["top", what, "--by", by, *options], f"/api/v1/top/{what}", asked)
    return Question(["peers", *options], "/api/v1/peers", parameters)


def by_command_line(command: Sequence[str]) -> tuple[int, str, str]:
    out, err = StringIO(newline=""), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(command)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def by_http(filled: Filled, questions: Sequence[Question]) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        async with Archive.found(filled.settings) as archive, client(archive, filled.settings) as http:
            return [await http.get(one.path, params=one.parameters) for one in questions]

    return asyncio.run(ask())


def timeless(said: str) -> str:
    """An answer without times that change with each query, such as the age of a KEEPALIVE."""
    without_age = re.sub(r"\b\d+\.\d{3,}(?=[,|}])|\b\d+:\d\d:\d\d ago", "some time", said)
    return re.sub(r"it is [-0-9]+ [.:0-9]+ UTC", "it is now", without_age)


@pytest.fixture
def questions(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    for name, value in filled.environment.items():
        monkeypatch.setenv(name, value)
    chance = random.Random(os.environ.get("HTTP_SEED") or random.randrange(2**32))
    return [some_question(chance) for _ in range(QUESTIONS)]


def test_answers_are_those_of_the_command_line(filled: Filled, questions: list[Question]) -> None:
    answered = 0
    for question, response in zip(questions, by_http(filled, questions), strict=True):
        status, out, err = by_command_line(question.command)
        if response.status_code == 200:
            assert (timeless(response.content.decode()), status) == (timeless(out), 0), question
            for note in json.loads(response.headers["bgpledger-notes"]):
                assert note in err, question
            answered += bool(out)
        else:
            problem: JsonObject = response.json()
            assert (response.status_code, status) == (400, 2), (question, problem, err)
            assert f"error: {timeless(problem['detail'])}\n" in timeless(err), question
    assert answered > QUESTIONS / 4


async def test_pages_have_all_answers_once(http: httpx.AsyncClient) -> None:
    for path, parameters in (
        ("/api/v1/updates", {"all": "true"}),
        ("/api/v1/rib", {}),
        (f"/api/v1/prefixes/{PREFIXES[0]}/history", {}),
    ):
        whole = (await http.get(path, params={**parameters, "format": "jsonl"})).text.splitlines()
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await http.get(path, params={**parameters, "page": "7", **cursor})).json()
            assert len(page["answers"]) <= 7
            found += page["answers"]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert found == [json.loads(line) for line in whole] != []


async def test_pages_of_lines_are_linked(http: httpx.AsyncClient) -> None:
    url, lines = "/api/v1/updates?all=true&page=9&format=csv", []
    while url:
        page = await http.get(url)
        lines += page.text.splitlines()[1:]
        url = page.links.get("next", {}).get("url", "")
    whole = (await http.get("/api/v1/updates?all=true", headers={"Accept": "text/csv"})).text.splitlines()
    assert lines == whole[1:] != []


async def test_a_limit_gives_the_newest(http: httpx.AsyncClient) -> None:
    every = (await http.get("/api/v1/updates?all=true&page=10000")).json()["answers"]
    newest = (await http.get("/api/v1/updates?all=true&limit=5")).json()
    assert (newest["answers"], newest["next"]) == (every[-5:], None)
    said = await http.get("/api/v1/updates?all=true&limit=5&page=2")
    assert (said.status_code, said.json()["detail"]) == (400, "limit excludes page and cursor")


async def test_what_is_not_covered_is_told(http: httpx.AsyncClient) -> None:
    page = (await http.get("/api/v1/rib", params={"at": "2020-01-01T00:00:00Z"})).json()
    assert (page["covered"], page["answers"]) == (False, [])
    assert "the archive begins at" in page["notes"][0]


async def test_sessions_and_gaps(http: httpx.AsyncClient) -> None:
    sessions = (await http.get("/api/v1/peers/192.0.2.1/sessions")).json()["answers"]
    shown = (await http.get("/api/v1/updates?all=true&elem=session&peer=192.0.2.1")).json()["answers"]
    assert len(sessions) == len([one for one in shown if one["event"] == "session_up"]) > 1
    every = (await http.get("/api/v1/updates?all=true&page=10000")).json()["answers"]
    gaps = (await http.get("/api/v1/gaps")).json()["answers"]
    assert gaps == [one for one in every if one["event"] == "gap"] != []
