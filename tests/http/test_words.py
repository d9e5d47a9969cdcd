"""Communities in words: the registry's, and those that a file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgpledger import Archive
from collector.errors import ConfigurationError
from collector.http.pages.words import Words
from collector.settings.load import load
from tests.http.conftest import Filled, client

TEXT = """\
# what our communities mean

65000:100 = customer
65000:1* = learnt <in> Oslo
64500:1:* = of a = peer
no-export = ours: not beyond us
"""


def test_a_file_says_more_than_the_registry(tmp_path: Path) -> None:
    file = tmp_path / "communities"
    file.write_text(TEXT)
    words = Words.read(file)
    said = {
        "65000:100": "customer",
        "65000:101": "learnt <in> Oslo",
        "65000:200": "",
        "64500:1:9": "of a = peer",
        "65535:65281": "ours: not beyond us",
        "65535:666": "blackhole",
    }
    assert {community: words.of(community) for community in said} == said
    assert Words.read(None).of("65535:65281") == "no-export"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("65000:70000 = x", "70000 is more than 65535"),
        ("65000:1", "no words for '65000:1'"),
        ("hello = x", "line 1: 'hello' is no community"),
        ("<b> = x", "has such characters"),
        ("= x", "is no community"),
    ],
)
def test_an_invalid_line_is_reported(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "communities"
    file.write_text(f"{text}\n")
    with pytest.raises(ConfigurationError) as told:
        Words.read(file)
    assert why in told.value.cause
    assert "65000:100 = customer" in told.value.cure


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Words.read(tmp_path / "none")


async def test_a_page_shows_the_words(asked: Archive, filled: Filled, tmp_path: Path) -> None:
    file = tmp_path / "communities"
    async with client(asked, filled.settings) as http:
        updates = (await http.get("/api/v1/updates?elem=announce&all=true&page=1000")).json()["answers"]
    one = next(entry for entry in updates if entry["communities"])
    file.write_text(f"{one['communities'][0]} = learnt <in> Oslo\n")
    told = load(None, environ={**filled.environment, "BGPLEDGER_HTTP_COMMUNITIES": str(file)})
    async with client(asked, told) as http:
        page = await http.get("/lookup", params={"q": one["prefix"], "at": one["ts"]})
        assert "learnt &lt;in&gt; Oslo" in page.text
