"""Real BGP daemons on their own loopback addresses: each announces what it is told to, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from schemas.json_object import JsonObject
from tests.running import free_port
from tests.support import missing, program

LOCAL_AS = 65000


class Route(NamedTuple):
    """A route that a router originates. Two with the same prefix are two paths, if the router has add-path."""

    prefix: str
    med: int
    communities: tuple[str, ...] = ()
    large: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return "ipv6" if ":" in self.prefix else "ipv4"


class Router(ABC):
    """A daemon with a session to the collector, from entering its context to leaving it.

    Args:
        directory: where its files go; made.
        target: the collector's port on 127.0.0.1.
        number: of its address, AS and BGP identifier: 127.0.0.N, 65000 + N, 10.0.0.N.
        session: more lines for the session, in the daemon's own language.
    """

    capabilities: frozenset[int]
    """Codes of its OPEN (RFC 5492): 1 multiprotocol, 2 route refresh, 64 graceful restart, 65 4-byte AS, ..."""
    origin = "igp"
    has_end_of_rib = True

    def __init__(self, directory: Path, target: int, number: int, session: str = "") -> None:
        self.directory, self.target, self.number, self.session = directory, target, number, session
        self.address, self.asn, self.router_id = f"127.0.0.{number}", LOCAL_AS + number, f"10.0.0.{number}"
        self.port, self.api = free_port(), free_port()
        self.routes: Sequence[Route] = ()
        self._before: Sequence[Route] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self) -> list[str]:
        """The collector's settings for this peer."""
        return ["[[peers]]", f'address = "{self.address}"', f"asn = {self.asn}", "passive = true"]

    @property
    def next_hop(self) -> str:
        """The next hop of its IPv4 routes, if it accepts what it is told."""
        return self.address

    @property
    def next_hop6(self) -> str:
        """The next hop of its IPv6 routes; over an IPv4 session some daemons do not accept what they are told."""
        return f"2001:db8::{self.number}"

    @property
    def peer(self) -> JsonObject:
        """The peer, as `history` and documents name it."""
        return {"address": self.address, "asn": self.asn}

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True)
        command = self.command()
        self.configure()
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self.kill()

    def kill(self) -> None:
        """Kill it, without a NOTIFICATION to anybody."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def announce(self, *routes: Route) -> None:
        """Announce these routes and no others. Its session is up, so it accepts commands."""
        self._before, self.routes = self.routes, routes
        self.change()

    @property
    def withdrawn(self) -> list[Route]:
        """The routes that it announced before and no longer does."""
        return [route for route in self._before if route not in self.routes]

    @property
    def new(self) -> list[Route]:
        """The routes that it did not announce before."""
        return [route for route in self.routes if route not in self._before]

    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def configure(self) -> None:
        """Write its configuration, including `routes` if that is where its routes are configured."""

    @abstractmethod
    def change(self) -> None:
        """Let it announce the changed `routes`."""

    @abstractmethod
    def shut_down(self, why: str) -> None:
        """Shut the session down administratively (RFC 9003)."""

    @abstractmethod
    def reset(self) -> None:
        """Take the session down; it comes up again by itself."""

    @abstractmethod
    def table(self) -> list[JsonObject]:
        """What it reports as announced, in the form of `rib`, with the attributes that it shows."""

    def tell(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=self.directory)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


class Gobgpd(Router):
    capabilities = frozenset({1, 2, 65})
    origin = "incomplete"
    has_end_of_rib = False

    def settings(self) -> list[str]:
        # It is passive: it would try again only after nine seconds.
        return [*super().settings()[:-1], f"port = {self.port}"]

    def command(self) -> list[str]:
        return [program("gobgpd"), "-f", "gobgpd.toml", "--api-hosts", f"127.0.0.1:{self.api}", "--pprof-disable"]

    def configure(self) -> None:
        families = "".join(
            f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{family}-unicast"\n'
            "[neighbors.afi-safis.add-paths.config]\nsend-max = 8\n"
            for family in ("ipv4", "ipv6")
        )
        (self.directory / "gobgpd.toml").write_text(
            f"""
            [global.config]
            as = {self.asn}
            router-id = "{self.router_id}"
            port = {self.port}
            local-address-list = ["{self.address}"]
            [[neighbors]]
            [neighbors.config]
            neighbor-address = "127.0.0.1"
            peer-as = {LOCAL_AS}
            [neighbors.transport.config]
            remote-port = {self.target}
            local-address = "{self.address}"
            passive-mode = true
            [neighbors.timers.config]
            hold-time = 90
            {families}
            """
        )

    def change(self) -> None:
        replaced = {(route.prefix, self._identifier(route)) for route in self.new}
        for route in self.withdrawn:
            if (route.prefix, self._identifier(route)) not in replaced:
                self._rib("del", route)
        for route in self.new:
            words = ["nexthop", self.next_hop6 if route.family == "ipv6" else self.next_hop, "med", str(route.med)]
            words += ["community", ",".join(route.communities)] if route.communities else []
            words += ["large-community", ",".join(route.large)] if route.large else []
            self._rib("add", route, *words)

    def _rib(self, what: str, route: Route, *words: str) -> None:
        path = ["identifier", self._identifier(route)]
        self._gobgp("global", "rib", what, "-a", route.family, route.prefix, *path, *words)

    def _identifier(self, route: Route) -> str:
        """A path belongs to the route whose MED begins with the same digit, which a change keeps."""
        return str(route.med)[0]

    def shut_down(self, why: str) -> None:
        self._gobgp("neighbor", "127.0.0.1", "shutdown", "--reason", why)

    def reset(self) -> None:
        # Its own `reset` keeps it down for half a minute.
        self._gobgp("neighbor", "127.0.0.1", "disable")
        self._gobgp("neighbor", "127.0.0.1", "enable")

    def table(self) -> list[JsonObject]:
        found = []
        for family in ("ipv4", "ipv6"):
            routes = json.loads(self._gobgp("-j", "neighbor", "127.0.0.1", "adj-out", "-a", family)) or {}
            for prefix, paths in routes.items():
                found += [{"prefix": prefix, **self._fields(path["attrs"])} for path in paths]
        return found

    def _fields(self, attributes: list[JsonObject]) -> JsonObject:
        by_code = {one["type"]: one for one in attributes}
        standard = by_code.get(8, {}).get("communities", ())
        large = by_code.get(32, {}).get("value", ())
        return {
            "origin": ("igp", "egp", "incomplete")[by_code[1]["value"]],
            "as_path": " ".join(str(asn) for part in by_code[2]["as_paths"] for asn in part["asns"]),
            "next_hop": by_code.get(3, by_code.get(14))["nexthop"],  # type: ignore[index]
            "med": by_code[4]["metric"],
            "communities": [f"{one >> 16}:{one & 0xFFFF}" for one in standard] or None,
            "large_communities": [f"{one['ASN']}:{one['LocalData1']}:{one['LocalData2']}" for one in large] or None,
        }

    def _gobgp(self, *words: str) -> str:
        return self.tell(program("gobgp"), "-u", "127.0.0.1", "-p", str(self.api), *words)


class Bird(Router):
    capabilities = frozenset({1, 2, 64, 65, 69, 70})
    imports = "none"

    def command(self) -> list[str]:
        return [program("bird"), "-f", "-c", "bird.conf", "-s", "bird.ctl"]

    def configure(self) -> None:
        taken = f"import {self.imports}; export filter with_med; add paths tx;"
        # Two routes to a prefix come from two protocols. Only a MED that the export filter sets is sent.
        static, seen = "", [route.prefix for route in self.routes]
        for at, route in enumerate(self.routes):
            protocol = f"r{route.prefix}_{seen[:at].count(route.prefix)}".translate(str.maketrans(".:/", "___"))
            values = [f"bgp_community.add(({value.replace(':', ',')}));" for value in route.communities]
            values += [f"bgp_large_community.add(({value.replace(':', ',')}));" for value in route.large]
            static += (
                f"protocol static {protocol} {{ {route.family};\n"
                f"route {route.prefix} blackhole {{ its_med = {route.med}; {' '.join(values)} }}; }}\n"
            )
        (self.directory / "bird.conf").write_text(
            f"""
            log stderr all;
            router id {self.router_id};
            attribute int its_med;
            filter with_med {{ bgp_med = its_med; accept; }}
            protocol device {{ }}
            {static}
            protocol bgp collector {{
                local {self.address} port {self.port} as {self.asn};
                neighbor 127.0.0.1 port {self.target} as {LOCAL_AS};
                multihop 2;
                connect delay time 1;
                connect retry time 1;
                error wait time 1, 2;
                hold time 90;
                {self.session}
                ipv4 {{ {taken} next hop address {self.next_hop}; }};
                ipv6 {{ {taken} next hop address {self.next_hop6}; }};
            }}
            """
        )

    def change(self) -> None:
        self.configure()
        self._birdc("configure")

    def shut_down(self, why: str) -> None:
        self._birdc("disable", "collector", f'"{why}"')

    def reset(self) -> None:
        self._birdc("restart", "collector")

    def table(self) -> list[JsonObject]:
        found: list[JsonObject] = []
        prefix = ""
        for line in self._birdc("show", "route", "export", "collector", "all").splitlines():
            if route := re.match(r"(\S+/\d+)?\s+blackhole", line):
                prefix = route[1] or prefix  # only the first path to a prefix shows the prefix
                found.append({"prefix": prefix, "communities": None, "large_communities": None})
            elif med := re.match(r"\s+BGP.med: (\d+)", line):
                found[-1]["med"] = int(med[1])
            elif communities := re.match(r"\s+BGP.(community|large_community): (.*)", line):
                name = "communities" if communities[1] == "community" else "large_communities"
                found[-1][name] = [re.sub(", ?", ":", one) for one in re.findall(r"\((.*?)\)", communities[2])]
        return found

    def _birdc(self, *words: str) -> str:
        return self.tell(program("birdc"), "-s", "bird.ctl", *words)


class Frr(Router):
    capabilities = frozenset({1, 2, 6, 64, 65, 70, 73})

    @property
    def next_hop6(self) -> str:
        return f"::ffff:{self.address}"

    def command(self) -> list[str]:
        bgpd = "/usr/lib/frr/bgpd"  # OpenBGPD's has the same name
        if not Path(bgpd).exists():
            missing(f"{bgpd} is not here (Debian's package frr)")
        if os.geteuid() != 0:
            missing("FRR's bgpd starts as root only")
        alone = ["-n", "-S", "-Z", "-u", "root", "-g", "root", "-i", "pid", "--vty_socket", str(self.directory)]
        return [
            *(bgpd, "-f", str(self.directory / "frr.conf"), "-p", str(self.port), "-l", self.address),
            *(*alone, "-A", "127.0.0.1", "-P", str(self.api)),
        ]

    def configure(self) -> None:
        (self.directory / "frr.conf").write_text(
            f"""
            router bgp {self.asn}
             bgp router-id {self.router_id}
             no bgp ebgp-requires-policy
             no bgp network import-check
             neighbor 127.0.0.1 remote-as {LOCAL_AS}
             neighbor 127.0.0.1 port {self.target}
             neighbor 127.0.0.1 ebgp-multihop 2
             neighbor 127.0.0.1 disable-connected-check
             neighbor 127.0.0.1 update-source {self.address}
             neighbor 127.0.0.1 timers 30 90
             neighbor 127.0.0.1 timers connect 1
             neighbor 127.0.0.1 advertisement-interval 0
             address-family ipv6 unicast
              neighbor 127.0.0.1 activate
             exit-address-family
            """
        )

    def change(self) -> None:
        replaced = [route.prefix for route in self.new]
        lines: list[str] = []
        for route in self.withdrawn:
            if route.prefix not in replaced:
                lines += self._network(f"no network {route.prefix}", route)
        for route in self.new:
            # Other attributes need another map: a changed map takes effect only after seconds.
            name = f"{route.family}-{route.med}"
            lines += [f"route-map {name} permit 10", f"set metric {route.med}"]
            lines += [f"set community {' '.join(route.communities)}"] if route.communities else []
            lines += [f"set large-community {' '.join(route.large)}"] if route.large else []
            lines += ["exit", *self._network(f"network {route.prefix} route-map {name}", route)]
        self._vtysh(*lines)

    def _network(self, line: str, route: Route) -> list[str]:
        return [f"router bgp {self.asn}", f"address-family {route.family} unicast", line, "exit", "exit"]

    def shut_down(self, why: str) -> None:
        self._vtysh(f"router bgp {self.asn}", f"neighbor 127.0.0.1 shutdown message {why}")

    def reset(self) -> None:
        self._vtysh("clear bgp 127.0.0.1", configure=False)

    def table(self) -> list[JsonObject]:
        found = []
        for family in ("ipv4", "ipv6"):
            told = self._vtysh(f"show bgp {family} unicast neighbors 127.0.0.1 advertised-routes json", configure=False)
            routes = json.loads(told)["advertisedRoutes"].values()
            found += [{"prefix": route["network"], "med": route["metric"], "origin": "igp"} for route in routes]
        return found

    def _vtysh(self, *lines: str, configure: bool = True) -> str:
        words = [word for line in (*["configure terminal"] * configure, *lines) for word in ("-c", line)]
        return self.tell(program("vtysh"), "--vty_socket", str(self.directory), "-d", "bgpd", *words)


class Openbgpd(Router):
    capabilities = frozenset({1, 2, 64, 65})
    next_hop6 = "::1"

    def command(self) -> list[str]:
        program("bgpctl")
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            missing("OpenBGPD starts as root only, with a /run that we may mount")
        # It needs /run/openbgpd for its chroot, so it gets its own /run.
        own = "mount -t tmpfs tmpfs /run && mkdir -p /run/openbgpd"
        return ["unshare", "-m", "sh", "-c", f"{own} && exec /usr/sbin/bgpd -d -f '{self.directory}/openbgpd.conf'"]

    def configure(self) -> None:
        networks = ""
        for route in self.routes:
            values = [f"community {value}" for value in route.communities]
            values += [f"large-community {value}" for value in route.large]
            networks += f"network {route.prefix} set {{ metric {route.med} {' '.join(values)} }}\n"
        file = self.directory / "openbgpd.conf"
        file.write_text(
            f"""
            AS {self.asn}
            router-id {self.router_id}
            listen on {self.address} port {self.port}
            socket "{self.directory}/openbgpd.sock"
            connect-retry 1
            holdtime 90
            {networks}
            neighbor 127.0.0.1 {{
                remote-as {LOCAL_AS}
                local-address {self.address}
                port {self.target}
                multihop 2
                announce IPv4 unicast
                announce IPv6 unicast
            }}
            allow to any
            allow from any
            """
        )
        file.chmod(0o600)

    def change(self) -> None:
        self.configure()
        self._bgpctl("reload")

    def shut_down(self, why: str) -> None:
        self._bgpctl("neighbor", "127.0.0.1", "down", why)

    def reset(self) -> None:
        self._bgpctl("neighbor", "127.0.0.1", "clear")

    def table(self) -> list[JsonObject]:
        routes = json.loads(self._bgpctl("-j", "show", "rib", "detail", "out", "neighbor", "127.0.0.1"))["rib"]
        return [
            {
                "prefix": route["prefix"],
                "as_path": route["aspath"],
                "next_hop": route["exit_nexthop"],
                "origin": route["origin"].lower(),
                "med": route["metric"],
                "communities": route.get("communities"),
                "large_communities": route.get("large_communities"),
            }
            for route in routes
        ]

    def _bgpctl(self, *words: str) -> str:
        return self.tell(program("bgpctl"), "-s", f"{self.directory}/openbgpd.sock", *words)


ROUTERS: tuple[type[Router], ...] = (Gobgpd, Bird, Frr, Openbgpd)
