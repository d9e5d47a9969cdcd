"""Assigns peers to one of several ExaBGP processes.

Only one process can listen on an address and port, so peers that share our end of their sessions stay together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from collector.settings.model import Settings
from collector.sources.exabgp.local_ends import local_addresses


class Placement:
    """Remembers where each peer was placed and keeps it there, so that a reload ends no other session.

    Args:
        processes: the number of processes.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        # Places that are no longer used are kept: ExaBGP may still listen there.
        self._process_of: dict[tuple[str, int], int] = {}

    def part(self, settings: Settings) -> list[Settings]:
        """The settings of each process: the same, but only with its own peers.

        A new place is assigned to the process with the fewest peers; places with most peers are assigned first.

        Raises:
            ConfigurationError: see `collector.sources.exabgp.local_ends.local_ends`.
        """
        places = [(address, settings.bgp.listen_port) for address in local_addresses(settings)]
        counts = Counter(places)
        peers = [sum(counts[place] for place in self._places(number)) for number in range(self._processes)]
        for place, count in counts.most_common():
            if place not in self._process_of:
                self._process_of[place] = peers.index(min(peers))
                peers[self._process_of[place]] += count
        owners = [self._process_of[place] for place in places]
        return [_only(settings, owners, number) for number in range(self._processes)]

    def _places(self, process: int) -> list[tuple[str, int]]:
        return [place for place, owner in self._process_of.items() if owner == process]


def _only(settings: Settings, owners: Sequence[int], process: int) -> Settings:
    mine = tuple(peer for peer, owner in zip(settings.peers, owners, strict=True) if owner == process)
    return settings.model_copy(update={"peers": mine})


def too_many_processes(settings: Settings) -> str | None:
    """Why some of the processes would have no peers, and the cure; None if all have some.

    Raises:
        ConfigurationError: see `collector.sources.exabgp.local_ends.local_ends`.
    """
    processes, places = settings.exabgp.processes, len(set(local_addresses(settings)))
    if not settings.peers or places >= processes:
        return None
    return (
        f"exabgp.processes is {processes}, but all peers come to {places} of our addresses, and one address belongs to"
        " one process: give peers local_addresses of their own, or lower exabgp.processes"
    )
