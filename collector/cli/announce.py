"""`bgpledger announce` and `bgpledger withdraw`: orders to announce and withdraw routes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from collector.cli.options import with_settings
from collector.errors import UsageError
from schemas.json_object import JsonObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.faults import FieldPath
    from schemas.intents import Intent

_Text = str | None
_Why = Annotated[str, typer.Option(help="The reason, for those who read it later.", metavar="TEXT")]
_Who = Annotated[str | None, typer.Option(help="Who orders it; by default the system's user.", metavar="NAME")]
_Peers = Annotated[
    list[str] | None, typer.Option("--peer", "-j", help="Only to this peer; may be repeated.", metavar="ADDR")
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only check, and print what would be done.")]


def _option(help_text: str, metavar: str) -> Any:
    return typer.Option(help=help_text, metavar=metavar)


@with_settings
def announce_command(
    settings: Any,
    prefixes: Annotated[list[str] | None, typer.Argument(help="Prefixes.", metavar="PREFIX")] = None,
    why: _Why = ...,  # type: ignore[assignment]  # it has to be given
    who: _Who = None,
    peer: _Peers = None,
    group: Annotated[_Text, _option("To the peers of this group.", "NAME")] = None,
    next_hop: Annotated[_Text, _option("An address; ours in each session otherwise.", "ADDR")] = None,
    med: Annotated[int | None, _option("MULTI_EXIT_DISC.", "N")] = None,
    local_pref: Annotated[int | None, _option("LOCAL_PREF, only for peers in our own AS.", "N")] = None,
    origin: Annotated[Literal["igp", "egp", "incomplete"] | None, typer.Option(help="ORIGIN.")] = None,
    as_path: Annotated[_Text, _option("The path after our own AS.", '"ASN ..."')] = None,
    prepend: Annotated[int | None, _option("How many times more our AS stands in front.", "N")] = None,
    community: Annotated[list[str] | None, _option("A community, A:B, A:B:C or a name.", "A:B")] = None,
    extended_community: Annotated[
        list[str] | None, _option("An extended community: target:A:N, origin:A:N or 0x..", "KIND:A:N")
    ] = None,
    blackhole: Annotated[
        bool, typer.Option("--blackhole", help="Ask for all traffic to be dropped (RFC 7999).")
    ] = False,
    flow: Annotated[bool, typer.Option("--flow", help="A flow specification (RFC 8955) for the prefix.")] = False,
    match: Annotated[list[str] | None, _option("Of a flow: a component, such as ports=53.", "NAME=VALUE")] = None,
    then: Annotated[list[str] | None, _option("Of a flow: an action, such as discard.", "NAME[=VALUE]")] = None,
    expires: Annotated[_Text, _option('When it is withdrawn by itself: "2h", or a time.', "T")] = None,
    key: Annotated[_Text, _option("An idempotency key: the same order under it is done once.", "KEY")] = None,
    dry_run: _DryRun = False,
) -> None:
    """Announce prefixes, or a flow specification, to some peers, or to all that have the family."""
    attributes = {
        "next_hop": next_hop,
        "med": med,
        "local_pref": local_pref,
        "origin": origin,
        "as_path": as_path,
        "prepend": prepend,
    }
    communities = _communities(community or (), extended_community or (), blackhole=blackhole)
    if flow:
        given = [name.replace("_", "-") for name, value in attributes.items() if value is not None]
        if given:
            raise UsageError(f"--{given[0]} is for routes, not for flow specifications", "leave it out")
        body = {"match": _pairs(match or ()), "then": _pairs(then or ()), **communities}
        announcements = [{**body, "match": {**body["match"], "destination": prefix}} for prefix in prefixes or ()]
    else:
        if match or then:
            raise UsageError("--match and --then are for flow specifications", "give --flow as well")
        announcements = [{"prefix": prefix, **attributes, **communities} for prefix in prefixes or ()]
    if not announcements:
        raise UsageError("no prefix is given", "such as: bgpledger announce 203.0.113.0/24 --why TEXT")
    order = {
        "announcements": [{name: value for name, value in one.items() if value is not None} for one in announcements],
        **_reason(who, why),
        "peers": peer or [],
        "group": group,
        "expires": _moment(expires),
        "key": key,
    }
    _announce(settings, order, dry_run=dry_run)


@with_settings
def withdraw_command(
    settings: Any,
    what: Annotated[list[str] | None, typer.Argument(help="Prefixes, or ids of intents.", metavar="PREFIX|ID")] = None,
    why: _Why = ...,  # type: ignore[assignment]  # it has to be given
    who: _Who = None,
    peer: _Peers = None,
    source: Annotated[_Text, _option("What came from there: cli, api, healthcheck NAME ..", "SOURCE")] = None,
    dry_run: _DryRun = False,
) -> None:
    """Withdraw what is announced: of these prefixes, of these intents, or of a source."""
    from collector.acting.client import ActingClient
    from collector.tasks import run_interruptible
    from schemas.intents import Withdrawal

    ids = [one for one in what or () if "/" not in one]
    body = {
        "ids": ids,
        "prefixes": [one for one in what or () if one not in ids],
        **_reason(who, why),
        "of": source,
        "peers": peer or [],
    }
    withdrawal = _checked(settings, Withdrawal, {name: value for name, value in body.items() if value})
    intents = run_interruptible(ActingClient(settings.data_dir).withdraw(withdrawal, dry_run=dry_run))
    _print(intents)
    sys.stderr.write(f"{'would be withdrawn' if dry_run else 'to be withdrawn'}: {len(intents)}\n")


def _announce(settings: Any, body: JsonObject, *, dry_run: bool) -> None:
    from collector.acting.client import ActingClient
    from collector.tasks import run_interruptible
    from schemas.intents import Intent, Order

    order = _checked(settings, Order, {name: value for name, value in body.items() if value})
    client = ActingClient(settings.data_dir)
    if dry_run:
        for one in run_interruptible(client.would(order)):
            commands, policies, failing = one["peers"], one["policies"], one["failing"]
            for peer in dict.fromkeys((*commands, *policies)):
                by = f"  by policy: {', '.join(policies[peer])}" if peer in policies else ""
                fails = f"  not now: {failing[peer]}" if peer in failing else ""
                sys.stdout.write(f"{one['nlri']}  {peer}  {commands.get(peer, 'rejected')}{by}{fails}\n")
        return
    found = run_interruptible(client.announce(order))
    if len(order.announcements) == 1:
        _print([Intent.model_validate(one) for one in found])
    else:
        sys.stdout.writelines(f"{one['id']}\n" for one in found)


def _print(intents: Sequence[Intent]) -> None:
    from collector.cli.run_query import show
    from schemas.intents import Intent

    show(intents, Intent, "table")


def _reason(who: str | None, why: str) -> dict[str, str]:
    import getpass

    return {"who": who or getpass.getuser(), "why": why, "source": "cli"}


def _communities(standard: Sequence[str], extended: Sequence[str], *, blackhole: bool) -> JsonObject:
    from schemas.announcements import BLACKHOLE, NO_EXPORT

    each = [one.strip() for text in standard for one in text.split(",")]
    large = [one for one in each if one.count(":") == 2]
    plain = [one for one in each if one not in large]
    if blackhole:  # RFC 7999 3.2: it should not leave the AS that honours it
        plain += [BLACKHOLE, NO_EXPORT]
    return {
        "communities": plain,
        "large_communities": large,
        "extended_communities": [one for text in extended for one in text.split(",")],
    }


def _pairs(texts: Sequence[str]) -> JsonObject:
    found: JsonObject = {}
    for text in texts:
        name, equals, value = text.partition("=")
        found[name.replace("-", "_")] = value if equals else True
    return found


def _moment(text: str | None) -> str | None:
    """When something expires: a span counts from now on, while those of queries count back."""
    if text is None:
        return None
    from datetime import UTC, datetime

    from collector.query.times import parse_ahead

    return parse_ahead(text, datetime.now(UTC)).isoformat()


_ARGUMENTS = {"prefix": "PREFIX", "prefixes": "PREFIX", "destination": "PREFIX", "ids": "PREFIX|ID"}
_OPTIONS = {
    "peers": "--peer",
    "of": "--source",
    "communities": "--community",
    "large_communities": "--community",
    "extended_communities": "--extended-community",
}


def _option_of(place: FieldPath) -> str:
    """The option, or argument, that a field of an order comes from; empty for the order as a whole."""
    names = [part for part in place if isinstance(part, str) and part != "announcements"]
    if not names:
        return ""
    if names[-1] in _ARGUMENTS:
        return _ARGUMENTS[names[-1]]
    first, *inner = names
    return " ".join((_OPTIONS.get(first, f"--{first.replace('_', '-')}"), *inner))


def _checked(settings: Any, model: Any, body: JsonObject) -> Any:
    """The validated order; an invalid order is refused, and recorded if an acting process runs."""
    from contextlib import suppress

    from pydantic import ValidationError

    from collector.acting.client import ActingClient
    from collector.errors import CollectorError
    from collector.tasks import run_interruptible
    from schemas.faults import fault_of

    command = "announce" if "announcements" in body else "withdraw"
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fault = fault_of(error.errors(include_url=False)[0], model)
        refused = UsageError(fault.at(_option_of(fault.place)), fault.cure or f"see bgpledger {command} --help")
        with suppress(CollectorError):
            run_interruptible(ActingClient(settings.data_dir).note_refused(body, refused))
        raise refused from None
