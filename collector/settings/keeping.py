"""`[spool]`, `[archive]`, `[rib]` and `[retention]`: where, and for how long, data is kept."""

from __future__ import annotations

from pydantic import Field

from collector.settings import values
from collector.settings.section import SettingsSection


class SpoolSettings(SettingsSection):
    """The lines on disk between ExaBGP and the archiver."""

    segment_mib: values.Mebibytes = Field(64, description="MiB in a segment of the spool, 1 to 4096")
    sync_seconds: float = Field(1.0, ge=0, le=60, description="seconds until a line is synced to disk at most, 0 to 60")
    sync_mib: values.Mebibytes = Field(16, description="MiB not synced to disk yet at most, 1 to 4096")
    limit_mib: int | None = Field(None, ge=16, description="MiB that the spool may take, 16 or more")
    keep_days: float = Field(0, ge=0, le=36_500, description="days that segments are kept after they are stored")
    keep_free_mib: int = Field(256, ge=0, description="MiB of its disk that the spool leaves free, 0 or more")


class ArchiveSettings(SettingsSection):
    """How the archiver writes."""

    batch_lines: values.Lines | None = Field(
        None, description="lines in a batch at most, 1 to 100000; default: what suits the store best"
    )
    batch_seconds: float = Field(0.2, ge=0, le=60, description="seconds that a line waits for others, 0 to 60")


class RibSettings(SettingsSection):
    """When each peer's table is stored, so that queries for all of it have few UPDATEs to fold."""

    snapshot_hours: values.HoursOfDay = Field(8, description="hours between whole tables: 1, 2, 3, 4, 6, 8, 12 or 24")
    snapshot_updates: int = Field(
        5000, ge=1, le=10_000_000, description="UPDATEs after which changes are stored, 1 to 10000000"
    )
    snapshot_days: values.Days = Field(30, description="days that whole tables are kept, 1 to 24855; 0: forever")
    snapshot_changes_days: values.Days = Field(
        2, description="days that changes in between are kept, 1 to 24855; 0: as long as whole tables"
    )


class RetentionSettings(SettingsSection):
    """How many days the database keeps each kind of document; 0: forever."""

    keepalives_days: values.Days = Field(7, description="days that KEEPALIVEs are kept, 1 to 24855; 0: forever")
    updates_days: values.Days = Field(0, description="days that UPDATEs are kept, 1 to 24855; 0: forever")
    messages_days: values.Days = Field(
        0, description="days that all other messages are kept, and KEEPALIVEs at most, 1 to 24855; 0: forever"
    )
    sessions_days: values.Days = Field(
        0, description="days that a session is kept after its end, 1 to 24855; 0: forever"
    )
    rejects_days: values.Days = Field(0, description="days that rejects are kept, 1 to 24855; 0: forever")
