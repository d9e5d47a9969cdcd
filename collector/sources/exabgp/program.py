"""How ExaBGP is started: its command line, and its environment."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from collector.children import without_secrets
from collector.errors import ConfigurationError


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """ExaBGP's environment: the settings that it does not take from its configuration.

    Args:
        inherited: ours. Secrets are left out, because ExaBGP finds its passwords in its configuration; so are variables
            for ExaBGP: `exabgp.daemon.user` would override `exabgp_daemon_user`.
    """
    return {
        **without_secrets(inherited),
        "exabgp_daemon_user": _user(),  # otherwise root becomes nobody, who may not write the spool
        "exabgp_daemon_daemonize": "false",
        "exabgp_api_terminate": "true",  # end if the receiver is lost for good: we restart both
        "exabgp_api_cli": "false",
        "exabgp_api_ack": "false",
        "exabgp_log_statistics": "false",  # otherwise a log line for each UPDATE
        "exabgp_log_destination": "stdout",
        "exabgp_log_level": "INFO",
        # After a session has ended, ExaBGP sleeps a hundredth of this before each turn, which serves every peer one
        # message: 94 UPDATEs/s a peer at the default of 1.0 (five minutes of 40 RIS peers: 20 s), and 4.2 s at 0.1.
        # When idle it then uses 3 % of a core, and 1 % at 1.0.
        "exabgp_reactor_speed": "0.1",
        "exabgp_tcp_bind": "",  # every neighbour has its own listener
    }


def exabgp_command(python: str | None, *arguments: str) -> list[str]:
    """The command line that runs the ExaBGP installed beside us.

    Args:
        python: another interpreter, such as PyPy: ExaBGP only needs Python 3.8.1 or newer.
        arguments: ExaBGP's own.
    """
    return [python or sys.executable, "-c", _RUN, str(_installed().parent), str(_PROGRAM), *arguments]


def _installed() -> Path:
    found = find_spec("exabgp")
    if found is None or found.origin is None:
        raise ConfigurationError("the package exabgp is not installed", "pip install exabgp, or make .venv/.ready")
    return Path(found.origin).parent


_PROGRAM = Path(__file__).with_name("patched.py")
_RUN = (
    "import runpy, sys; sys.path[0] = sys.argv.pop(1); program = sys.argv.pop(1); sys.argv[0] = 'exabgp';"
    " runpy.run_path(program, run_name='__main__')"
)
"""Not the file itself: Python would then search its directory first for ExaBGP."""


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # a container's user may have a number without a name: ExaBGP needs a name, and does not change to it
        return "nobody"
