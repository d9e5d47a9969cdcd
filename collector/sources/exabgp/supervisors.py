"""Runs several ExaBGP processes, one for each instance, which share the peers; one by default."""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Sequence

from collector.children import end_leftovers
from collector.errors import BgpledgerError, one_error
from collector.instances import UNNAMED, Instance, instances_of
from collector.settings.model import Settings
from collector.sources.exabgp.files import configuration_file
from collector.sources.exabgp.placement import Placement, too_many_processes
from collector.sources.exabgp.supervisor import STOP_SECONDS, ExabgpSupervisor

log = logging.getLogger(__name__)


class Supervisors:
    """All ExaBGP processes of a collector. How many there are is decided once: a reload does not change it.

    Args:
        settings: the collector's settings.
        helper: gives the receiver's command line for an instance.
        relay: likewise for the relay.

    Raises:
        ConfigurationError: see `collector.sources.exabgp.configuration.render`.
    """

    def __init__(
        self, settings: Settings, helper: Callable[[int], Sequence[str]], relay: Callable[[int], Sequence[str]]
    ) -> None:
        self.announces = settings.announce
        """Whether announcing was configured at the start: changing that would restart all sessions."""
        self._data_dir = settings.data_dir
        self._helper = helper
        self._processes = settings.exabgp.processes
        self._spread = Placement(self._processes)
        self._supervisors = [
            ExabgpSupervisor(part, helper(instance), instance, relay=relay(instance))
            for instance, part in enumerate(self._spread.part(settings))
        ]
        if idle := too_many_processes(settings):
            log.warning("%s", idle)

    async def run(self) -> None:
        """Keep all of them up until `stop`, or until this is cancelled.

        Raises:
            CollectorError: see `ExabgpSupervisor.run`; all are stopped then.
            ConfigurationError: likewise.
        """
        for instance in instances_of(UNNAMED, self._data_dir, self._processes)[self._processes :]:
            await self._conclude(instance)
        with one_error():
            async with asyncio.TaskGroup() as running:
                for supervisor in self._supervisors:
                    running.create_task(supervisor.run())

    async def _conclude(self, instance: Instance) -> None:
        """Record that the ExaBGP of an instance is gone, so that no session of it stays up in the archive.

        A receiver that starts and has nothing to read leaves exactly these lines in the spool: then any earlier ExaBGP
        there has ended.
        """
        await end_leftovers(["server", str(configuration_file(instance))], patience=STOP_SECONDS)
        receiver = await asyncio.create_subprocess_exec(*self._helper(instance.number), stdin=DEVNULL, stdout=DEVNULL)
        if await receiver.wait() == 0:
            configuration_file(instance).unlink(missing_ok=True)  # it may contain passwords

    def reload(self, settings: Settings) -> None:
        """Continue with changed settings; only the sessions of peers that changed are affected.

        Settings that cannot be used are logged, and all continue unchanged.
        """
        if settings.exabgp.processes != self._processes:
            log.warning("exabgp.processes stays %d until the collector is restarted", self._processes)
        try:
            parts = self._spread.part(settings)
        except BgpledgerError as error:
            log.error("ExaBGP keeps its present configuration: %s (cure: %s)", error.cause, error.cure)
            return
        for supervisor, part in zip(self._supervisors, parts, strict=True):
            supervisor.reload(part)

    async def stop(self) -> None:
        """End all of them properly."""
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))
