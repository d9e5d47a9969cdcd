"""The spool as other packages use it: writing, reading, and inspecting it."""

from collector.spool.identity import known_identity, spool_identity
from collector.spool.intake import Drop, Intake
from collector.spool.kept import Keep
from collector.spool.opening import open_intake
from collector.spool.reader import SpoolReader
from collector.spool.room import Room
from collector.spool.segment import SpooledLine
from collector.spool.state import SpoolState, inspect
from collector.spool.sync import Sync
from collector.spool.writer import SpoolWriter, UnwrittenError

__all__ = [
    "Drop",
    "Intake",
    "Keep",
    "Room",
    "SpoolReader",
    "SpoolState",
    "SpoolWriter",
    "SpooledLine",
    "Sync",
    "UnwrittenError",
    "inspect",
    "known_identity",
    "open_intake",
    "spool_identity",
]
