"""Connects to a BGP daemon until it accepts a session."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from collector.replay.speaker import NotReadyError, SessionCall, SpeakerSession
from collector.retry import pauses

_CONNECT_SECONDS: Final = 10
# A busy daemon accepts a connection long before it answers: its kernel does that.
_OPEN_SECONDS: Final = 60
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


async def connect(call: SessionCall, patience: float) -> SpeakerSession:
    """Open a session; it is Established when this returns.

    Args:
        call: the session's parameters.
        patience: how many seconds to retry if the daemon refuses or closes the connection.

    Raises:
        ReplayError: the daemon cannot be reached, refuses us, or lacks what the session needs.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    waits = pauses(_FIRST_PAUSE, _LONGEST_PAUSE)
    while True:
        try:
            return await _attempt(call)
        except NotReadyError as refusal:
            pause = next(waits)
            if loop.time() + pause > give_up:
                raise call.failed(refusal.cause, refusal.cure) from None
        await asyncio.sleep(pause)


async def _attempt(call: SessionCall) -> SpeakerSession:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _reach(call, connection)
        session = SpeakerSession(call, connection)
        async with asyncio.timeout(_OPEN_SECONDS):
            await session.establish()
    except TimeoutError:
        connection.close()
        raise call.failed(
            f"it accepted the connection, but did not finish the handshake within {_OPEN_SECONDS} seconds",
            "Is this a BGP daemon, and does it still run?",
        ) from None
    except BaseException:
        connection.close()
        raise
    return session


async def _reach(call: SessionCall, connection: socket.socket) -> None:
    try:
        connection.bind((call.source, 0))
    except OSError as error:
        raise call.failed(
            f"cannot connect from {call.source}: {error.strerror}",
            "Give an address of this machine with --source; on macOS `ifconfig lo0 alias ADDRESS` adds one.",
        ) from None
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(connection, call.target)
    except ConnectionRefusedError:
        raise NotReadyError("connection refused", "Does a BGP daemon listen there? Check --to and start it.") from None
    except TimeoutError:
        raise call.failed(f"no answer within {_CONNECT_SECONDS} seconds", "Check --to and firewalls.") from None
    except OSError as error:
        cure = "Check --to and --source: from a loopback address only this machine is reached."
        raise call.failed(f"cannot connect: {error.strerror}", cure) from None
