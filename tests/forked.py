"""The command line without waiting for Python: each command is a process, forked from one that has imported everything.

A command that a test types takes as long as Python and its imports do. Here these are done once. That a command finds
all that it needs by itself is shown where it is started as users start it: `tests.running.collecting`, the wheel.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

_ROOT = Path(__file__).parents[1]
_LARGEST = 2**20
_SELDOM_USED = ("collector.export.parquet", "collector.http")
"""pyarrow and FastAPI take as long to import as all the rest."""


@cache
def _server() -> socket.socket:
    """Where commands are ordered; who reads there ends when this process has."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
        server = subprocess.Popen(command, cwd=_ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def run(command: Sequence[str], *, timeout: float, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `bgpledger` with arguments, and wait for it: as `subprocess.run` does, with no input.

    Raises:
        subprocess.TimeoutExpired: it did not end within so many seconds; it is killed.
    """
    order = {"command": list(command), "cwd": str(Path.cwd()), "environment": dict(environment)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with answers:
            with theirs:
                socket.send_fds(_server(), [json.dumps(order).encode()], [one.fileno() for one in (theirs, out, err)])
            answers.settimeout(timeout)
            pid = int(answers.recv(100))
            try:
                status = int(answers.recv(100))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, timeout) from None
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(command, status, out.read().decode(), err.read().decode())


def _serve(orders: socket.socket) -> None:
    """Fork a process for each order, until nobody can give any more."""
    while True:
        with suppress(ChildProcessError):  # there is none
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        order, files, _flags, _address = socket.recv_fds(orders, _LARGEST, 3)
        if not order:
            return
        if not os.fork():
            orders.close()
            _answer(json.loads(order), *files)
        for file in files:
            os.close(file)


def _answer(order: dict[str, Any], answers: int, out: int, err: int) -> NoReturn:
    """Fork the command; tell its process and then, when it has ended, its status."""
    pid = os.fork()
    if not pid:
        os.close(answers)
        _become(order, out, err)
    os.write(answers, str(pid).encode())
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # whoever ordered it has not waited
        os.write(answers, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(order: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be the command, but for what Python does at its end: to take all modules apart costs more than most commands."""
    from collector.cli import main

    for file, number in ((out, 1), (err, 2)):
        os.dup2(file, number)
        os.close(file)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = order["command"]
    status = 1
    try:
        main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:  # as Python does
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _import_everything() -> None:
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # as `main` does, before pydantic is there
    for path in sorted(path for name in ("bgpledger", "collector", "schemas") for path in (_ROOT / name).rglob("*.py")):
        name = ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(_SELDOM_USED):
            import_module(name)
    gc.collect()
    gc.freeze()  # or the first collection of each command would copy all of it


if __name__ == "__main__":
    _import_everything()
    _serve(socket.socket(fileno=int(sys.argv[1])))
