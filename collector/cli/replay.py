"""`bgpledger replay`: plays an MRT file into a BGP daemon."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import ReplayError, UsageError
from collector.present.names import AnswerFormat

if TYPE_CHECKING:
    from collector.replay.player import LeftOut, Summary

_MOST_FAULTS = 10  # lines about what is left out; a damaged file has many kinds of faults
_INTERRUPTED = 130  # the exit status that shells report for a command ended by Ctrl-C


def command(
    file: Annotated[Path, typer.Argument(help="MRT update file: plain, gzip or bzip2.", metavar="FILE")],
    to: Annotated[str | None, typer.Option(metavar="ADDR:PORT", help="The BGP daemon.")] = None,
    peer_as: Annotated[
        str | None, typer.Option(metavar="N", help="The AS that the daemon must have; by default any.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR", help="Source address of the first peer, counted up for others; by default 127.0.1.1."
        ),
    ] = None,
    only_peer: Annotated[str | None, typer.Option(metavar="ADDR", help="Play only this peer of the file.")] = None,
    speed: Annotated[
        str, typer.Option(metavar="max|real|xN", help="As fast as possible, in real time, or N times as fast.")
    ] = "max",
    *,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat until Ctrl-C.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the sessions up at the end, until Ctrl-C.")] = False,
    show_plan: Annotated[
        bool, typer.Option("--plan", help="Send nothing; print the file's peers and their source addresses.")
    ] = False,
    form: Annotated[AnswerFormat, typer.Option("--format", help="Output format of a plan.")] = "jsonl",
) -> None:
    """Play an MRT update file into any BGP daemon, one session for each peer of the file."""
    # Everything on the command line is checked before a large file is read.
    factor = _speed(speed)
    target = _target(to, show_plan=show_plan)
    asn = _peer_as(peer_as) if peer_as is not None else None
    from collector.cli.progress import progress
    from collector.cli.run_query import show
    from collector.replay.player import LeftOut, plan, play
    from schemas.status import ReplayedPeer

    left_out = LeftOut()
    try:
        peers = plan(file, only_peer=only_peer, source=source, left_out=left_out)
        if show_plan:
            show([peer.as_answer() for peer in peers], ReplayedPeer, form)
        _tell_left_out(left_out)
        if show_plan:
            return
        with progress(None if loop else sum(peer.updates for peer in peers), of="messages sent") as shown:
            summary = _until_signal(
                lambda: play(
                    *(file, target, peers),
                    peer_as=asn,
                    speed=factor,
                    loop=loop,
                    stay=stay,
                    progress=shown.advance,
                    refused=_tell_refused,
                )
            )
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    rate = summary.messages / max(summary.seconds, 0.001)
    sys.stderr.write(
        f"played {summary.messages} messages of {summary.peers} peers in {summary.seconds:.1f} s: {rate:.0f}/s\n"
    )
    if left_out.rest is not None:
        raise left_out.rest
    if unplayed := len(peers) - summary.peers:
        raise ReplayError(
            f"{unplayed} of {len(peers)} peers were not played: the daemon does not accept their sessions",
            "`--plan` lists the neighbours to configure there; --only-peer plays one of them.",
        )


def _tell_refused(refusal: ReplayError) -> None:
    sys.stderr.write(f"not played: {refusal.cause}\n")


def _tell_left_out(left_out: LeftOut) -> None:
    """Report what of the file is not played."""
    faults = list(left_out.records.items())
    for what, (count, first) in faults[:_MOST_FAULTS]:
        more = f", and {count - 1} more like it" if count > 1 else ""
        sys.stderr.write(f"left out: record {first} {what}{more}\n")
    if rest := sum(count for _, (count, _) in faults[_MOST_FAULTS:]):
        sys.stderr.write(f"left out: {rest} more records, for other reasons\n")
    if left_out.rest is not None:
        sys.stderr.write(f"left out: {left_out.rest.cause}\n")


def _target(text: str | None, *, show_plan: bool) -> tuple[str, int]:
    if text is None and show_plan:
        return "", 0
    cure = "Name the BGP daemon by IPv4 address and port, such as --to 127.0.0.1:179."
    if text is None:
        raise UsageError("--to is missing", f"{cure} Use --plan to see what would be sent.")
    address, _, port = text.rpartition(":")
    try:
        target = str(IPv4Address(address)), int(port)
    except ValueError:
        target = "", 0
    if not 0 < target[1] < 2**16:
        raise UsageError(f"--to {text} is not ADDR:PORT", cure)
    return target


def _speed(text: str) -> float | None:
    """The factor for `play`."""
    if text == "max":
        return None
    number = "1" if text == "real" else text.removeprefix("x") if text.startswith("x") else ""
    try:
        factor = float(number)
    except ValueError:
        factor = 0
    if not 0 < factor < math.inf:
        raise UsageError(f"--speed {text} is not max, real or xN", "Sixty times as fast is --speed x60.")
    return factor


def _until_signal(work: Callable[[], Coroutine[Any, Any, Summary]]) -> Summary:
    """Run `work` to its end.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came before the end.
    """
    import asyncio
    import signal

    async def run() -> Summary:
        loop = asyncio.get_running_loop()
        playing = asyncio.ensure_future(work())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, playing.cancel)
        return await playing

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _peer_as(text: str) -> int:
    """An AS number.

    Raises:
        UsageError: it is none.
    """
    from schemas.scalars import parse_asn

    try:
        return parse_asn(text)
    except ValueError:
        raise UsageError(
            f"--peer-as {text!r} is not an AS number", "give 1 to 4294967294, also as AS64500 or 1.10"
        ) from None
