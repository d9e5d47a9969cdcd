"""The receiver's own records among BMP messages: start and end, connections of routers, dropped messages."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Final

from pydantic import ValidationError

from collector.sources.bmp.messages import BadBmpError
from collector.spool.framing import frame
from schemas import message
from schemas.message import Message, OtherSource
from schemas.scalars import from_unix

MARK: Final = b"{"
_SOURCE: Final = OtherSource(name="bmp")


def start() -> bytes:
    """The first record: no router is connected yet, whatever was before."""
    return _framed("start")


def end() -> bytes:
    """The last record: it is preceded by everything that routers had sent."""
    return _framed("end")


def connected(router: str, port: int) -> bytes:
    """The record before a connection's first message."""
    return _framed("connected", router=router, port=port)


def disconnected(router: str, port: int, reason: str) -> bytes:
    """The record after a connection's last message."""
    return _framed("disconnected", router=router, port=port, reason=reason[:300])


def dropped(since: float, lines: int, size: int, reason: str) -> bytes:
    """The record in place of those for which there was no room; see `collector.spool.intake.Drop`."""
    return _framed("dropped", since=since, lines=lines, bytes=size, reason=reason[:300])


def _framed(event: str, **more: Any) -> bytes:
    record = {"bgpledger": "bmp", "event": event, "time": time.time(), "pid": os.getpid(), **more}
    return frame(json.dumps(record).encode())


def read(raw: bytes) -> Message:
    """Parse a record from one of the functions above.

    Raises:
        BadBmpError: it is not one.
    """
    try:
        record = json.loads(raw)
        common = {"ts": from_unix(record["time"]), "source": _SOURCE}
        event = record["event"]
        if event in ("connected", "disconnected"):
            return message.RouterEvent(
                **common, router=record["router"], port=record["port"], event=event, reason=record.get("reason")
            )
        common["helper_pid"] = record["pid"]
        if event == "dropped":
            drop = {name: record[name] for name in ("lines", "bytes", "reason")}
            return message.Dropped(**common, since=from_unix(record["since"]), **drop)
        made: Message = {"start": message.ReceiverStart, "end": message.ReceiverEnd}[event](**common)
        return made
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadBmpError(f"no record of a BMP receiver: {first['msg']}") from error
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise BadBmpError("no record of a BMP receiver") from error
