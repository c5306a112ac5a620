"""What the program says about itself: log lines and counters.

Something that lasts is logged when it begins and when it ends, not in between; how often it happened is a
counter. No value of a meter and no secret goes into a log.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict, dataclass
from typing import Any, cast

import structlog

log = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


@dataclass(slots=True)
class Counters:
    """How often what happened since the start."""

    rounds_spooled: int = 0
    rows_lost: int = 0  # rows of rounds the disk did not take
    ticks_skipped: int = 0
    reads_good: int = 0
    reads_failed: int = 0
    reads_suspended: int = 0
    messages_sent: int = 0
    connections: int = 0

    def as_dict(self) -> dict[str, int]:
        """For a log line."""
        return asdict(self)


def set_up_log(level: str) -> None:
    """JSON lines for a journal, plain lines for a person at a terminal; both on standard error."""
    tty = sys.stderr.isatty()
    last: Any = structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
