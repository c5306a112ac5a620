"""What only some meters can do: keep a history, keep a log of events, have their clock set.

Each is a small protocol of its own; ``isinstance`` says whether a driver has it, its first method whether a meter has.
One call is one conversation with one meter; like a read it gives a result or a ``ReadFailure`` and raises nothing.

Times are those of the meter's clock. What is known of that clock is the business of whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from edge_agent.drivers.driver import GOOD, Driver, ReadFailure, Reason
from metering.log import log
from metering.meter_event import MeterEvent
from metering.round import Quality


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """One row of a meter's own history, in the units of ``metering.quantity``."""

    measured_at: int  # ms since 1970 UTC, as the meter's clock said
    values: dict[str, float | None]
    quality: Quality = GOOD


@dataclass(frozen=True, slots=True)
class Intervals:
    """A part of a meter's history."""

    period_ms: int  # how far apart its rows stand
    rows: tuple[IntervalRow, ...]  # oldest first; fewer than asked for if the meter has fewer


@runtime_checkable
class LoadProfiles(Protocol):
    """A driver whose meters keep their registers of past instants."""

    def interval_ms(self, meter: str) -> int | None:
        """How far apart the rows of a meter stand as far as is known; ``None``: it keeps none."""
        ...

    async def load_profile(self, meter: str, first_ms: int, last_ms: int) -> Intervals | ReadFailure:
        """The rows between two instants, both with them."""
        ...


class LoggedEvent(NamedTuple):
    """One entry of a meter's own log."""

    at: int  # ms since 1970 UTC
    event: MeterEvent


@dataclass(frozen=True, slots=True)
class NewEvents:
    """What a meter has logged since it was asked last."""

    events: tuple[LoggedEvent, ...]  # by time
    mark: str  # for the next time
    missed: int = 0  # entries that the meter had overwritten before anybody read them; at least so many
    unknown: int = 0  # entries that say nothing to us
    more: bool = False  # the log holds more than one answer should: ask again


@runtime_checkable
class EventLogs(Protocol):
    """A driver whose meters keep a log of what happened to them."""

    def keeps_log(self, meter: str) -> bool:
        """Whether this meter does."""
        ...

    async def new_events(self, meter: str, mark: str) -> NewEvents | ReadFailure:
        """What was logged since the answer that gave ``mark``; "" or nonsense: all that the meter still has."""
        ...


@runtime_checkable
class Clocks(Protocol):
    """A driver that can set the clocks of its meters. Nothing but a person's explicit wish may call this."""

    async def set_clock(self, meter: str) -> ReadFailure | None:
        """Set the meter's clock to ours and look whether it took it; ``None``: it did."""
        ...


async def history_of(driver: Driver, meter: str, first_ms: int, last_ms: int) -> Intervals | ReadFailure:
    """``load_profile`` of a driver of any kind."""
    if not isinstance(driver, LoadProfiles):
        return ReadFailure(Reason.UNABLE, "no meter on this kind of bus gives its history")
    return await driver.load_profile(meter, first_ms, last_ms)


async def clock_set(driver: Driver, meter: str) -> ReadFailure | None:
    """``set_clock`` of a driver of any kind; the log tells what came of it."""
    if not isinstance(driver, Clocks):
        return ReadFailure(Reason.UNABLE, "we set no clock on this kind of bus")
    failure = await driver.set_clock(meter)
    if failure is None:
        log.warning("meter_clock_set", meter=meter)
    else:
        log.warning("meter_clock_not_set", meter=meter, why=str(failure))
    return failure
