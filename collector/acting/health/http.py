"""Probes a service over HTTP."""

from __future__ import annotations

import asyncio
import re
import ssl
from urllib.parse import urlsplit

from collector.acting.health.probe_result import ProbeResult, shown, unreachable

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r|\n)")


async def probe(url: str, host: str | None) -> ProbeResult:
    """Send a GET request. A status from 200 to 399 is healthy, as for `curl --fail`; redirects are not followed.

    Only the status line is read, so a response that never ends is no problem.

    Args:
        url: `http://ADDRESS[:PORT]/PATH`, or `https`.
        host: the host to request, whose name the certificate must have; None: the address in the URL.
    """
    try:
        return _read(await _ask(url, host))
    except ssl.SSLCertVerificationError as error:
        return ProbeResult(is_healthy=False, detail=f"certificate: {shown(error.verify_message)}")
    except ssl.SSLError as error:
        return ProbeResult(is_healthy=False, detail=f"TLS: {shown(error.reason or 'broken off')}")
    except OSError as error:
        return unreachable(error)
    except ValueError:
        return ProbeResult(is_healthy=False, detail="the answer is not HTTP")  # a line without end


async def _ask(url: str, host: str | None) -> bytes:
    """The first line of the response."""
    parts = urlsplit(url)
    address = parts.hostname or ""
    encrypted = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        address,
        parts.port or (443 if encrypted else 80),
        ssl=ssl.create_default_context() if encrypted else None,
        server_hostname=(host or address) if encrypted else None,
    )
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (f"GET {path} HTTP/1.1", f"Host: {host or parts.netloc}", "User-Agent: bgpledger", "Connection: close")
        writer.write("\r\n".join((*head, "", "")).encode("ascii"))
        return await reader.readline()
    finally:
        writer.close()


def _read(line: bytes) -> ProbeResult:
    if not line:
        return ProbeResult(is_healthy=False, detail="connection closed without an answer")
    found = _STATUS.match(line)
    if not found:
        return ProbeResult(is_healthy=False, detail="the answer is not HTTP")
    status = int(found[1])
    return ProbeResult(is_healthy=200 <= status < 400, detail=f"HTTP {status}")
