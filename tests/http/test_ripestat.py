"""RIPEstat's formats: read by prsw, which others wrote, and right at every second."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import httpx
import prsw  # type: ignore[import-untyped]
import pytest

from schemas.json_object import JsonObject
from tests.http.conftest import BEGIN, END
from tests.store.test_asking import PREFIX

Standing = dict[tuple[str, str], list[int]]


async def data(http: httpx.AsyncClient, call: str, **parameters: str) -> JsonObject:
    said = (await http.get(f"/data/{call}/data.json", params=parameters)).json()
    assert (said["status"], said["data_call_name"]) == ("ok", call), said["messages"]
    found: JsonObject = said["data"]
    return found


async def at(http: httpx.AsyncClient, resource: str, moment: datetime) -> Standing:
    said = await data(http, "bgp-state", resource=resource, timestamp=moment.isoformat())
    return {(one["source_id"], one["target_prefix"]): one["path"] for one in said["bgp_state"]}


@pytest.mark.parametrize("resource", [PREFIX, "2001:db8::/32", "AS64496", "[10.0.0.0/8,10.1.0.0/16]"])
async def test_the_events_of_bgplay_lead_to_the_current_routes(http: httpx.AsyncClient, resource: str) -> None:
    start = BEGIN + timedelta(seconds=random.randrange(40))
    end = start + timedelta(seconds=random.randrange(1, 60))
    said = await data(http, "bgplay", resource=resource, starttime=start.isoformat(), endtime=end.isoformat())
    standing = {(one["source_id"], one["target_prefix"]): one["path"] for one in said["initial_state"]}
    for event in said["events"]:
        name = event["attrs"]["source_id"], event["attrs"]["target_prefix"]
        if event["type"] == "A":
            standing[name] = event["attrs"]["path"]
        else:
            standing.pop(name, None)
    targets = ",".join(one["prefix"] for one in said["targets"])
    expected = await at(http, targets, end - timedelta(milliseconds=1)) if targets else {}
    assert standing == expected
    nodes = {one["as_number"] for one in said["nodes"]}
    assert nodes >= {asn for path in standing.values() for asn in path}
    assert {one["id"] for one in said["sources"]} >= {source for source, _ in standing}


async def test_an_as_is_echoed_without_as(http: httpx.AsyncClient) -> None:
    assert (await data(http, "bgp-updates", resource="AS64496"))["resource"] == "64496"


async def test_times_have_no_zone_or_are_numbers(http: httpx.AsyncClient) -> None:
    written = await data(http, "bgp-state", resource=PREFIX, timestamp=BEGIN.isoformat())
    assert written["timestamp"] == BEGIN.strftime("%Y-%m-%dT%H:%M:%S")
    counted = await data(http, "bgp-state", resource=PREFIX, timestamp=BEGIN.isoformat(), unix_timestamps="TRUE")
    assert counted["timestamp"] == int(BEGIN.timestamp())


async def test_times_that_are_not_covered_are_reported(http: httpx.AsyncClient) -> None:
    said = (await http.get("/data/bgp-state/data.json", params={"resource": PREFIX, "timestamp": "2020-01-01"})).json()
    assert said["data"]["nr_routes"] == 0
    assert any("the archive begins at" in text for _, text in said["messages"])
    span = {"starttime": BEGIN.isoformat(), "endtime": END.isoformat()}
    said = (await http.get("/data/bgp-updates/data.json", params={"resource": PREFIX, **span})).json()
    assert any("is not known" in text for level, text in said["messages"] if level == "warning")  # there are gaps


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        ("bgplay", {"resource": "x"}),
        ("bgplay", {"resource": PREFIX, "starttime": "2026-11-02", "endtime": "2026-11-01"}),
        ("announced-prefixes", {"resource": PREFIX}),
        ("bgp-state", {"resource": PREFIX, "timestamp": "nonsense"}),
    ],
)
async def test_errors_are_messages(http: httpx.AsyncClient, call: str, parameters: dict[str, str]) -> None:
    response = await http.get(f"/data/{call}/data.json", params=parameters)
    said = response.json()
    assert (response.status_code, said["status"], said["status_code"]) == (400, "error", 400)
    assert said["messages"][0][0] == "error"


async def test_calls_that_only_ripestat_can_answer_say_so(http: httpx.AsyncClient) -> None:
    response = await http.get("/data/abuse-contact-finder/data.json", params={"resource": PREFIX})
    said = response.json()
    assert (response.status_code, said["status"], said["status_code"]) == (404, "error", 404)
    assert said["messages"] == [["error", said["messages"][0][1]]]
    assert "ask RIPEstat itself" in said["messages"][0][1]


async def test_the_envelope_is_in_the_order_of_theirs(http: httpx.AsyncClient) -> None:
    said = (await http.get("/data/ris-peers/data.json")).json()
    assert list(said) == [
        *("messages", "see_also", "version", "data_call_name", "data_call_status", "cached", "query_id"),
        *("process_time", "server_id", "build_version", "status", "status_code", "time", "data"),
    ]


async def test_activity_counts_all_updates(http: httpx.AsyncClient) -> None:
    span = {"starttime": BEGIN.isoformat(), "endtime": END.isoformat()}
    said = await data(http, "bgp-update-activity", resource=PREFIX, min_sampling_period="7", **span)
    parameters = {"prefix": PREFIX, "start": span["starttime"], "end": span["endtime"], "page": "10000"}
    entries = (await http.get("/api/v1/updates", params=parameters)).json()["answers"]
    for key, event in (("announcements", "announce"), ("withdrawals", "withdraw")):
        assert sum(one[key] for one in said["updates"]) == len([one for one in entries if one["event"] == event]) > 0


async def test_a_status_of_a_prefix_and_of_an_as(http: httpx.AsyncClient) -> None:
    moment = (BEGIN + timedelta(seconds=5)).isoformat()
    prefix = await data(http, "routing-status", resource="10.1.0.0/16", timestamp=moment)
    assert prefix["first_seen"]["prefix"] == "10.1.0.0/16"
    assert {"origins", "less_specifics", "more_specifics"} <= prefix.keys()
    assert prefix["visibility"]["v4"]["ris_peers_seeing"] <= prefix["visibility"]["v4"]["total_ris_peers"]
    of_as = await data(http, "routing-status", resource="64496")
    assert {"announced_space", "observed_neighbours"} <= of_as.keys()


def test_prsw_reads_our_answers(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prsw.api.API_URL", f"{served}/data")
    ripe, begin, end = prsw.RIPEstat(), BEGIN.replace(tzinfo=None), datetime.now(UTC).replace(tzinfo=None)
    announced = ripe.announced_prefixes(64496, starttime=begin, endtime=end)
    assert len(announced) > 0
    assert announced.resource == 64496
    assert all(line.starttime <= line.endtime for one in announced for line in one.timelines)
    assert begin <= announced.earliest_time <= announced.latest_time
    moment = begin + timedelta(seconds=5)
    neighbours = ripe.asn_neighbours(64499, lod=1, query_time=moment)
    assert neighbours.neighbour_counts.unique == len({one.asn for one in neighbours})
    for glass in (ripe.looking_glass("10.1.0.0/16"), ripe.looking_glass("10.1.2.3")):
        for peer in glass.peers:
            assert peer.as_path[-1] == peer.asn_origin
    peers = ripe.ris_peers(query_time=moment)
    assert [one.asn for one in peers] != []
    assert peers.query_time == moment
    assert str(ripe.whats_my_ip().ip) == "127.0.0.1"
    for call, asked in (("rpki_validation_status", (64496, "10.1.0.0/16")), ("abuse_contact_finder", ("10.1.0.0/16",))):
        with pytest.raises(prsw.exceptions.RequestError, match="404"):
            getattr(ripe, call)(*asked)
    history = ripe.routing_history(PREFIX, starttime=begin, endtime=end)
    assert len(history) > 1  # several origins
    assert {one.origin for one in history} == set(history.origin)
    assert ripe.network_info("10.1.2.3").asns == sorted(
        {one.asn_origin for one in ripe.looking_glass("10.1.2.3").peers}
    )
