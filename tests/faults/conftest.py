"""Fixtures of the fault tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.harness import Outside


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    """A store that the collector did not start."""
    store = Outside(tmp_path / "outside")
    await store.start()
    yield store
    await store.stop()
