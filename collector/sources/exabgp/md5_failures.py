"""TCP segments with a wrong MD5 signature (RFC 2385), which the kernel drops and BGP never sees."""

from __future__ import annotations

from pathlib import Path

_COUNTERS = {
    "TCPMD5Failure": "with a wrong MD5 signature",
    "TCPMD5NotFound": "without one where a password is set",
    "TCPMD5Unexpected": "with one where no password is set",
}


def dropped_segments(netstat: Path) -> dict[str, int]:
    """How many segments the kernel has dropped, by the fault of their signature; {} if none, or if unknown.

    Args:
        netstat: a file like /proc/net/netstat: for each protocol a line of names and one of numbers.
    """
    try:
        lines = [line.split()[1:] for line in netstat.read_text().splitlines() if line.startswith("TcpExt:")]
    except OSError:
        return {}
    if len(lines) != 2:
        return {}
    counted = dict(zip(*lines, strict=False))
    return {what: int(count) for name, what in _COUNTERS.items() if (count := counted.get(name, "0")).strip("0")}
