"""`bgpledger receive`: the receiver, which ExaBGP starts."""

from __future__ import annotations

import os
import sys

import typer

from collector.cli.options import DataDir, ExabgpInstance, chosen


def command(
    ctx: typer.Context,
    instance: ExabgpInstance = 0,
    data_dir: DataDir = None,
) -> None:
    """Write what ExaBGP prints to the spool, until it ends. ExaBGP starts this; people rarely do.

    In ExaBGP's configuration: process archive { run /path/to/bgpledger receive --data-dir DIR; encoder json; }
    """
    os.umask(0o077)  # the umask from ExaBGP lets nobody enter the directories that we create
    settings = chosen(ctx, data_dir)

    from collector.instances import Instance
    from collector.logs import log_to_stderr
    from collector.sources.exabgp import receiver_events
    from collector.sources.exabgp.files import reloads_file, requests_pipe
    from collector.sources.exabgp.notices import Notices
    from collector.sources.exabgp.receiver import receive
    from collector.sources.exabgp.route_refresh import listen
    from collector.spool.spool import open_intake

    log_to_stderr(settings.log.level)
    here = Instance(settings.data_dir, instance)
    exabgp = receiver_events.exabgp()
    notices = Notices(exabgp, reloads_file(here))
    with open_intake(
        here.spool,
        settings.spool,
        start=receiver_events.start(exabgp, notices.reloads),
        notices=notices,
        describe=lambda drop: receiver_events.dropped(exabgp, drop.since, drop.lines, drop.size, drop.reason),
    ) as intake:
        receive(intake.write, requests=listen(requests_pipe(here)), commands=sys.stdout.fileno())
        intake.end(receiver_events.end(exabgp, ended=receiver_events.has_ended(exabgp)))
