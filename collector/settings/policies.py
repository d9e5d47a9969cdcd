"""`[[policies]]`: rules for what is announced to each peer, applied in order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from collector.errors import UsageError
from collector.settings import values
from collector.settings.checks import OrderingName, PeerAddresses, one_or_more
from collector.settings.section import SettingsError, SettingsSection
from schemas.announcements import Community, LargeCommunity, NextHop, WrittenExtendedCommunity
from schemas.prefix_ranges import WrittenPrefixRange
from schemas.scalars import Uint32

AnnouncedFamily = Literal["ipv4 unicast", "ipv6 unicast", "ipv4 flow", "ipv6 flow"]


def _as_path(text: str) -> str:
    from collector.regex import as_path_pattern  # RE2 is slow to import, and most configurations have no patterns

    try:
        as_path_pattern(text)
    except UsageError as error:
        raise ValueError(f"{error.cause}: {error.cure}") from None
    return text


def _any_community(text: str) -> str:
    if text.strip().lower().startswith(("target:", "origin:", "0x")):
        return _EXTENDED.validate_python(text)
    return (_LARGE if text.count(":") == 2 else _STANDARD).validate_python(text)


_STANDARD, _LARGE, _EXTENDED = map(TypeAdapter[str], (Community, LargeCommunity, WrittenExtendedCommunity))
AnyCommunity = Annotated[str, AfterValidator(_any_community)]
"""A standard, large or extended community."""
PrefixRanges = Annotated[tuple[WrittenPrefixRange, ...], one_or_more, Field(max_length=1000)]
AnyCommunities = Annotated[tuple[AnyCommunity, ...], one_or_more, Field(max_length=100)]


class PolicySettings(SettingsSection):
    """A rule: which peers it is for, what it matches, and what it changes."""

    name: OrderingName = Field(description="letters, digits, blanks and ._:/-: the name of the rule in answers")
    peers: PeerAddresses = Field((), description="addresses of the peers it applies to; default: all")
    group: values.Name | None = Field(None, description="instead of peers: those in this group")

    prefixes: PrefixRanges = Field(
        (), description='any of these prefixes, with operators of RFC 2622: ["203.0.113.0/24^+", "198.51.100.0/24"]'
    )
    communities: AnyCommunities = Field((), description='any of these communities: ["64512:1", "64512:1:1"]')
    as_path: Annotated[str, Field(max_length=500), AfterValidator(_as_path)] | None = Field(
        None, description="an RE2 expression for the AS path after ours; _ as in Cisco's, ^$ for our own routes"
    )
    family: AnnouncedFamily | None = Field(None, description="ipv4 unicast, ipv6 unicast, ipv4 flow or ipv6 flow")

    reject: bool = Field(default=False, description="true: not announced to the peer; later rules do not apply")
    set_communities: AnyCommunities | None = Field(
        None, description="the communities that replace all others, of all kinds"
    )
    remove_communities: AnyCommunities = Field((), description="communities to remove")
    add_communities: AnyCommunities = Field((), description="communities to add")
    med: Uint32 | None = Field(None, description="its MED, 0 to 4294967295")
    local_preference: Uint32 | None = Field(
        None, description="its LOCAL_PREF, 0 to 4294967295; only for peers in our own AS"
    )
    prepend: Annotated[int, Field(ge=0, le=20)] = Field(
        0, description="how many more times our AS is prepended, 0 to 20"
    )
    next_hop: NextHop | None = Field(None, description='its next hop: an address, or "self"')

    @model_validator(mode="after")
    def _fits_together(self) -> PolicySettings:
        if self.peers and self.group:
            raise SettingsError("group", "is given together with peers", "keep one of them")
        acts = self.model_fields_set & {
            "set_communities",
            "remove_communities",
            "add_communities",
            "med",
            "local_preference",
            "prepend",
            "next_hop",
        }
        if self.reject and acts:
            raise SettingsError(min(acts), "is given together with reject", "keep one of them")
        if not self.reject and not acts:
            raise SettingsError("reject", "is missing, and the rule does nothing else", "say what it does")
        if self.next_hop not in (None, "self"):
            family = "ipv6 unicast" if ":" in str(self.next_hop) else "ipv4 unicast"
            if self.family != family:
                raise SettingsError("family", f"is not that of next_hop {self.next_hop}", f'give family = "{family}"')
        return self
