"""The section [announce]: what may be announced, and what is announced from the start."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from collector.settings import values
from collector.settings.section import SettingsSection
from schemas.announcements import RouteAnnouncement
from schemas.intents import Line, Name
from schemas.prefix_ranges import PrefixRange, WrittenPrefixRange, parse_range
from schemas.scalars import Address

_Ranges = Annotated[tuple[WrittenPrefixRange, ...], BeforeValidator(values.comma_separated), Field(min_length=1)]


class StaticSettings(RouteAnnouncement):
    """A route that is announced for as long as it stands in the configuration; see `RouteAnnouncement`."""

    why: Line = Field(description="a line of text: the reason, for those who read it later")
    peers: tuple[Address, ...] = Field((), description="addresses of peers; default, without a group: all")
    group: Name | None = Field(None, description="the group of peers")

    @property
    def announcement(self) -> RouteAnnouncement:
        """What is announced."""
        return RouteAnnouncement.model_validate(self.model_dump(include=set(RouteAnnouncement.model_fields)))

    @model_validator(mode="after")
    def _one_selector(self) -> Self:
        if self.peers and self.group is not None:
            raise ValueError("peers and group exclude each other: give one of them")
        return self


class AnnounceSettings(SettingsSection):
    """What may be announced; without this section nothing is."""

    prefixes: _Ranges = Field(
        description='the prefixes that may be announced, such as ["192.0.2.0/24", "2001:db8::/32 le 48"]'
    )
    flows: bool = Field(
        default=False, description="true or false: also flow specifications (RFC 8955) for destinations within these"
    )
    limit: int = Field(
        1000, ge=1, le=200_000, description="the maximum number of routes and flows at once, 1 to 200000"
    )
    rate: float = Field(20.0, gt=0, le=10_000, description="the maximum number of orders a second, on average")
    longest_hours: float | None = Field(
        None, gt=0, le=100_000, description="hours after which orders of people and programs expire at the latest"
    )
    static: tuple[StaticSettings, ...] = ()

    @property
    def ranges(self) -> tuple[PrefixRange, ...]:
        """`prefixes`, read."""
        return tuple(parse_range(text) for text in self.prefixes)

    @model_validator(mode="after")
    def _no_default_route(self) -> Self:
        for text, one in zip(self.prefixes, self.ranges, strict=True):
            if one.least == 0:
                raise ValueError(f"has {text!r} among prefixes: a default route is never announced")
        return self
