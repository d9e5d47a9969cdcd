"""The parameters of queries: the filters of the command line, the number of answers, and the format."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bgpledger import Filter, UsageError, parse_filter
from collector.http.query_context import QueryContext
from collector.present.names import AnswerFormat, EntryFormat
from collector.query.filter_names import FILTERS
from collector.query.filters import PrefixMatch

PAGE, LONGEST_PAGE = 1000, 10_000
_LONGEST_TEXT = 500
_FORMAT: Any = Field(None, description="The output format; by default, that of the header `Accept`.")
TIME = "RFC 3339, unix seconds, 2h (ago) or 'yesterday 14:05'."


def text(description: str, *examples: str) -> Any:
    """An optional parameter."""
    return Field(None, max_length=_LONGEST_TEXT, description=description, examples=list(examples) or None)


def filter_text(name: str, *examples: str) -> Any:
    """The parameter of a filter."""
    return text(FILTERS[name], *examples)


class Parameters(BaseModel):
    """The parameters of one query; an unknown one is an error, and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


QueryArguments = dict[str, Any]
"""Arguments of a query of `bgpledger.Archive`, by name."""


class Listed(Parameters):
    """The options for answers of which there are few."""

    format: EntryFormat | None = _FORMAT

    @property
    def cut_at(self) -> int:
        """The maximum number of answers in one page."""
        return LONGEST_PAGE

    @property
    def is_paged(self) -> bool:
        """Whether a page is requested explicitly."""
        return False

    def arguments(self) -> QueryArguments:
        """The arguments of the query."""
        return {}


class Answered(Listed):
    """The options for answers that are neither entries nor routes, which fewer formats support."""

    format: AnswerFormat | None = _FORMAT


class Limited(Listed):
    """The options for answers that can be limited to the newest."""

    limit: int | None = Field(None, ge=1, description="Only the newest N.", examples=[100])

    @property
    def cut_at(self) -> int:
        """The maximum number of answers in one page.

        Raises:
            UsageError: it is too large.
        """
        if self.limit is not None and self.limit > LONGEST_PAGE:
            raise UsageError(
                f"a page has at most {LONGEST_PAGE} answers, not {self.limit}",
                "ask with a smaller limit, or for jsonl or csv, which come as they are read",
            )
        return self.limit or LONGEST_PAGE

    def arguments(self) -> QueryArguments:
        """The arguments of the query."""
        return {"limit": self.limit}


class Paged(Limited):
    """The options for answers that can be read page by page."""

    page: int | None = Field(
        None,
        ge=1,
        le=LONGEST_PAGE,
        description=f"At most this many answers; `next` is the next page. JSON always has pages, of {PAGE} by default.",
        examples=[100],
    )
    cursor: str | None = text("Goes on after the page whose `next` it was; everything else must be as in that request.")

    @property
    def cut_at(self) -> int:
        """As in `Limited`, for a page instead of the newest answers."""
        if self.limit is not None:
            if self.is_paged:
                raise UsageError("limit excludes page and cursor", "ask for the newest answers, or for pages")
            return super().cut_at
        return self.page or PAGE

    @property
    def is_paged(self) -> bool:
        """Whether a page is requested explicitly."""
        return self.page is not None or self.cursor is not None

    def arguments(self) -> QueryArguments:
        """The arguments of the query."""
        return {"limit": self.limit, "after": self.cursor}


class Filtering(Parameters):
    """Parameters that make a filter."""

    def filter(self, context: QueryContext, **instead: str | None) -> Filter:
        """The filter from these parameters.

        Args:
            context: gets notes about what looks odd but is valid.
            instead: values that replace those of the same names.

        Raises:
            UsageError: a parameter is invalid.
        """
        texts = {name: getattr(self, name, None) for name in FILTERS}
        return parse_filter(texts | instead, say=context.notes.append)


class OfTimes(Filtering):
    """A time range."""

    start: str | None = text(f"{FILTERS['start']} {TIME}", "2h", "2026-11-27T12:00:00Z")
    end: str | None = text(f"{FILTERS['end']} {TIME}", "1h")


class OfPeers(Filtering):
    """Conditions on peers."""

    peer: str | None = filter_text("peer", "192.0.2.1", "192.0.2.0/24")


class OfPrefixes(Filtering):
    """Conditions on prefixes, for queries that are not about one."""

    prefix: str | None = filter_text("prefix", "203.0.113.0/24")
    match: PrefixMatch | None = Field(None, description=FILTERS["match"])


class RouteFilters(OfPeers):
    """The filters on current routes."""

    peer_asn: str | None = filter_text("peer_asn", "64500")
    router: str | None = filter_text("router", "192.0.2.1")
    rib: str | None = filter_text("rib", "pre-policy")
    origin: str | None = filter_text("origin", "64500", "!64500")
    as_path: str | None = filter_text("as_path", "_64500$")
    community: str | None = filter_text("community", "64500:*")
    next_hop: str | None = filter_text("next_hop", "192.0.2.1")
    family: str | None = filter_text("family", "ipv4")
    med: str | None = filter_text("med", "100")
    local_pref: str | None = filter_text("local_pref", "100")
    attribute: str | None = filter_text("attribute", "otc")


class EntryFilters(RouteFilters, OfTimes):
    """The filters on entries."""

    duration: str | None = filter_text("duration", "1h")
    elem: str | None = filter_text("elem", "announce")
