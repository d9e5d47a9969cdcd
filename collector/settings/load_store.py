"""Loads, of the settings, only where the archive is: all that a query needs to know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from collector.settings.keys import PREFIX, variables
from collector.settings.layers import Layers
from collector.settings.store import StoreSettings


def load_store(
    *,
    environ: Mapping[str, str] = os.environ,
    data_dir: Path | None = None,
    mongodb_uri: str | None = None,
    mongodb_uri_file: Path | None = None,
) -> StoreSettings:
    """Where the archive is, according to the command line, over the environment and the defaults.

    Other settings are only imported, and checked, if the environment has any.

    Args:
        environ: as for `collector.settings.load.load`.
        data_dir: as `data_dir`.
        mongodb_uri: as `mongodb.uri`.
        mongodb_uri_file: as `mongodb.uri_file`.

    Raises:
        ConfigurationError: a value cannot be used.
    """
    if any(name.startswith(PREFIX) for name in environ.keys() - variables(StoreSettings).keys()):
        from collector.settings.load import load

        return load(
            None, environ=environ, data_dir=data_dir, mongodb_uri=mongodb_uri, mongodb_uri_file=mongodb_uri_file
        )
    found = Layers(StoreSettings)
    found.environment(environ)
    found.store_options(data_dir, mongodb_uri, mongodb_uri_file)
    return found.validated(environ)
