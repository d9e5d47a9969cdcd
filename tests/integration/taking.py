"""Real BGP daemons that accept the routes they receive, and list them with their own `show`."""

from __future__ import annotations

import json
import re
from typing import Any

from schemas.json_object import JsonObject
from tests.integration.routers import Bird, Frr, Gobgpd, Openbgpd

FAMILIES = 'families = ["ipv4 unicast", "ipv6 unicast", "ipv4 flow", "ipv6 flow"]'
_LOCAL_PREF = 5
NAMES = {"no-export": "65535:65281", "NO_EXPORT": "65535:65281"}


class TakingBird(Bird):
    """Takes what it hears."""

    imports = "all"

    def preference(self, prefix: str) -> int | None:
        table = "master6" if ":" in prefix else "master4"
        output = self._birdc("show", "route", "all", "table", table, "where", "net", "=", prefix)
        found = re.search(r"BGP\.local_pref: (\d+)", output)
        return int(found[1]) if found else None

    def received(self, prefix: str) -> JsonObject | None:
        table = "master6" if ":" in prefix else "master4"
        output = self._birdc("show", "route", "all", "table", table, "where", "net", "=", prefix)
        if "BGP.as_path" not in output:
            return None

        def values(name: str) -> set[str]:
            found = re.search(rf"BGP\.{name}: (.*)", output)
            return {re.sub(", ?", ":", one) for one in re.findall(r"\((.*?)\)", found[1])} if found else set()

        path, med = re.search(r"BGP\.as_path: (.*)", output), re.search(r"BGP\.med: (\d+)", output)
        return {
            "path": path[1] if path else "",
            "med": int(med[1]) if med else None,
            "communities": values("community"),
            "large": values("large_community"),
        }


class FlowBird(TakingBird):
    """Takes flow specifications too."""

    def settings(self) -> list[str]:
        return [*super().settings(), FAMILIES]

    def configure(self) -> None:
        super().configure()
        file = self.directory / "bird.conf"
        tables = "".join(f"flow{version} table flows{version};\n" for version in (4, 6))
        channels = "".join(f"flow{one} {{ table flows{one}; import all; export none; }};\n" for one in (4, 6))
        text = file.read_text().replace("ipv4 {", f"{channels}ipv4 {{")
        file.write_text(text.replace("protocol device", f"{tables}protocol device"))

    def flows(self) -> str:
        return "".join(self._birdc("show", "route", "all", "table", table) for table in ("flows4", "flows6"))


class TakingGobgpd(Gobgpd):
    """Takes what it hears."""

    def preference(self, prefix: str) -> int | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        paths = (json.loads(self._gobgp("-j", "global", "rib", "-a", family)) or {}).get(prefix, ())
        return next((one["value"] for path in paths for one in path["attrs"] if one["type"] == _LOCAL_PREF), None)

    def received(self, prefix: str) -> JsonObject | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        paths = (json.loads(self._gobgp("-j", "global", "rib", "-a", family)) or {}).get(prefix)
        return _of_gobgp(paths[0]["attrs"]) if paths else None


def _of_gobgp(attributes: list[JsonObject]) -> JsonObject:
    by_code = {one["type"]: one for one in attributes}
    return {
        "path": " ".join(str(asn) for part in by_code[2]["as_paths"] for asn in part["asns"]),
        "med": by_code.get(4, {}).get("metric"),
        "communities": {f"{one >> 16}:{one & 0xFFFF}" for one in by_code.get(8, {}).get("communities", ())},
        "large": {
            f"{one['ASN']}:{one['LocalData1']}:{one['LocalData2']}" for one in by_code.get(32, {}).get("value", ())
        },
    }


class FlowGobgpd(TakingGobgpd):
    """Takes flow specifications too."""

    def settings(self) -> list[str]:
        return [*super().settings(), FAMILIES]

    def configure(self) -> None:
        super().configure()
        file = self.directory / "gobgpd.toml"
        families = "".join(
            f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{family}-flowspec"\n'
            for family in ("ipv4", "ipv6")
        )
        file.write_text(file.read_text() + families)

    def flows(self) -> str:
        return "".join(self._gobgp("global", "rib", "-a", f"{family}-flowspec") for family in ("ipv4", "ipv6"))


class TakingFrr(Frr):
    """Takes what it hears."""

    def preference(self, prefix: str) -> int | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        output = json.loads(self._vtysh(f"show bgp {family} unicast {prefix} json", configure=False) or "{}")
        return next((path.get("locPrf") for path in output.get("paths", ())), None)

    def settings(self) -> list[str]:
        # It is passive: after an end it tries again only in two minutes, whatever `timers connect` says.
        return [*super().settings()[:-1], f"port = {self.port}"]

    def received(self, prefix: str) -> JsonObject | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        output = json.loads(self._vtysh(f"show bgp {family} unicast {prefix} json", configure=False) or "{}")
        if not output.get("paths"):
            return None
        path = output["paths"][0]
        named = {NAMES.get(one, one) for one in path.get("community", {}).get("list", ())}
        return {
            "path": path["aspath"]["string"],
            "med": path.get("metric"),
            "communities": {"65535:65281" if one == "noExport" else one for one in named},
            "large": set(path.get("largeCommunity", {}).get("list", ())),
        }


class FlowFrr(TakingFrr):
    """Takes flow specifications too."""

    def settings(self) -> list[str]:
        return [*super().settings(), FAMILIES]

    def configure(self) -> None:
        super().configure()
        file = self.directory / "frr.conf"
        families = "".join(
            f" address-family {family} flowspec\n  neighbor 127.0.0.1 activate\n exit-address-family\n"
            for family in ("ipv4", "ipv6")
        )
        file.write_text(file.read_text() + families)

    def flows(self) -> str:
        return "".join(
            self._vtysh(f"show bgp {family} flowspec detail", configure=False) for family in ("ipv4", "ipv6")
        )


class TakingOpenbgpd(Openbgpd):
    """Takes what it hears. Version 7.7 has no flow specifications."""

    def preference(self, prefix: str) -> int | None:
        output = json.loads(self._bgpctl("-j", "show", "rib", "detail", "in", "neighbor", "127.0.0.1"))
        return next((one["localpref"] for one in output.get("rib", ()) if one["prefix"] == prefix), None)

    def received(self, prefix: str) -> JsonObject | None:
        output = json.loads(self._bgpctl("-j", "show", "rib", "detail", "in", "neighbor", "127.0.0.1"))
        route = next((one for one in output.get("rib", ()) if one["prefix"] == prefix), None)
        if route is None:
            return None
        return {
            "path": route["aspath"],
            "med": route.get("metric"),
            "communities": {NAMES.get(one, one) for one in route.get("communities", ())},
            "large": set(route.get("large_communities", ())),
        }


TAKING: tuple[type[Any], ...] = (FlowBird, FlowGobgpd, FlowFrr, TakingOpenbgpd)
