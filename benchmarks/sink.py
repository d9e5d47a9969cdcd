"""The least helper that ExaBGP can have: its lines go to a file, /dev/null for one. `python sink.py FILE`."""

from __future__ import annotations

import os
import select
import signal
import sys


def main() -> None:
    """Copy stdin, which does not block, until it ends."""
    # ExaBGP sends it while the last lines are still in the pipe, which it closes afterwards.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    target = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    while True:
        waiting.poll()
        data = os.read(0, 2**20)
        if not data:
            return
        os.write(target, data)


if __name__ == "__main__":
    main()
