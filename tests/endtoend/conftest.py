"""Fixtures of the end-to-end tests."""

import subprocess
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.running import bgpledger

Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def of_an_archive(embedded_uri: str, data_dir: Path) -> Type:
    """Types commands about an archive in the store that tests share: one of its own would start for each command."""
    return partial(
        bgpledger,
        BGPLEDGER_DATA_DIR=str(data_dir),
        BGPLEDGER_MONGODB_URI=embedded_uri,
        BGPLEDGER_MONGODB_DATABASE=f"test_{uuid.uuid4().hex[:12]}",
    )
