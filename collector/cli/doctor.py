"""`bgpledger doctor`: checks the machine and the configuration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from collector.cli.options import Config, DataDir, FormatOfAnswers, MongodbUri, MongodbUriFile, chosen
from collector.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.doctor.result import CheckResult


def command(
    ctx: typer.Context,
    form: FormatOfAnswers = "table",
    config: Config = None,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
) -> None:
    """Check everything that a collector needs: one line for each check, with a cure for each problem.

    Without --config, it checks the configuration of the collector that runs on the data directory.
    Exits with 1 if anything is an error.
    """
    from collector.cli.run_query import show
    from collector.doctor import examine
    from collector.doctor.machine import examine_machine
    from collector.doctor.result import CheckResult
    from collector.query.running import find_running
    from schemas.status import Check

    def results() -> Iterator[CheckResult]:
        try:
            settings = chosen(ctx, data_dir, mongodb_uri, mongodb_uri_file, config=config)
            source = config
            running = find_running(settings.data_dir)
            if config is None and running and (source := running.config):
                given = {"local_as": running.local_as and str(running.local_as), "listen": running.listen}
                settings = chosen(ctx, settings.data_dir, mongodb_uri, mongodb_uri_file, config=source, **given)
        except ConfigurationError as error:
            yield from examine_machine()
            yield CheckResult("error", "configuration", error.cause, error.cure)
            return
        yield from examine(settings, source)

    seen: list[CheckResult] = []

    def noted() -> Iterator[CheckResult]:
        for found in results():
            seen.append(found)
            yield found

    if form == "table":
        _say(noted())
    else:
        checks = [Check(**{**found._asdict(), "cure": found.cure or None}) for found in noted()]
        show(checks, Check, form)
    if any(found.state == "error" for found in seen):
        raise typer.Exit(1)


def _say(results: Iterator[CheckResult]) -> None:
    for found in results:
        cure = f"; cure: {found.cure}" if found.cure else ""
        sys.stdout.write(f"{found.state:<9}{found.check}: {found.says}{cure}\n")
        sys.stdout.flush()  # the next check may be slow
