"""Probes one service repeatedly, and orders announcements according to the results."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from collector.acting.health import command, dns, http, tcp
from collector.acting.health.orders import order_for
from collector.acting.health.probe_result import ProbeResult
from collector.acting.health.states import DECIDED, PENDING, ServiceState, State, after
from collector.acting.order_sink import OrderSink
from collector.children import kill_group, start_group
from collector.errors import BgpledgerError
from collector.settings.checks import CheckSettings
from collector.settings.values import split_endpoint

log = logging.getLogger(__name__)

REFUSED_SECONDS = 60.0
"""How long what was refused is not ordered again, unless the state changes: each refusal is an entry of the audit."""


class Checker:
    """A check of one service.

    Args:
        check: what to probe, how often, and what to announce.
        orders: takes its orders.
    """

    def __init__(self, check: CheckSettings, orders: OrderSink) -> None:
        self._check = check
        self._orders = orders
        self._service = ServiceState()
        self._not_before = 0.0

    async def run(self) -> None:
        """Probe until cancelled; with `interval = 0` until the state of the service is known."""
        while True:
            await self._once()
            if self._service.state in PENDING:
                await asyncio.sleep(self._check.fast_interval)
            elif self._check.interval:
                await asyncio.sleep(self._check.interval)
            else:
                self._service = ServiceState(State.END)
                return

    async def leave(self) -> None:
        """Carry out `on_exit` when the check ends."""
        if self._check.on_exit == "withdraw" and self._service.state is not State.END:
            self._service = ServiceState(State.EXIT)
            await self._order("nobody looks any more")

    async def _once(self) -> None:
        check, before = self._check, self._service
        disabled = check.disable is not None and check.disable.exists()
        result = ProbeResult(is_healthy=True, detail=f"{check.disable} is there") if disabled else await probe(check)
        self._service = after(before, is_healthy=result.is_healthy, disabled=disabled, rise=check.rise, fall=check.fall)
        state = self._service.state
        if state is not before.state:
            log.info("%s: %s, was %s: %s", check.source, state, before.state, result.detail)
            await self._run_hooks(state)
            self._not_before = 0.0
        is_due = state is not before.state or not check.debounce
        if state in DECIDED and is_due and asyncio.get_running_loop().time() >= self._not_before:
            await self._order(result.detail)

    async def _order(self, detail: str) -> None:
        try:
            await self._orders.submit(order_for(self._check, self._service.state, detail))
        except BgpledgerError as error:
            log.error("%s: %s (cure: %s)", self._check.source, error.cause, error.cure)
            self._not_before = asyncio.get_running_loop().time() + REFUSED_SECONDS

    async def _run_hooks(self, state: State) -> None:
        check = self._check
        own = {
            State.UP: check.up_execute,
            State.DOWN: check.down_execute,
            State.DISABLED: check.disabled_execute,
        }
        for hook in (*own.get(state, ()), *check.execute):
            await self._run_hook(hook, state)

    async def _run_hook(self, hook: str | Sequence[str], state: State) -> None:
        try:
            process = await start_group(hook, {"STATE": state})
        except OSError as error:
            log.warning("%s: %s cannot be started: %s", self._check.source, hook, error.strerror)
            return
        try:
            async with asyncio.timeout(self._check.timeout):
                await process.wait()
        except TimeoutError:
            log.warning("%s: %s took more than %g s", self._check.source, hook, self._check.timeout)
        finally:
            if process.returncode is None:
                await kill_group(process)


async def probe(check: CheckSettings) -> ProbeResult:
    """Probe a service once, with the configured method and time limit."""
    try:
        async with asyncio.timeout(check.timeout):
            if check.http is not None:
                return await http.probe(check.http, check.http_host)
            if check.tcp is not None:
                return await tcp.probe(*split_endpoint(check.tcp))
            if check.dns is not None:
                return await dns.probe(*split_endpoint(check.dns.server), check.dns.name, check.dns.type)
            if check.command is not None:
                return await command.probe(check.command)
    except TimeoutError:
        return ProbeResult(is_healthy=False, detail=f"timed out after {check.timeout:g} s")
    return ProbeResult(is_healthy=True, detail="nothing is looked at")
