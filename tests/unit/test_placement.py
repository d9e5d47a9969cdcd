"""Which process has which peers, and where the files of each process are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.settings.model import Settings
from collector.sources.exabgp.local_ends import listening_places
from collector.sources.exabgp.placement import Placement, too_many_processes


def settings(*locals_: int, processes: int = 2, **bgp: Any) -> Settings:
    """Settings with a peer for each number N, which connects to our address 127.0.0.N."""
    return Settings.model_validate(
        {
            "bgp": {"local_as": 65000, **bgp},
            "exabgp": {"processes": processes},
            "peers": [
                {"address": f"127.0.1.{at + 1}", "asn": 65001 + at, "local_address": f"127.0.0.{number}"}
                for at, number in enumerate(locals_)
            ],
        }
    )


def places(parts: list[Settings]) -> list[list[str]]:
    return [sorted({str(peer.local_address)[8:] for peer in part.peers}) for part in parts]


def test_a_single_process_has_all_peers_unchanged() -> None:
    ours = settings(1, 1, 2, processes=1)
    assert Placement(1).part(ours) == [ours]


def test_a_place_goes_to_the_process_with_the_fewest_peers() -> None:
    """The largest first: 3 peers, then 2, then 1 and 1."""
    assert places(Placement(2).part(settings(4, 1, 2, 2, 3, 3, 3))) == [["1", "3"], ["2", "4"]]
    assert places(Placement(3).part(settings(1, 1))) == [["1"], [], []]


def test_peers_of_a_process_keep_their_order() -> None:
    parts = Placement(2).part(settings(1, 2, 1, 3, 1, 2))
    assert [[peer.address[8:] for peer in part.peers] for part in parts] == [["1", "3", "5"], ["2", "4", "6"]]


def test_known_peers_stay_where_they_are() -> None:
    placement = Placement(2)
    assert places(placement.part(settings(1, 2, 3))) == [["1", "3"], ["2"]]
    assert places(placement.part(settings(3, 2, 4, 1))) == [["1", "3"], ["2", "4"]]
    assert places(placement.part(settings(3, 5))) == [["3"], ["5"]], "what is gone does not count"
    assert places(placement.part(settings(2, 4, 1))) == [["1"], ["2", "4"]], "ExaBGP may go on listening there"


def test_another_port_is_another_place() -> None:
    placement = Placement(2)
    assert places(placement.part(settings(1, 2))) == [["1"], ["2"]]
    assert places(placement.part(settings(2, 1, listen="127.0.0.1:1791"))) == [["2"], ["1"]]


@given(st.lists(st.lists(st.integers(1, 9), max_size=20), min_size=1, max_size=4), st.integers(1, 5))
def test_every_peer_has_one_process_and_every_place_too(reloads: list[list[int]], processes: int) -> None:
    placement = Placement(processes)
    before: dict[tuple[str, int], int] = {}
    for locals_ in reloads:
        ours = settings(*locals_)
        parts = placement.part(ours)
        assert sorted(peer.address for part in parts for peer in part.peers) == sorted(
            peer.address for peer in ours.peers
        )
        there = {place: number for number, part in enumerate(parts) for place in listening_places(part)}
        assert sum(len(listening_places(part)) for part in parts) == len(there)
        assert there.keys() == listening_places(ours).keys()
        assert all(before.get(place, number) == number for place, number in there.items())
        before |= there


@pytest.mark.parametrize(("locals_", "processes"), [([], 4), ([1, 1], 1), ([1, 2], 2), ([1, 2, 2], 2)])
def test_each_process_has_peers(locals_: list[int], processes: int) -> None:
    assert too_many_processes(settings(*locals_, processes=processes)) is None


def test_processes_without_peers_are_reported() -> None:
    said = too_many_processes(settings(1, 1, 2, processes=3))
    assert said
    assert "exabgp.processes is 3, but all peers come to 2 of our addresses" in said
    assert "local_addresses of their own" in said
