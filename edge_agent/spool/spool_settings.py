"""The section ``spool`` of gateway.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from metering.settings import Duration, Settings


class SpoolSettings(Settings):
    """Where rounds wait, and how many."""

    path: Path = Field(Path("/var/lib/wattline/spool.db"), description="File of the spool; its folder must exist.")
    max_size_mb: int = Field(256, ge=1, le=65_536, description="Most the file may take on the disk, in MiB.")
    keep_acknowledged: Duration = Field(
        86_400.0, ge=0, le=30 * 86_400, description="How long to keep what the collector has, in case it loses it."
    )
