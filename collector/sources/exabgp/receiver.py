"""The receiver: copies bytes from ExaBGP's pipe to a sink, and does nothing else.

ExaBGP blocks, and every BGP session with it, while this does not read; and whatever stands in the pipe when this
dies is lost. So it knows nothing of JSON or MongoDB and keeps nothing to itself. Its stdout is where ExaBGP takes
commands from: nothing goes there but what `requests` lets through.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from collector.sources.exabgp.route_refresh import pass_on

_PIPE_BYTES = 2**20
"""As large as Linux lets anybody make a pipe (/proc/sys/fs/pipe-max-size): ExaBGP's slack while the disk is slow."""

_GATHER_SECONDS = 0.01
"""A pause after each read: woken for every line, this costs 4.5 % of a core at 5,000 lines/s; with 2 ms 3.5 %, so it
costs 2.5 %, and 1 MB of pipe holds what comes meanwhile seven times over, even at PyPy's 17,000."""


def receive(sink: Callable[[bytes], None], *, source: int = 0, requests: int, commands: int) -> None:
    """Hand everything that comes from ExaBGP to `sink`, until it ends or tells us to.

    SIGTERM ends this once the pipe is empty: ExaBGP keeps its end open while it waits for us. SIGINT is ignored:
    Ctrl-C goes to everybody at a terminal, and ExaBGP has its last words to say first.

    Args:
        sink: takes each chunk of bytes, cut anywhere; what it raises ends this.
        source: the file descriptor to read.
        requests: where requests come from, see `collector.sources.exabgp.route_refresh`.
        commands: where they go, to ExaBGP.
    """
    ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A read that waits would simply go on after a handler: select watches for the signal as well.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: os.write(wake, b"."))
    with suppress(OSError):  # not a pipe, or not allowed: it works with the usual size
        fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    waiting.register(ended, select.POLLIN)
    waiting.register(requests, select.POLLIN)
    os.set_blocking(commands, False)
    while True:
        ready = dict(waiting.poll())
        if source in ready:
            data = os.read(source, _PIPE_BYTES)
            if not data:
                return
            sink(data)
            time.sleep(_GATHER_SECONDS)
        elif ended in ready:
            return
        if requests in ready:
            pass_on(requests, commands)
