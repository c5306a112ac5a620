"""What a technician has a meter recall: a part of its history, the time of its clock; and the setting of that clock.

While the agent runs it is asked at its desk, for a second master would garble its line; if none runs, the line is free.
A long history is asked for in pieces, so that polls go on between them and each fits into one reply of the desk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from edge_agent.app import drivers_of
from edge_agent.config import GatewaySettings
from edge_agent.desk import ask_at, door_beside, is_open, put_at
from edge_agent.drivers.driver import Driver, ReadFailure, Reading, Reason
from edge_agent.drivers.memory import IntervalRow, Intervals, clock_set, history_of
from edge_agent.polling.clock_watch import CLOCK_OFFSET
from edge_agent.questions import LoadProfileQuestion, LoadProfileReply, SetClockQuestion, SetClockReply
from edge_agent.survey import failure_of, outcome_of
from metering.clock import Clock
from metering.control import ReadCommand
from metering.round import Quality

_SHORTEST_PIECE_MS: Final = 3_600_000
_LONGEST_PIECE_MS: Final = 4 * 3_600_000
_PIECE_ROWS: Final = 16
_CLOCK: Final = frozenset({CLOCK_OFFSET})


class Recall:
    """One meter of a gateway, whoever speaks to it."""

    def __init__(self, settings: GatewaySettings, clock: Clock, meter: str) -> None:
        """Open nothing; the meter stands in the settings."""
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._door: Path = door_beside(settings.spool.path)

    async def history(self, first_ms: int, last_ms: int) -> Intervals | ReadFailure:
        """The rows between two instants, both with them."""
        rows: list[IntervalRow] = []
        period_ms = 0
        async with self._line() as line:
            if isinstance(line, ReadFailure):
                return line
            first = first_ms
            while first <= last_ms:
                piece_ms = min(max(_PIECE_ROWS * period_ms, _SHORTEST_PIECE_MS), _LONGEST_PIECE_MS)
                last = min(first + piece_ms - 1, last_ms)
                found = await self._piece(line, first, last)
                if isinstance(found, ReadFailure):
                    return found
                rows += found.rows
                period_ms = found.period_ms
                first = last + 1
        return Intervals(period_ms, tuple(rows))

    async def _piece(self, line: Driver | None, first_ms: int, last_ms: int) -> Intervals | ReadFailure:
        if line is not None:
            return await history_of(line, self._meter, first_ms, last_ms)
        question = LoadProfileQuestion(self._meter, self._meter, first_ms, last_ms)
        reply = await put_at(self._door, question, LoadProfileReply)
        if isinstance(reply, ReadFailure):
            return reply
        if reply.failure:
            return failure_of(reply.failure, reply.detail, reply.code)
        rows = (IntervalRow(row.measured_at, row.values, Quality(row.quality)) for row in reply.rows)
        return Intervals(reply.period_ms, tuple(rows))

    async def clock_offset(self) -> Reading | ReadFailure:
        """How far the meter's clock is ahead."""
        async with self._line() as line:
            if line is None:
                return outcome_of(await ask_at(self._door, ReadCommand(self._meter, self._meter, tuple(_CLOCK))))
            if isinstance(line, ReadFailure):
                return line
            if CLOCK_OFFSET not in line.offers(self._meter):
                return ReadFailure(Reason.UNABLE, "its profile names no clock")
            return await line.read(self._meter, _CLOCK)

    async def set_clock(self) -> ReadFailure | None:
        """Set the meter's clock to ours; ``None``: it took it."""
        async with self._line() as line:
            if isinstance(line, ReadFailure):
                return line
            if line is not None:
                return await clock_set(line, self._meter)
        reply = await put_at(self._door, SetClockQuestion(self._meter, self._meter), SetClockReply)
        if isinstance(reply, ReadFailure):
            return reply
        return failure_of(reply.failure, reply.detail, reply.code) if reply.failure else None

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[Driver | ReadFailure | None]:
        """The meter's line, opened for us; ``None`` while the agent has it."""
        if await is_open(self._door):
            yield None
            return
        bus = next(meter.bus for meter in self._settings.meters if meter.id == self._meter)
        driver = drivers_of(self._settings, self._clock)[bus]
        failure = await driver.connect()
        try:
            yield failure or driver
        finally:
            driver.close()
