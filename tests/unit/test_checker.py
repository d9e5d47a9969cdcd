"""A service that is checked: which orders are given and when, and which hooks run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.acting.health.checker import Checker
from collector.errors import CollectorError
from collector.settings.checks import CheckSettings
from collector.tasks import end
from schemas.announcements import RouteAnnouncement
from schemas.intents import Order, Withdrawal
from tests.support import until


class Orders:
    """Keeps the orders that are given."""

    def __init__(self, *, refusing: bool = False) -> None:
        self.taken: list[Order | Withdrawal] = []
        self._refusing = refusing

    async def submit(self, order: Order | Withdrawal) -> None:
        self.taken.append(order)
        if self._refusing:
            raise CollectorError("it is not allowed", "allow it")

    def current_ids(self, source: str, nlris: Container[str]) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    @property
    def summaries(self) -> list[str]:
        """Each order and its reason."""
        return [f"{_med(order)} {order.why}" for order in self.taken]


def _med(order: Order | Withdrawal) -> str:
    if isinstance(order, Withdrawal):
        return "withdrawn"
    (one,) = order.announcements
    assert isinstance(one, RouteAnnouncement)
    return f"med {one.med}"


@asynccontextmanager
async def checking(orders: Orders, **keys: Any) -> AsyncIterator[Checker]:
    check = {"name": "www", "ip": "203.0.113.1/32", "rise": 2, "fall": 2, "interval": 0.01, "fast_interval": 0.01}
    checker = Checker(CheckSettings.model_validate({**check, **keys}), orders)
    running = asyncio.create_task(checker.run())
    yield checker
    await end(running)
    await checker.leave()


async def test_a_service_comes_falls_and_is_disabled(tmp_path: Path) -> None:
    well, disable, told = tmp_path / "well", tmp_path / "disable", tmp_path / "told"
    orders = Orders()
    keys = {
        "command": f"test -e {well}",
        "disable": disable,
        "debounce": True,
        "execute": f"echo $STATE >> {told}",
        "up_execute": [["sh", "-c", f"echo hooray >> {told}"]],
    }
    async with checking(orders, **keys):
        await until(lambda: len(orders.taken) == 1)
        well.touch()
        await until(lambda: len(orders.taken) == 2)
        disable.touch()
        await until(lambda: len(orders.taken) == 3)
        disable.unlink()
        await until(lambda: len(orders.taken) == 4)
    assert orders.summaries == [
        "med 1000 DOWN: exit status 1",
        "med 100 UP: exit status 0",
        f"med 500 DISABLED: {disable} is there",
        "med 100 UP: exit status 0",
        "withdrawn EXIT: nobody looks any more",
    ]
    states = ["FALLING", "DOWN", "RISING", "hooray", "UP", "DISABLED", "INIT", "RISING", "hooray", "UP"]
    assert told.read_text().split() == states


async def test_without_debounce_each_look_orders_again() -> None:
    orders = Orders()
    async with checking(orders, rise=1, on_exit="keep"):
        await until(lambda: len(orders.taken) >= 3)
    assert set(orders.summaries) == {"med 100 UP: nothing is looked at"}


async def test_a_refused_order_is_not_repeated_at_each_check(caplog: pytest.LogCaptureFixture) -> None:
    orders, looked = Orders(refusing=True), 0
    async with checking(orders, rise=1, fall=1, on_exit="keep", command="true") as checker:
        await until(lambda: orders.taken)
        for _ in range(3):
            await checker._once()
            looked += 1
    assert len(orders.taken) == 1
    assert "healthcheck www: it is not allowed (cure: allow it)" in caplog.text


async def test_interval_0_checks_once(tmp_path: Path) -> None:
    orders = Orders()
    async with checking(orders, interval=0, withdraw_on_down=True, command="exit 7") as checker:
        await until(lambda: orders.taken)
        await checker.leave()
    assert orders.summaries == ["withdrawn DOWN: exit status 7"]


async def test_a_hook_that_hangs_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    orders = Orders()
    async with checking(orders, rise=1, timeout=0.2, execute="sleep 77.123", on_exit="keep"):
        await until(lambda: orders.taken)
    assert "sleep 77.123 took more than 0.2 s" in caplog.text
