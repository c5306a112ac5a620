"""The rules of WIRE.md that a decoded body must keep: its limits, names, times and lengths.

Every table is bounded before a column of it is looked at. What breaks a rule is a ``DecodeError`` that says which one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from metering.errors import DecodeError
from metering.message import Content
from metering.meter_event import MeterEvent, MeterEvents
from metering.quantity import QUANTITIES
from metering.round import LARGEST, NULL, Gap, Origin, Round, unpack
from metering.topics import IDENTIFIER

MAX_ROWS: Final = 10_000
MAX_COLUMNS: Final = 64
MAX_DECIMALS: Final = 9
MAX_MISSED: Final = 2**32 - 1  # entries of one log: more than any meter counts

EARLIEST_MS: Final = 10**12  # 2001-09-09: thirteen digits, and earlier than any meter of ours
LATEST_MS: Final = 10**13 - 1  # 2286-11-20

_PERIOD_LIMIT_MS: Final = 86_400_000
_GAP_REASONS: Final = ("evicted", "corrupt")
_WRONG_TIME: Final = "a time before 2001 or after 2286"


def check(content: Content, oldest: int) -> None:
    """Every rule for what a message holds; ``oldest`` is the first number that its gateway still held.

    Raises:
        DecodeError: a rule is broken; the text says which.
    """
    if isinstance(content, Gap):
        check_gap(content, oldest)
    elif isinstance(content, MeterEvents):
        check_meter_events(content)
    else:
        check_round(content)


def check_gap(gap: Gap, oldest: int) -> None:
    """A gap names numbers that the spool may have given up: none below ``oldest``.

    Raises:
        DecodeError: a rule is broken; the text says which.
    """
    if not IDENTIFIER.fullmatch(gap.gateway):
        raise DecodeError(f"{gap.gateway[:80]!r} is not an identifier")
    if not (0 < gap.first <= gap.last and oldest <= gap.first and 0 <= gap.rows < 2**63):
        raise DecodeError(f"a gap of {gap.rows} rows from {gap.first} to {gap.last}")
    if gap.reason not in _GAP_REASONS:
        raise DecodeError(f"gap reason {gap.reason[:80]!r}; known: {', '.join(_GAP_REASONS)}")


@lru_cache(maxsize=1024)
def _checked_meters(meters: tuple[str, ...]) -> bool:
    """Whether no meter is named twice. Gateways send the same tuple for months: check it once.

    Raises:
        DecodeError: there are no rows, too many, or a name is no identifier.
    """
    if not 0 < len(meters) <= MAX_ROWS:
        raise DecodeError(f"a round of {len(meters)} rows; 1 to {MAX_ROWS} are allowed")
    for meter in set(meters):
        if not IDENTIFIER.fullmatch(meter):
            raise DecodeError(f"{meter[:80]!r} is not an identifier")
    return len(set(meters)) == len(meters)


@lru_cache(maxsize=4096)
def _check_names(gateway: str, group: str, quantities: tuple[str, ...]) -> None:
    for name in (gateway, group):
        if not IDENTIFIER.fullmatch(name):
            raise DecodeError(f"{name[:80]!r} is not an identifier")
    if not 0 < len(quantities) <= MAX_COLUMNS:
        raise DecodeError(f"{len(quantities)} columns; 1 to {MAX_COLUMNS} are allowed")
    if len(set(quantities)) != len(quantities):
        raise DecodeError("a quantity stands in two columns")
    for name in quantities:
        if name not in QUANTITIES:
            raise DecodeError(f"unknown quantity {name[:80]!r}: is the gateway newer than the collector?")


def check_round(content: Round) -> None:
    """Names, limits, times and the length of every column of a round.

    Raises:
        DecodeError: a rule is broken; the text says which.
    """
    distinct = _checked_meters(content.meters)
    _check_names(content.gateway, content.group, tuple(c.quantity for c in content.columns))
    if content.origin is Origin.LIVE and not distinct:
        raise DecodeError("a live round names a meter twice")
    rows = content.rows
    if not 0 < content.period_ms <= _PERIOD_LIMIT_MS:
        raise DecodeError(f"a period of {content.period_ms} ms; 1 ms to one day are allowed")
    if len(content.measured_at) != rows * 8 or len(content.quality) != rows * 4:
        raise DecodeError("measured_at and quality need one entry a row")
    times = unpack(content.measured_at, "q")
    if not (min(times) >= EARLIEST_MS and max(times) <= LATEST_MS and EARLIEST_MS <= content.scheduled_at <= LATEST_MS):
        raise DecodeError(_WRONG_TIME)
    for column in content.columns:
        if not 0 <= column.decimals <= MAX_DECIMALS:
            raise DecodeError(f"{column.quantity} with {column.decimals} decimals; 0 to {MAX_DECIMALS} are allowed")
        if len(column.data) == rows * 4:
            continue
        if len(column.data) != rows * 8:
            raise DecodeError(f"{column.quantity} has {len(column.data)} bytes for {rows} rows")
        if any(value != NULL[8] and abs(value) > LARGEST for value in unpack(column.data, "q")):
            raise DecodeError(f"{column.quantity} holds a value beyond {LARGEST}")


def check_meter_events(content: MeterEvents) -> None:
    """Names, limits, times and lengths of meter events; with no rows there are entries that were missed.

    Raises:
        DecodeError: a rule is broken; the text says which.
    """
    rows = content.rows
    if rows > MAX_ROWS or len(content.missed) > MAX_ROWS or not (rows or content.missed):
        raise DecodeError(
            f"meter events of {rows} rows, {len(content.missed)} meters that missed some;"
            f" at most {MAX_ROWS} of either, and not none of both"
        )
    for name in {content.gateway, *content.meters, *content.missed}:
        if not IDENTIFIER.fullmatch(name):
            raise DecodeError(f"{name[:80]!r} is not an identifier")
    if len(content.at) != rows * 8 or len(content.quality) != rows * 4 or len(content.events) != rows:
        raise DecodeError("at, quality and events need one entry a row")
    if any(not EARLIEST_MS <= at <= LATEST_MS for at in unpack(content.at, "q")):
        raise DecodeError(_WRONG_TIME)
    for meter, entries in content.missed.items():
        if not 0 <= entries <= MAX_MISSED:
            raise DecodeError(f"{meter} with {entries} entries missed; 0 to {MAX_MISSED} are allowed")


def meter_event(name: str) -> MeterEvent:
    """The event that a name stands for.

    Raises:
        DecodeError: there is none of that name.
    """
    try:
        return MeterEvent(name)
    except ValueError as error:
        raise DecodeError(f"unknown event {name[:80]!r}: is the gateway newer than the collector?") from error
