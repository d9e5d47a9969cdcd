"""The names of the formats. It imports nothing, so that `bgpledger --help` is fast."""

from typing import Literal

AnswerFormat = Literal["table", "json", "jsonl", "csv", "psv"]
"""The formats of all answers and reports."""
EntryFormat = Literal[AnswerFormat, "bgpdump", "bgpreader"]
"""The formats of entries and routes."""
StatusFormat = Literal[AnswerFormat, "prometheus"]
"""The formats of a status."""
Format = Literal[EntryFormat, StatusFormat]
