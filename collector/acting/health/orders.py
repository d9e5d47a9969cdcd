"""What to announce for a service that is up, down or disabled, as in ExaBGP's `healthcheck`."""

from __future__ import annotations

from collector.acting.health.states import State
from collector.settings.checks import CheckSettings
from schemas.announcements import RouteAnnouncement
from schemas.intents import Order, Withdrawal


def order_for(check: CheckSettings, state: State, detail: str) -> Order | Withdrawal:
    """What a check orders in a decided state, or at its end.

    Args:
        check: the check.
        state: UP, DOWN, DISABLED or EXIT.
        detail: what the probe found, for the reason.
    """
    why = f"{state}: {detail}"
    if state is State.EXIT or (check.withdraw_on_down and state is not State.UP):
        return Withdrawal(who=check.source, why=why, source=check.source, of=check.source, prefixes=check.ip)
    announcements = tuple(_announcement(check, state, at) for at in range(len(check.ip)))
    return Order(
        who=check.source,
        why=why,
        source=check.source,
        announcements=announcements,
        peers=check.peers,
        group=check.group,
    )


def _announcement(check: CheckSettings, state: State, at: int) -> RouteAnnouncement:
    metric, as_path, community = {
        State.UP: (check.up_metric, check.up_as_path, check.community),
        State.DOWN: (check.down_metric, check.down_as_path, check.disabled_community or check.community),
        State.DISABLED: (check.disabled_metric, check.disabled_as_path, check.disabled_community or check.community),
    }[state]
    return RouteAnnouncement(
        prefix=check.ip[at],
        next_hop=check.next_hop,
        med=metric + at * check.increase,
        local_pref=check.local_preference,
        as_path=check.as_path if as_path is None else as_path,
        communities=community,
        large_communities=check.large_community,
        extended_communities=check.extended_community,
    )
