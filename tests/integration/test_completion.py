"""The shell's completion, as a shell asks for it."""

import os
import subprocess
from pathlib import Path

from tests.running import BGPLEDGER


def in_bash(script: str, home: Path) -> list[str]:
    """The output of a script that has `bgpledger` on its PATH."""
    path = f"{Path(BGPLEDGER).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [
            "bash",
            "--norc",
            "-c",
            f"{script}\ntrue",
        ],  # were it the last command, bash would replace itself by it, and no shell would be found
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PATH": path, "HOME": str(home)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_bash_completes_commands_options_and_values(tmp_path: Path) -> None:
    script = 'eval "$(bgpledger --show-completion)"\n'
    for words, place in (("rib --format bgp", 3), ("dif", 1), ("diff --com", 2), ("lookup --format ps", 3)):
        script += f"COMP_WORDS=(bgpledger {words}); COMP_CWORD={place}; _bgpledger_completion bgpledger\n"
        script += 'echo "${COMPREPLY[@]}"\n'
    assert in_bash(script, tmp_path) == ["bgpdump", "bgpreader", "diff", "--community", "psv"]


def test_it_can_be_installed(tmp_path: Path) -> None:
    in_bash("bgpledger --install-completion", tmp_path)
    assert in_bash("source ~/.bashrc; complete -p bgpledger", tmp_path)[-1] == "bgpledger"
