"""The spool as the other stages see it: an end to write to, an end to read from, and a look from outside."""

from collector.spool.reader import SpooledLine, SpoolReader
from collector.spool.state import SpoolState, inspect
from collector.spool.writer import SpoolWriter

__all__ = ["SpoolReader", "SpoolState", "SpoolWriter", "SpooledLine", "inspect"]
