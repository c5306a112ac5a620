"""What the agent counts; how it logs is in ``metering.log``."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """How often what happened since the start."""

    rounds_spooled: int = 0
    rows_lost: int = 0  # rows of rounds the disk did not take
    ticks_skipped: int = 0
    reads_good: int = 0
    reads_failed: int = 0
    reads_suspended: int = 0  # of meters that are being left alone
    reads_overrun: int = 0  # that the line had no time for
    rows_read_back: int = 0  # of meters' own histories
    rows_misfit: int = 0  # of these, left out: no register can have stood so between the good rows beside it
    log_entries: int = 0  # of meters' own logs
    log_entries_unknown: int = 0  # that say nothing to us
    chores_failed: int = 0
    messages_sent: int = 0
    connections: int = 0

    def as_dict(self) -> dict[str, int]:
        """For a log line."""
        return asdict(self)
