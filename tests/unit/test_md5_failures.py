"""The kernel's counters of wrong MD5 signatures."""

from pathlib import Path

from collector.sources.exabgp.md5_failures import dropped_segments


def test_dropped_packets_are_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "netstat"
    table.write_text(
        "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPAbort\nTcpExt: 3 0 2 10 5\n"
        "IpExt: InNoRoutes\nIpExt: 0\n"
    )
    assert dropped_segments(table) == {"with a wrong MD5 signature": 10, "with one where no password is set": 2}


def test_a_kernel_without_these_counters_has_dropped_none(tmp_path: Path) -> None:
    table = tmp_path / "netstat"
    assert dropped_segments(table) == {}
    table.write_text("TcpExt: SyncookiesSent\nTcpExt: 3\n")
    assert dropped_segments(table) == {}
    assert dropped_segments(Path("/proc/net/netstat")) is not None
