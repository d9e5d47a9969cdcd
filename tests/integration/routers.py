"""Real BGP daemons, each with its own loopback address, that announce what a test says."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from tests.running import free_port
from tests.support import missing, program


@dataclass(frozen=True)
class Route:
    """What a router is to announce."""

    prefix: str
    med: int = 0
    community: str | None = None


class Router(ABC):
    """One daemon that connects to a collector on loopback. Use as a context manager.

    Args:
        directory: for its configuration and sockets.
        target: the collector's port on 127.0.0.1.
    """

    name: str
    address: str
    asn: int
    programs: tuple[str, ...]
    sends_communities = True

    def __init__(self, directory: Path, target: int) -> None:
        self.directory = directory
        self.target = target
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Router:
        for name in self.programs:
            program(name)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.configure()
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it in good order; its peers are told."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it, in the foreground."""

    @abstractmethod
    def configure(self) -> None:
        """Write a configuration without routes."""

    @abstractmethod
    def announce(self, routes: list[Route]) -> None:
        """Announce exactly these routes from now on."""

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


class Gobgpd(Router):
    name, address, asn, programs = "gobgpd", "127.0.0.21", 65021, ("gobgpd", "gobgp")

    def __init__(self, directory: Path, target: int) -> None:
        super().__init__(directory, target)
        self.api = free_port()
        self._announced: list[Route] = []

    def command(self) -> list[str]:
        config = self.directory / "gobgpd.toml"
        return [program("gobgpd"), "-f", str(config), "--api-hosts", f"127.0.0.1:{self.api}", "--pprof-disable"]

    def configure(self) -> None:
        families = "".join(
            f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{family}-unicast"\n'
            for family in ("ipv4", "ipv6")
        )
        (self.directory / "gobgpd.toml").write_text(
            f'[global.config]\nas = {self.asn}\nrouter-id = "10.0.0.21"\nport = {self.port}\n'
            f'local-address-list = ["{self.address}"]\n'
            f'[[neighbors]]\n[neighbors.config]\nneighbor-address = "127.0.0.1"\npeer-as = 65000\n'
            f'[neighbors.transport.config]\nremote-port = {self.target}\nlocal-address = "{self.address}"\n'
            f"[neighbors.timers.config]\nconnect-retry = 1\nhold-time = 90\n{families}"
        )

    def announce(self, routes: list[Route]) -> None:
        for route in self._announced:
            if route.prefix not in [other.prefix for other in routes]:
                self._rib("del", route.prefix)
        for route in routes:
            if route not in self._announced:
                extra = ["community", route.community] if route.community else []
                hop = "2001:db8::21" if ":" in route.prefix else self.address
                self._rib("add", route.prefix, "nexthop", hop, "med", str(route.med), *extra)
        self._announced = routes

    def _rib(self, what: str, prefix: str, *more: str) -> None:
        family = ["-a", "ipv6"] if ":" in prefix else []
        self._run(
            program("gobgp"), "-u", "127.0.0.1", "-p", str(self.api), "global", "rib", what, prefix, *more, *family
        )


class Bird(Router):
    name, address, asn, programs = "bird", "127.0.0.22", 65022, ("bird", "birdc")
    sends_communities = False  # BIRD 2.0.12 sends the MED or the community of a static route, never both

    def command(self) -> list[str]:
        return [program("bird"), "-f", "-c", str(self.directory / "bird.conf"), "-s", str(self.directory / "bird.ctl")]

    def configure(self) -> None:
        self._write([])

    def _write(self, routes: list[Route]) -> None:
        # Two protocols: with add-path, a second route of one prefix comes from the second of them.
        tables: list[dict[str, Route]] = [{}, {}]
        for route in routes:
            tables[1 if route.prefix in tables[0] else 0][route.prefix] = route
        static = ""
        for number, table in enumerate(tables):
            for family, colon in (("ipv4", False), ("ipv6", True)):
                lines = "".join(self._static(route) for route in table.values() if (":" in route.prefix) == colon)
                static += f"protocol static s{number}{family} {{ {family}; {lines} }}\n"
        (self.directory / "bird.conf").write_text(
            f"router id 10.0.0.22;\nprotocol device {{ }}\n{static}"
            f"protocol bgp collector {{ local {self.address} port {self.port} as {self.asn};\n"
            f"  neighbor 127.0.0.1 port {self.target} as 65000; multihop; connect retry time 1; connect delay time 1;\n"
            "  error wait time 1, 2;\n"
            "  ipv4 { import none; export all; next hop self; add paths tx; };\n"
            "  ipv6 { import none; export all; next hop address 2001:db8::22; }; }\n"
        )

    def _static(self, route: Route) -> str:
        return f"route {route.prefix} blackhole {{ bgp_med = {route.med}; }};\n"

    def announce(self, routes: list[Route]) -> None:
        self._write(routes)
        self._run(program("birdc"), "-s", str(self.directory / "bird.ctl"), "configure")


class Frr(Router):
    name, address, asn, programs = "frr", "127.0.0.23", 65023, ("vtysh",)

    def __init__(self, directory: Path, target: int) -> None:
        super().__init__(directory, target)
        self.vty = free_port()
        self._announced: list[Route] = []

    def command(self) -> list[str]:
        daemon = "/usr/lib/frr/bgpd"
        if not Path(daemon).exists():
            missing(f"{daemon} is not installed (Debian package frr)")
        return [
            *(
                daemon,
                "-f",
                str(self.directory / "frr.conf"),
                "-n",
                "-S",
                "-Z",
                "-p",
                str(self.port),
                "-l",
                self.address,
            ),
            *("-i", str(self.directory / "pid"), "--vty_socket", str(self.directory), "-A", "127.0.0.1"),
            *("-P", str(self.vty), "-u", "root", "-g", "root"),
        ]

    def configure(self) -> None:
        self.directory.chmod(0o755)
        (self.directory / "frr.conf").write_text(
            f"bgp route-map delay-timer 0\nrouter bgp {self.asn}\n bgp router-id 10.0.0.23\n"
            " no bgp ebgp-requires-policy\n no bgp network import-check\n"
            " neighbor 127.0.0.1 remote-as 65000\n"
            f" neighbor 127.0.0.1 port {self.target}\n neighbor 127.0.0.1 ebgp-multihop 2\n"
            f" neighbor 127.0.0.1 update-source {self.address}\n neighbor 127.0.0.1 timers connect 1\n"
            " neighbor 127.0.0.1 disable-connected-check\n neighbor 127.0.0.1 advertisement-interval 0\n"
            " address-family ipv6 unicast\n  neighbor 127.0.0.1 activate\n exit-address-family\n"
        )

    def announce(self, routes: list[Route]) -> None:
        for route in self._announced:
            if route.prefix not in [other.prefix for other in routes]:
                self._configure(route, "no ")
        for route in routes:
            if route not in self._announced:
                self._configure(route)
        self._announced = routes

    def _configure(self, route: Route, no: str = "") -> None:
        # The name tells the attributes: a change is another route map, which takes effect at once.
        name = f"M{route.med}{'V6' if ':' in route.prefix else ''}"
        lines = ["configure terminal"]
        if not no:
            lines += [f"route-map {name} permit 10", f"set metric {route.med}"]
            lines += [f"set community {route.community}"] if route.community else []
            lines += ["exit"]
        family = "ipv6" if ":" in route.prefix else "ipv4"
        lines += [f"router bgp {self.asn}", f"address-family {family} unicast"]
        lines += [f"{no}network {route.prefix}" + ("" if no else f" route-map {name}")]
        commands = [part for line in lines for part in ("-c", line)]
        self._run(program("vtysh"), "--vty_socket", str(self.directory), *commands)


class Openbgpd(Router):
    name, address, asn, programs = "openbgpd", "127.0.0.24", 65024, ("bgpctl",)

    def command(self) -> list[str]:
        if os.geteuid() != 0:
            missing("OpenBGPD needs root")
        # It keeps its own socket under /run whatever it is told: a /run for itself.
        start = "mount -t tmpfs tmpfs /run && mkdir -p /run/openbgpd && exec /usr/sbin/bgpd -d -f"
        return ["unshare", "-m", "sh", "-c", f"{start} {self.directory}/openbgpd.conf"]

    def configure(self) -> None:
        self._write([])

    def _write(self, routes: list[Route]) -> None:
        networks = ""
        for route in routes:
            community = f" community {route.community}" if route.community else ""
            networks += f"network {route.prefix} set {{ metric {route.med}{community} }}\n"
        config = self.directory / "openbgpd.conf"
        config.write_text(
            f"AS {self.asn}\nrouter-id 10.0.0.24\nlisten on {self.address} port {self.port}\n"
            f'socket "{self.directory}/openbgpd.sock"\n{networks}'
            f'neighbor 127.0.0.1 {{\n descr "collector"\n remote-as 65000\n local-address {self.address}\n'
            f" port {self.target}\n multihop 2\n announce IPv4 unicast\n announce IPv6 unicast\n}}\n"
            "allow to any\nallow from any\n"
        )
        config.chmod(0o600)

    def announce(self, routes: list[Route]) -> None:
        self._write(routes)
        self._run(program("bgpctl"), "-s", f"{self.directory}/openbgpd.sock", "reload")


ROUTERS: tuple[type[Router], ...] = (Gobgpd, Bird, Frr, Openbgpd)
