"""Real BGP daemons that take what they hear, and tell of it with their own `show`."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.integration.routers import LOCAL_AS, Bird, Frr, Gobgpd, Openbgpd

NAMES = {"no-export": "65535:65281", "NO_EXPORT": "65535:65281"}


FAMILIES = 'families = ["ipv4 unicast", "ipv6 unicast", "ipv4 flow", "ipv6 flow"]'
"""The collector's, for a peer that takes flow specifications."""


class TakingBird(Bird):
    """Takes what it hears."""

    imports = "all"

    def heard(self, prefix: str) -> dict[str, Any] | None:
        table = "master6" if ":" in prefix else "master4"
        said = self._birdc("show", "route", "all", "table", table, "where", "net", "=", prefix)
        if "BGP.as_path" not in said:
            return None

        def values(name: str) -> set[str]:
            found = re.search(rf"BGP\.{name}: (.*)", said)
            return {re.sub(", ?", ":", one) for one in re.findall(r"\((.*?)\)", found[1])} if found else set()

        path, med = re.search(r"BGP\.as_path: (.*)", said), re.search(r"BGP\.med: (\d+)", said)
        return {
            "path": path[1] if path else "",
            "med": int(med[1]) if med else None,
            "communities": values("community"),
            "large": values("large_community"),
        }


class TakingGobgpd(Gobgpd):
    """Takes what it hears."""

    def heard(self, prefix: str) -> dict[str, Any] | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        paths = (json.loads(self._gobgp("-j", "global", "rib", "-a", family)) or {}).get(prefix)
        return _of_gobgp(paths[0]["attrs"]) if paths else None


def _of_gobgp(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    by_code = {one["type"]: one for one in attributes}
    return {
        "path": " ".join(str(asn) for part in by_code[2]["as_paths"] for asn in part["asns"]),
        "med": by_code.get(4, {}).get("metric"),
        "communities": {f"{one >> 16}:{one & 0xFFFF}" for one in by_code.get(8, {}).get("communities", ())},
        "large": {
            f"{one['ASN']}:{one['LocalData1']}:{one['LocalData2']}" for one in by_code.get(32, {}).get("value", ())
        },
    }


class TakingFrr(Frr):
    """Takes what it hears."""

    def settings(self) -> list[str]:
        # It waits for us: after an end it tries again in two minutes only, whatever `timers connect` says.
        return [*super().settings()[:-1], f"port = {self.port}"]

    def heard(self, prefix: str) -> dict[str, Any] | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        said = json.loads(self._vtysh(f"show bgp {family} unicast {prefix} json", configure=False) or "{}")
        if not said.get("paths"):
            return None
        path = said["paths"][0]
        named = {NAMES.get(one, one) for one in path.get("community", {}).get("list", ())}
        return {
            "path": path["aspath"]["string"],
            "med": path.get("metric"),
            "communities": {"65535:65281" if one == "noExport" else one for one in named},
            "large": set(path.get("largeCommunity", {}).get("list", ())),
        }


class TakingOpenbgpd(Openbgpd):
    """Takes what it hears."""

    def heard(self, prefix: str) -> dict[str, Any] | None:
        said = json.loads(self._bgpctl("-j", "show", "rib", "detail", "in", "neighbor", "127.0.0.1"))
        route = next((one for one in said.get("rib", ()) if one["prefix"] == prefix), None)
        if route is None:
            return None
        return {
            "path": route["aspath"],
            "med": route.get("metric"),
            "communities": {NAMES.get(one, one) for one in route.get("communities", ())},
            "large": set(route.get("large_communities", ())),
        }


class FlowBird(TakingBird):
    """Takes flow specifications too, and is of our own AS."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asn = LOCAL_AS
        self.session = "flow4 { table rules4; import all; }; flow6 { table rules6; import all; };"

    def settings(self) -> list[str]:
        return [*super().settings(), FAMILIES]

    def configure(self) -> None:
        super().configure()
        file = self.directory / "bird.conf"
        file.write_text(f"flow4 table rules4;\nflow6 table rules6;\n{file.read_text()}")

    def preference(self, prefix: str) -> int | None:
        """The LOCAL_PREF of a route."""
        found = re.search(r"BGP\.local_pref: (\d+)", self._birdc("show", "route", "all", "where", "net", "=", prefix))
        return int(found[1]) if found else None

    def flows(self) -> dict[str, str]:
        """By the rule, what to do, both as it prints them."""
        said = self._birdc("show", "route", "all", "table", "rules4", "table", "rules6")
        rules = re.split(r"^(flow[46] \{.*?\}) .*", said, flags=re.MULTILINE)[1:]
        actions = (re.search(r"BGP\.ext_community: (.*)", text) for text in rules[1::2])
        return {rule: action[1] if action else "" for rule, action in zip(rules[::2], actions, strict=True)}


class FlowGobgpd(TakingGobgpd):
    """Takes flow specifications too."""

    def settings(self) -> list[str]:
        return [*super().settings(), FAMILIES]

    def configure(self) -> None:
        super().configure()
        file = self.directory / "gobgpd.toml"
        more = (
            f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{family}-flowspec"\n'
            for family in ("ipv4", "ipv6")
        )
        file.write_text(file.read_text() + "".join(more))

    def flows(self) -> dict[str, str]:
        """By the rule, what to do, both as it prints them."""
        said = "".join(self._gobgp("global", "rib", "-a", f"{family}-flowspec") for family in ("ipv4", "ipv6"))
        return dict(re.findall(r"^\*> (\[.*\]) +fictitious .*\{Extcomms: (.*?)\}", said, re.MULTILINE))


class InternalGobgpd(FlowGobgpd):
    """Is of our own AS."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asn = LOCAL_AS

    def preference(self, prefix: str) -> int | None:
        """The LOCAL_PREF of a route."""
        paths = (json.loads(self._gobgp("-j", "global", "rib", "-a", "ipv4")) or {}).get(prefix)
        return next((one["value"] for one in paths[0]["attrs"] if one["type"] == 5), None) if paths else None


class FlowFrr(TakingFrr):
    """Takes flow specifications too, and is of our own AS."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asn = LOCAL_AS

    def settings(self) -> list[str]:
        return [*super().settings(), FAMILIES]

    def configure(self) -> None:
        super().configure()
        file = self.directory / "frr.conf"
        more = (
            f" address-family {family} flowspec\n  neighbor 127.0.0.1 activate\n exit-address-family\n"
            for family in ("ipv4", "ipv6")
        )
        file.write_text(f"{file.read_text()}\nrouter bgp {self.asn}\n{''.join(more)}")

    def preference(self, prefix: str) -> int | None:
        """The LOCAL_PREF of a route."""
        found = json.loads(self._vtysh(f"show bgp ipv4 unicast {prefix} json", configure=False) or "{}")
        return found["paths"][0].get("locPrf") if found.get("paths") else None

    def flows(self) -> dict[str, str]:
        """By the rule, what to do, both as it prints them."""
        found = {}
        for family in ("ipv4", "ipv6"):
            said = self._vtysh(f"show bgp {family} flowspec detail", configure=False)
            for entry in re.findall(r"BGP flowspec entry:.*\n((?:.*\n)*?)\treceived", said):
                *rule, action = (line.strip() for line in entry.splitlines())
                found["; ".join(rule)] = action
        return found


TAKING: tuple[type[Any], ...] = (TakingBird, TakingGobgpd, TakingFrr, TakingOpenbgpd)
