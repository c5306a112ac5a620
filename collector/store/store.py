"""What every store does: write idempotently, refuse for ever or for now, answer operators' questions.

``write`` returns the rows the store refuses for ever, with the reason; it raises ``StoreBusy`` if the same may
be accepted later and ``StoreRefuses`` if credentials or the target are wrong. Data is released only after it returned.
One conformance suite runs over all implementations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from collector.engine.fleet import Floats
from collector.events.event import Event
from collector.store.table import ENERGY_DAY, ENERGY_MONTH, LOAD_BLOCK, Ints, Mask, Table
from metering.meter_event import MeterEvents


@dataclass(frozen=True, slots=True)
class Rejected:
    """One line that the store refuses for ever."""

    line: str
    reason: str


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest reading of one meter."""

    gateway: str
    meter: str
    measured_at: int  # ms
    values: dict[str, float]
    origin: str = ""  # see ``LOAD_PROFILE``


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a meter's own event log."""

    gateway: str
    meter: str
    at: int  # ms, by the meter's clock
    event: str  # a name of ``MeterEvent``, or one that a newer program has stored
    quality: int  # bits of ``Quality``


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """Mean, lowest and highest active power of one interval, kW."""

    at: int  # ms: start of the interval
    mean_kw: float
    lowest_kw: float
    highest_kw: float
    readings: int


@dataclass(frozen=True, slots=True)
class EnergyDayRow:
    """One row of ``energy_day``; see ``collector.store.table.ENERGY_DAY_COLUMNS``."""

    gateway: str
    meter: str
    day_start: int  # ms
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class StoredReadings:
    """Readings as a store gives them back, one row a meter and instant."""

    meters: list[str]
    meter: Ints  # index into ``meters``, one a row
    at: Ints  # ms
    values: dict[str, Floats]  # quantity (and ``quality``) → value, NaN = no value
    profiled: Mask  # rows that a load profile gave

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class EnergyMonthRow:
    """One row of ``energy_month``, with the same columns: a billing month as far as its days had ended."""

    gateway: str
    meter: str
    month_start: int  # ms
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class LoadBlockRow:
    """One row of ``load_block``; see ``collector.store.table.LOAD_BLOCK_COLUMNS``."""

    gateway: str
    meter: str
    block_start: int  # ms
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One stored event."""

    at: int  # ms
    id: str
    body: dict[str, Any]


Forecasts = Literal["forecast_block", "forecast_day", "forecast_month"]
"""The measurements of forecasts."""


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One row of a forecast; its columns stand in ``collector.store.table``."""

    gateway: str
    meter: str
    start: int  # ms: of the block, day or month it is about
    values: dict[str, float]


class Store(Protocol):
    """Where readings, determinants and events are kept."""

    async def prepare(self) -> None:
        """Create what is missing (database, tables)."""
        ...

    async def write(
        self, tables: Sequence[Table], events: Sequence[Event] = (), moved: Sequence[Event] = ()
    ) -> list[Rejected]:
        """Store all rows and events; return those that are refused for ever.

        ``moved`` are events as they stood until now: what was stored under their instants is not asked for any more.
        """
        ...

    async def write_log(self, logs: Sequence[MeterEvents]) -> list[Rejected]:
        """Store entries of meters' logs, one row a meter, instant and event; return those refused for ever."""
        ...

    async def write_lines(self, lines: Sequence[str]) -> list[Rejected]:
        """Store lines that were refused earlier and come back from the quarantine."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Queries(Protocol):
    """What operators ask, the same on every store."""

    def readings(self, gateway: str, since: int, until: int) -> StoredReadings:
        """All readings of a gateway's meters in ``since`` ≤ t < ``until`` (ms), in any order."""
        ...

    def meter_events(
        self, since: int, until: int, meter: str | None = None, gateway: str | None = None
    ) -> list[LogEntry]:
        """Entries of meters' logs in ``since`` ≤ t < ``until`` (ms), by instant, meter and event."""
        ...

    def latest(self, meter: str | None = None) -> list[Latest]:
        """The newest reading of every meter, or of one."""
        ...

    def load_curve(self, meter: str, since: int, until: int, step_ms: int) -> list[LoadPoint]:
        """Active power of one meter in ``since`` ≤ t < ``until`` (ms), by intervals of ``step_ms``."""
        ...

    def energy(self, since: int, until: int, meter: str | None = None) -> list[EnergyDayRow]:
        """Energy by day and period of the days that start in ``since`` ≤ t < ``until`` (ms)."""
        ...

    def months(self, since: int, until: int, meter: str | None = None) -> list[EnergyMonthRow]:
        """Energy by billing month of the months that start in ``since`` ≤ t < ``until`` (ms)."""
        ...

    def load_blocks(self, meter: str, since: int, until: int) -> list[LoadBlockRow]:
        """Energy by quarter of an hour of one meter in ``since`` ≤ t < ``until`` (ms)."""
        ...

    def forecasts(self, measurement: Forecasts, meter: str, since: int, until: int) -> list[ForecastRow]:
        """What was expected of the blocks, days or months of one meter that start in ``since`` ≤ t < ``until`` (ms)."""
        ...

    def events(self, since: int, until: int, meter: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """CloudEvents in ``since`` ≤ t < ``until`` (ms), oldest first."""
        ...

    def events_page(
        self,
        since: int,
        until: int,
        limit: int,
        after: tuple[int, str] | None = None,
        meter: str | None = None,
        kind: str | None = None,
    ) -> list[EventRow]:
        """At most ``limit`` CloudEvents by (time, id), only those beyond ``after``.

        What is stored meanwhile neither hides nor repeats an event that was there before.
        """
        ...


class DeterminantQueries(ABC):
    """The four questions of ``Queries`` that are one: rows of a measurement in a span, by start and meter."""

    def energy(self, since: int, until: int, meter: str | None = None) -> list[EnergyDayRow]:
        """See ``Queries``."""
        return [EnergyDayRow(*row) for row in self._determinants(ENERGY_DAY, since, until, meter)]

    def months(self, since: int, until: int, meter: str | None = None) -> list[EnergyMonthRow]:
        """See ``Queries``."""
        return [EnergyMonthRow(*row) for row in self._determinants(ENERGY_MONTH, since, until, meter)]

    def load_blocks(self, meter: str, since: int, until: int) -> list[LoadBlockRow]:
        """See ``Queries``."""
        return [LoadBlockRow(*row) for row in self._determinants(LOAD_BLOCK, since, until, meter)]

    def forecasts(self, measurement: Forecasts, meter: str, since: int, until: int) -> list[ForecastRow]:
        """See ``Queries``."""
        return [ForecastRow(*row) for row in self._determinants(measurement, since, until, meter)]

    @abstractmethod
    def _determinants(
        self, measurement: str, since: int, until: int, meter: str | None
    ) -> Iterable[tuple[str, str, int, dict[str, float]]]:
        """Gateway, meter, start and values of every row."""
