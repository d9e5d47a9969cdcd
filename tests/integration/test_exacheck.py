"""exacheck, a health checker for ExaBGP written by others, is attached unchanged: what it prints becomes orders."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tests.support import ROOT, missing, until
from tests.unit.test_attached_program import Kept, running

EXACHECK = ROOT / ".tools" / "exacheck" / "bin" / "exacheck"
PREFIXES = ["203.0.113.1/32", "203.0.113.2/32"]


def is_announced(kept: Kept, wanted: list[str]) -> bool:
    """Whether these prefixes are announced, and no others."""
    return sorted(kept.standing_now.values()) == wanted


async def test_its_check_announces_and_withdraws(tmp_path: Path) -> None:
    if not EXACHECK.exists():
        missing("exacheck is not installed; `make tools` installs it")
    service, config, kept = tmp_path / "up", tmp_path / "exacheck.yaml", Kept()
    check = {
        "name": "www",
        "args": {"method": "file", "path": str(service)},
        "prefixes": PREFIXES,
        "nexthop": "192.0.2.10",
        "metric": 7,
        "communities": ["64512:1"],
        "interval": 0.2,
        "rise": 1,
        "fall": 1,
    }
    config.write_text(json.dumps({"checks": [check]}))  # JSON is YAML
    async with running(kept, [str(EXACHECK), "run", "--file", str(config)], on_exit="withdraw"):
        for is_up in (True, False, True):
            if is_up:
                service.touch()
            else:
                service.unlink()
            wanted = PREFIXES if is_up else []
            await until(partial(is_announced, kept, wanted), what=f"{wanted} stand")
    assert kept.whys[0].startswith("it printed: announce route 203.0.113.1/32 next-hop 192.0.2.10 med 7 community")
    assert not kept.standing_now, "what it prints at its end may be two commands on one line, which is refused"
