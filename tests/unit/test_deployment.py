"""The files for deployment are accepted by the programs that read them, and name files that exist."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from pathlib import Path

import pytest

from collector.query.running import only_collector
from tests.support import ROOT, program

SECRETS = {"MONGODB_PASSWORD": "forthecollector", "MONGODB_ROOT_PASSWORD": "forpeople"}


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Docker's Compose, or Debian's older docker-compose; neither needs an engine for this."""
    command = ["docker", "compose"]
    try:
        there = subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        there = False
    if not there:
        command = [program("docker-compose")]
    return subprocess.run(
        [*command, "--file", ROOT / "docker-compose.yml", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
    )


def test_compose_accepts_our_file() -> None:
    done = compose("config", **SECRETS)
    assert done.returncode == 0, done.stderr
    assert "mongodb://bgpledger:forthecollector@mongodb/" in done.stdout
    # Only the collector reaches MongoDB; BGP is for this host alone until somebody says otherwise.
    assert "127.0.0.1:179:1790" in done.stdout or "host_ip: 127.0.0.1" in done.stdout
    assert "27017" not in done.stdout
    assert "hostname: bgpledger" in done.stdout


@pytest.mark.parametrize("absent", SECRETS)
def test_compose_requires_every_secret(absent: str) -> None:
    done = compose("config", **{name: value for name, value in SECRETS.items() if name != absent})
    assert done.returncode != 0
    assert "set it in .env" in done.stderr


def test_files_that_compose_mounts_exist() -> None:
    mounted = re.findall(r"- (\./[^:]+):", (ROOT / "docker-compose.yml").read_text())
    assert len(mounted) == 3
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def test_files_that_the_image_is_built_from_exist_and_are_not_ignored() -> None:
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        for path in line.split()[:-1]
    ]
    assert "requirements.lock" in copied
    assert [path for path in copied if not (ROOT / path).exists()] == []
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [path for path in copied if not any(fnmatch.fnmatch(path, pattern) for pattern in allowed)] == []


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = (ROOT / "conf" / "bgpledger.service").read_text()
    # systemd requires that the program exists; where the real one is, the administrator decides.
    elsewhere = tmp_path / "bgpledger.service"
    elsewhere.write_text(unit.replace("/opt/bgpledger/bin/bgpledger", "/bin/true"))
    done = subprocess.run([analyze, "verify", elsewhere], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "bgpledger.service:" not in done.stderr  # a complaint that is not an error
    assert "ExecStart=/opt/bgpledger/bin/bgpledger run " in unit


def test_the_health_check_fails_without_a_collector(tmp_path: Path) -> None:
    (check,) = set(re.findall(r"! flock .* true", (ROOT / "docker-compose.yml").read_text()))
    assert (
        check.replace("$$BGPLEDGER_DATA_DIR/run.lock", '"$BGPLEDGER_DATA_DIR/run.lock"')
        in (ROOT / "Dockerfile").read_text()
    )

    def healthy() -> bool:
        environment = {"PATH": os.environ["PATH"], "BGPLEDGER_DATA_DIR": str(tmp_path)}
        return subprocess.run(["sh", "-c", check.replace("$$", "$")], env=environment, check=False).returncode == 0

    assert not healthy()
    with only_collector(tmp_path):
        assert healthy()
    assert not healthy()


@pytest.mark.parametrize("script", ["create-user.js", "health.js"])
def test_mongodb_scripts_are_javascript(script: str) -> None:
    path = ROOT / "conf" / "mongodb" / script
    done = subprocess.run([program("node"), "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_ci_runs_what_a_contributor_types(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = re.findall(r"run: (.+?)(?: #.*)?$", workflow.read_text(), re.MULTILINE)
    made = [re.fullmatch(r"(?:sudo )?make ([a-z-]+)", command) for command in run if not command.startswith("apt-get ")]
    assert made
    assert {target[1] if target else None for target in made} <= targets


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_in_ci_are_pinned_by_commit(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text())
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", one)] == []
