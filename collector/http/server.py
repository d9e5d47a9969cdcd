"""The HTTP server: uvicorn on a configured port, until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from fastapi import FastAPI

from bgpledger import Archive
from collector import local_server
from collector.errors import CollectorError, ConfigurationError
from collector.http.app import ForCommands, make_app
from collector.http.commands import Read
from collector.settings.http import HttpSettings
from collector.settings.model import Settings
from collector.settings.values import is_loopback, split_endpoint
from collector.tasks import end

log = logging.getLogger(__name__)

_BACKLOG = 512
_STOP_SECONDS = 3
_MOST_OF_A_HEAD = 32 * 1024
"""The maximum size of a request's line and headers, in bytes."""
_MOST_OF_A_MESSAGE = 64 * 1024
"""The maximum size of a client's WebSocket message, in bytes."""
_UVICORN_CLOSES = "ASGI callable returned without completing response."
"""What uvicorn logs when it closes the connection of a response that was begun, and has no end."""


async def serve(settings: Settings, read: Read | None = None) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        settings: the address, the access rules and the archive.
        read: parses commands of this user, which are answered too; None: none are.

    Raises:
        ConfigurationError: no address is configured, or the certificate cannot be used.
        CollectorError: the port is taken, or not permitted.
        StoreError: there is no archive.
    """
    if not settings.http.is_on:
        raise ConfigurationError("http.listen is off", "give --listen ADDR:PORT, or http.listen in the configuration")
    with _listening(settings.http.listen) as listener:
        async with Archive.found(settings, share=True) as archive:
            with _for_commands(settings, read) as for_commands:
                await _answer(make_app(archive, settings, for_commands), settings.http, listener)


@contextmanager
def _for_commands(settings: Settings, read: Read | None) -> Iterator[ForCommands | None]:
    """Let commands find this server while it runs, if they can reach it without TLS from this machine."""
    address, port = split_endpoint(settings.http.listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104  # compared, not bound
    version = local_server.installed_version()
    if read is None or version is None or settings.http.tls_cert or not is_loopback(host):
        yield None
        return
    server = local_server.Server(host, port, secrets.token_urlsafe(32), version)
    with ExitStack() as stack:
        try:
            stack.enter_context(local_server.published(str(settings.data_dir), server))
        except OSError as error:
            log.warning(
                "commands will answer queries themselves, because their file cannot be written: %s", error.strerror
            )
        yield ForCommands(read, server.token)


async def _answer(app: FastAPI, http: HttpSettings, listener: socket.socket) -> None:
    server = _Server(_configured(app, http))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    log.info("answering at %s", http.url)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signals."""
        yield

    def stop(self) -> None:
        """Finish the responses, and end."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and wait until cancelled responses have ended too: they read the archive, which is closed next."""
        await super().shutdown(sockets)
        if going := list(self.server_state.tasks):
            await asyncio.wait(going, timeout=_STOP_SECONDS)
            await end(*going)


def _is_no_end(record: logging.LogRecord) -> bool:
    """Whether a record is of anything but a response that ended early, as it should.

    Responses without end, such as a live feed, and those that take long are cancelled when the server stops. Why
    another one was cut off is logged where that happens; uvicorn then closes its connection.
    """
    is_cancelled = bool(record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
    return not is_cancelled and record.msg != _UVICORN_CLOSES


def _configured(app: FastAPI, http: HttpSettings) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        loop="none",
        http="h11",
        ws="websockets-sansio",
        ws_max_size=_MOST_OF_A_MESSAGE,
        ws_max_queue=8,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=http.behind_tls,
        lifespan="on",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP_SECONDS,
        h11_max_incomplete_event_size=_MOST_OF_A_HEAD,
        ssl_certfile=http.tls_cert,
        ssl_keyfile=http.tls_key,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_no_end)
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the certificate {http.tls_cert} with the key {http.tls_key} cannot be used: {error.strerror or error}",
            "give http.tls_cert and http.tls_key as PEM files that belong together, readable for this user",
        ) from None
    return config


@contextmanager
def _listening(listen: str) -> Iterator[socket.socket]:
    address, port = split_endpoint(listen)
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":  # all of IPv4 too, as for [bgp] listen
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind((address, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise CollectorError(
                f"pages and the HTTP API cannot be served at {listen}: {_why(error)}", _cure(error)
            ) from None
        yield listener


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return os.strerror(error.errno or 0)


def _cure(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "end that one, or give another port ([http] listen, BGPLEDGER_HTTP_LISTEN); archiving goes on meanwhile"
    return "give another address ([http] listen, BGPLEDGER_HTTP_LISTEN); archiving goes on meanwhile"
