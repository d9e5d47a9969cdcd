"""Loads the settings of a command."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from collector.settings.layers import Layers
from collector.settings.model import Settings


def load(
    config: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
    data_dir: Path | None = None,
    mongodb_uri: str | None = None,
    mongodb_uri_file: Path | None = None,
    local_as: str | None = None,
    listen: str | None = None,
    http: str | None = None,
    peers: Sequence[str] = (),
) -> Settings:
    """The settings of the command line, over those of the environment, the file, and the defaults.

    Args:
        config: a TOML file with the keys of conf/collector.toml; None: no file.
        environ: `BGPLEDGER_` and a key's path in capitals, joined by `_`: BGPLEDGER_BGP_LOCAL_AS.
        data_dir: as `data_dir`.
        mongodb_uri: as `mongodb.uri`.
        mongodb_uri_file: as `mongodb.uri_file`.
        local_as: as `bgp.local_as`.
        listen: as `bgp.listen`.
        http: as `http.listen`.
        peers: `ADDR,AS`, peers that connect to us, in addition to those of the file.

    Raises:
        ConfigurationError: the file cannot be read, or a value cannot be used; it names file and key, never a secret.
    """
    found = Layers(Settings)
    if config is not None:
        found.file(config)
    found.environment(environ)
    found.store_options(data_dir, mongodb_uri, mongodb_uri_file)
    chosen = {
        ("bgp", "local_as"): ("--local-as", local_as),
        ("bgp", "listen"): ("--listen", listen),
        ("http", "listen"): ("--http", http),
    }
    found.lay({key: (value, option) for key, (option, value) in chosen.items() if value is not None})
    for text in peers:
        found.peer(text)
    return found.validated(environ)
