"""The names of the formats. It imports nothing, so that `bgpledger --help` is fast."""

from typing import Literal

AnswerFormat = Literal["table", "json", "jsonl", "csv", "psv"]
"""How any answers can be written, and reports."""
EntryFormat = Literal[AnswerFormat, "bgpdump", "bgpreader"]
"""How entries can be written, and routes."""
StatusFormat = Literal[AnswerFormat, "prometheus"]
"""How a status can be written."""
Format = Literal[EntryFormat, StatusFormat]
