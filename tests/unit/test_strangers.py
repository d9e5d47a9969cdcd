"""Routers that are not configured: which are remembered, and how often they are logged."""

import logging
from pathlib import Path

import pytest

from collector.sources.exabgp.strangers import MOST, Strangers, read_strangers


def refused(address: str) -> str:
    return f"network connection from {address} to 192.0.2.254 refused: no such peer"


def test_a_stranger_is_remembered_and_logged_now_and_then(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    strangers = Strangers(tmp_path / "strangers.json", logging.getLogger("exabgp"), lambda: now[0])
    assert read_strangers(tmp_path / "strangers.json") == []
    for second in range(0, 603, 3):
        now[0] = second
        assert strangers.see(refused("2001:db8::9"))
    assert not strangers.see("network stopped listening on 192.0.2.254:179")
    assert read_strangers(tmp_path / "none.json") == []
    (known,) = read_strangers(tmp_path / "strangers.json")
    assert (known.address, known.local) == ("2001:db8::9", "192.0.2.254")
    assert 199 <= known.times <= 201
    assert known.first < known.last
    first, again = caplog.messages
    assert first.startswith("2001:db8::9 connects to 192.0.2.254 and is refused, as no peer has this address (cure:")
    assert "address: 201 times by now (cure:" in again


def test_a_thousand_strangers_fill_neither_log_nor_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strangers = Strangers(tmp_path / "strangers.json", logging.getLogger("exabgp"), lambda: 0.0)
    for number in range(1000):
        assert strangers.see(refused(f"192.0.2.{number}"))
    assert len(caplog.messages) == len(read_strangers(tmp_path / "strangers.json")) == MOST


def test_another_exabgp_begins_with_none(tmp_path: Path) -> None:
    file = tmp_path / "strangers.json"
    Strangers(file, logging.getLogger("exabgp")).see(refused("192.0.2.9"))
    Strangers(file, logging.getLogger("exabgp"))
    assert read_strangers(file) == []
    file.write_text("[{")
    assert read_strangers(file) == []
