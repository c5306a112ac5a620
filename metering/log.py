"""How every program logs: JSON lines for a journal, plain lines for a person at a terminal.

Something that lasts is logged when it begins and when it ends, not in between; how often it happened is a counter.
No value of a meter, no account and no secret goes into a log.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, cast

import structlog

log = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def set_up_log(level: str) -> None:
    """Write to standard error from ``level`` (debug, info, warning, error) upwards."""
    last: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
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
