"""docs/exabgp-differences.md is true and complete: all else in ExaBGP's JSON gives the document of the bytes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from collector.bgp import messages as bgp
from collector.bgp import mrt
from collector.bgp.decode import decode_message
from collector.bgp.mrt_messages import MrtMessage
from collector.bgp.open_messages import Abilities
from collector.sources.exabgp import from_bytes
from collector.sources.exabgp.decode import decode
from schemas.documents import Place, to_document
from schemas.keys import make_key
from schemas.message import Answer, Message, Packet
from tests.exabgp_lines import Speaker
from tests.support import ROOT, SHARED

AS4 = Abilities(as4=True, families=frozenset())
RIS = [SHARED / "mrt" / name for name in ("updates.20160811.1600.gz", "updates.et-header.2015.gz")]
EVERY = int(os.environ.get("EVERY", "97"))
"""Which UPDATEs of a RIS file are compared; `make differences` compares all."""
_ROW = re.compile(r"\| ([^|`]+) \| `([^`]+)` \| `([^`]+)` \| ([^|`]+) \| (UPDATE|NOTIFICATION) `([0-9a-f]+)` \|")
PAGE = (ROOT / "docs/exabgp-differences.md").read_text()
ROWS = [found.groups() for found in map(_ROW.fullmatch, PAGE.splitlines()) if found]


def said_by(message: Any) -> dict[str, Any]:
    """The fields of a document that hold the message, without those for source and time."""
    assert not isinstance(message, tuple), message
    document = to_document(message, Place(make_key(message.ts, 1, 1), message.ts, "c", None))
    return {name: value for name, value in document.items() if name not in ("_id", "v", "ts", "wire", "origin_asns")}


def differing(one: Any, other: Any) -> tuple[Any, Any]:
    """The fields in which two documents differ."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one, other
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    parts = {name: differing(one.get(name), other.get(name)) for name in names}
    return (
        {name: parts[name][0] for name in names if name in one},
        {name: parts[name][1] for name in names if name in other},
    )


def hear(speaker: Speaker, wire: bytes) -> bytes:
    """The line that ExaBGP prints for a message, without its bytes."""
    body = wire[bgp.HEADER_LENGTH :]
    if wire[18] == bgp.NOTIFICATION:
        return speaker.hear_notification(body)
    withdrawn = 2 + int.from_bytes(body[:2])
    end = withdrawn + 2 + int.from_bytes(body[withdrawn : withdrawn + 2])
    return speaker.hear(body[withdrawn + 2 : end], body[end:], body[2:withdrawn])


def of_bytes(wire: bytes) -> dict[str, Any]:
    said = decode_message(wire, AS4)
    return {name: value for name, value in said.items() if (name, value) != ("kind", "update")}


def of_json(line: bytes) -> dict[str, Any]:
    return {name: value for name, value in said_by(decode(line)).items() if name not in ("source", "peer", "collector")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_exabgp_differs_as_the_page_says_it_does(row: tuple[str, ...]) -> None:
    _what, theirs, mine, _why, kind, said = row
    wire = bgp.message(getattr(bgp, kind), bytes.fromhex(said))
    found = differing(of_json(hear(Speaker(), wire)), of_bytes(wire))
    assert found == (json.loads(theirs), json.loads(mine))


def test_every_row_of_the_page_is_tested() -> None:
    assert len(ROWS) == len([line for line in PAGE.splitlines() if line.startswith("| ")]) - 2


def recorded() -> Iterator[tuple[Path, bytes]]:
    """Recorded lines that include the bytes of their message."""
    for file in sorted((SHARED / "exabgp-json").glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            if b'"header": "0x' in line:
                yield file, line


WORDS = next(row for row in ROWS if row[4] == "NOTIFICATION")


def test_recorded_lines_give_the_same_documents_as_their_bytes() -> None:
    compared = 0
    for file, line in recorded():
        wire = from_bytes.split(line)
        if wire is None:
            continue
        alone = re.sub(rb' "header": "0x[0-9A-F]+",(?: "body": "0x[0-9A-F]+",)?', b"", line, count=1)
        theirs, mine = said_by(decode(alone)), said_by(from_bytes.read(wire, AS4))
        known = differing(theirs, mine) in (({}, {}), (json.loads(WORDS[1]), json.loads(WORDS[2])))
        assert known, (file.name, differing(theirs, mine))
        compared += 1
    if not compared:
        pytest.skip(f"{SHARED} is not here")
    assert compared == 31


def test_recorded_packets_give_the_same_documents_as_the_lines_beside_them() -> None:
    packets = compared = 0
    for file in sorted((SHARED / "exabgp-json").glob("mode-*packets*.jsonl")):
        before: Message | None = None
        for line in file.read_bytes().splitlines():
            message = decode(line)
            assert not isinstance(message, tuple), (file.name, message)
            if isinstance(before, Packet) and before.wire and not isinstance(message, Packet | Answer):
                mine, theirs = of_bytes(before.wire), of_json(line)
                if message.kind == decode_message(before.wire, AS4)["kind"]:
                    known = differing(theirs, mine)[1] in ({}, json.loads(WORDS[2]))
                    assert known, (file.name, differing(theirs, mine))
                    compared += 1
            packets += isinstance(message, Packet)
            before = message
    if not packets:
        pytest.skip(f"{SHARED} is not here")
    assert compared


def unordered(document: dict[str, Any]) -> dict[str, Any]:
    """Ignore the order of communities, as the page says, and the order of families, which varies."""
    attributes = {
        name: sorted(value, key=str) if name.endswith("communities") else value
        for name, value in document.get("attributes", {}).items()
        if name != "unknown"
    }
    routes = {event: sorted(document.get(event, ()), key=str) for event in ("announce", "withdraw")}
    return {**document, "attributes": attributes, **routes}


@pytest.mark.parametrize("file", RIS, ids=lambda file: file.name)
def test_updates_of_ris_give_the_same_documents_from_bytes_and_from_json(file: Path) -> None:
    if not file.exists():
        pytest.skip(f"{SHARED} is not here")
    speaker, compared = Speaker(), 0
    records = (one for one in mrt.read(file) if isinstance(one, MrtMessage) and one.data[18] == bgp.UPDATE)
    for record in islice(records, 0, None, EVERY):
        assert record.as4
        line = hear(speaker, record.data)
        assert unordered(of_json(line)) == unordered(of_bytes(record.data)), record.data.hex()
        compared += 1
    print(f"{file.name}: {compared} UPDATEs the same")
    assert compared
