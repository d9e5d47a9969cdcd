"""What the acting process knows about ExaBGP and its sessions, in a file, for the process that comes after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from collector.files import replace
from collector.spool.follower import FollowedTo


@dataclass(frozen=True, slots=True)
class ActingNotes:
    """Everything that ExaBGP cannot be asked, as of the position up to which its reports have been read."""

    exabgps: Mapping[int, str] = field(default_factory=dict)
    """By instance, which ExaBGP it is: see `RelayLink`."""
    followed: Mapping[int, FollowedTo] = field(default_factory=dict)
    """By instance, how far its reports have been read."""
    families: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By peer, the families of the OPEN of its session; see `AdjRibOut.families`."""
    is_clean: bool = False
    """Whether nothing was in flight when these were written."""

    @classmethod
    def read(cls, path: Path) -> ActingNotes:
        """The notes in a file; empty ones if it cannot be read."""
        try:
            found = json.loads(path.read_bytes())
            return cls(
                {int(instance): str(known) for instance, known in found["exabgp"].items()},
                {int(instance): FollowedTo(*map(int, at)) for instance, at in found["followed"].items()},
                {str(peer): frozenset(map(str, families)) for peer, families in found.get("families", {}).items()},
                found["clean"] is True,
            )
        except FileNotFoundError:
            return cls(is_clean=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def write(self, path: Path) -> None:
        """Replace the notes in a file; if that fails, ExaBGP's reports will be read again."""
        noted = {
            "exabgp": {str(instance): known for instance, known in self.exabgps.items()},
            "followed": {str(instance): list(position) for instance, position in self.followed.items()},
            "families": {peer: sorted(families) for peer, families in self.families.items()},
            "clean": self.is_clean,
        }
        with suppress(OSError):
            replace(path, json.dumps(noted))
