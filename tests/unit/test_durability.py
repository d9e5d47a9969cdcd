"""docs/durability.md names tests: each of them exists."""

import re

import pytest

from tests.support import ROOT

NAMED = sorted(set(re.findall(r"`(\w+/test_\w+\.py)`", (ROOT / "docs/durability.md").read_text())))


@pytest.mark.parametrize("name", NAMED)
def test_every_promise_names_a_test_that_exists(name: str) -> None:
    assert "def test_" in (ROOT / "tests" / name).read_text()
