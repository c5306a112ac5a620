"""What the collector counts about itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """How often what happened since the start."""

    commits: int = 0
    rounds: int = 0
    rows: int = 0
    duplicates: int = 0
    holes: int = 0
    poison: int = 0
    rejected_lines: int = 0
    rounds_lost: int = 0
    rows_lost: int = 0
    entries: int = 0  # of meters' own logs
    entries_missed: int = 0  # that meters had overwritten unread
    events: int = 0
    rows_too_late: int = 0  # stored, but older than any state a gateway could be judged from
    judged_again: int = 0  # gateways with late readings
    logs_judged_again: int = 0  # gateways with late entries of logs
    store_retries: int = 0
    connections: int = 0

    def as_dict(self) -> dict[str, int]:
        """For a log line."""
        return asdict(self)
