"""docs/durability.md names tests: each has to be there."""

import re

import pytest

from tests.support import ROOT

NAMED = sorted(set(re.findall(r"`(\w+/test_\w+\.py)`", (ROOT / "docs/durability.md").read_text())))


@pytest.mark.parametrize("name", NAMED)
def test_a_promise_has_its_test(name: str) -> None:
    assert "def test_" in (ROOT / "tests" / name).read_text()
