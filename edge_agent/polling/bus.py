"""One bus, one task, one request at a time: takes errands from its agenda and delivers rows.

What fails is left alone by breakers: one for the line, which only opens when the line cannot be connected,
and one for each meter, so that a silent meter never closes the line to the others.

After a chore the line rests from chores in proportion to what the chore took: together they get their share of its
time, whatever one of them costs. What a chore fails at is no reason to leave the meter alone: its reads may be fine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

from edge_agent.drivers.driver import Driver, Listens, ReadFailure, Reading, Reason
from edge_agent.polling.agenda import Agenda, Chore, Errand, Inquiry
from edge_agent.polling.breaker import Breaker
from edge_agent.polling.gathering import Row
from edge_agent.signals import Counters
from metering.clock import Clock
from metering.log import log
from metering.round import Quality

Result = TypeVar("Result")

_LINE_PAUSE_MS: Final = 2_000
_LINE_LONGEST_PAUSE_MS: Final = 60_000
_SILENCES: Final = 5  # in a row: the connection may be half open, so make a new one
_INQUIRIES: Final = 8  # more people than that do not wait for one line


class Bus:
    """The meters of one serial line or TCP endpoint."""

    def __init__(
        self,
        name: str,
        driver: Driver,
        meters: Iterable[str],
        clock: Clock,
        counters: Counters,
        chore_share: float = 0.25,
    ) -> None:
        """``chore_share`` is the part of the line's time that chores may take at most."""
        self.name = name
        self.driver = driver
        self.meters = tuple(meters)
        self._clock = clock
        self._counters = counters
        self._agenda = Agenda()
        self._more = asyncio.Event()
        self._line = Breaker(1, _LINE_PAUSE_MS, _LINE_LONGEST_PAUSE_MS)
        self._units = {meter: Breaker() for meter in self.meters}
        self._silences = 0
        self._chore_share = chore_share
        self._rests_until_s = 0.0  # of chores, on the loop's clock

    def submit(self, errand: Errand) -> None:
        """Ask for one row; it will be delivered, whatever happens."""
        self._agenda.add(errand.last_try() if self._units[errand.meter].open else errand)
        self._more.set()

    async def inquire(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Read one meter between the polls, at once and once, whether it is being left alone or not."""
        return await self.ask(meter, lambda: self._look(meter, quantities))

    async def _look(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        if isinstance(self.driver, Listens):
            return self.driver.newest(meter, quantities)  # what a poll has still to read is not taken away
        return await self.driver.read(meter, quantities)

    async def ask(self, meter: str, exchange: Callable[[], Awaitable[Result | ReadFailure]]) -> Result | ReadFailure:
        """Have one exchange of the driver with a meter between the polls, as ``inquire`` reads one."""
        if self._agenda.inquiries >= _INQUIRIES:
            return ReadFailure(Reason.TOO_MANY, f"{_INQUIRIES} wait for bus {self.name}")
        return await self._delivered(lambda deliver: Inquiry(meter, exchange, deliver))

    async def chore(self, meter: str, exchange: Callable[[], Awaitable[Result | ReadFailure]]) -> Result | ReadFailure:
        """Have one exchange when the line has time for it; a meter whose last read failed is not asked."""
        return await self._delivered(lambda deliver: Chore(meter, exchange, deliver))

    async def _delivered(
        self, make: Callable[[Callable[[Result | ReadFailure], None]], Inquiry | Chore]
    ) -> Result | ReadFailure:
        answer: asyncio.Future[Result | ReadFailure] = asyncio.get_running_loop().create_future()

        def deliver(outcome: Result | ReadFailure) -> None:
            if not answer.done():  # nobody may be waiting any more
                answer.set_result(outcome)

        self._agenda.add(make(deliver))
        self._more.set()
        return await answer

    def suspect(self, meter: str) -> bool:
        """Whether the last read of the meter failed."""
        return self._units[meter].suspect

    async def run(self) -> None:
        """Work through the agenda for ever."""
        try:
            if isinstance(self.driver, Listens):
                await self._line_open(self._clock.now_ms())
            while True:
                await self._something_to_do()
                if over := self._agenda.overdue(self._clock.now_ms()):
                    for errand in over:
                        await self._do(errand)
                    continue
                item = self._agenda.take()
                if isinstance(item, Errand):
                    await self._do(item)
                else:
                    await (self._answer(item) if isinstance(item, Inquiry) else self._do_chore(item))
        finally:
            self.driver.close()

    async def _something_to_do(self) -> None:
        """Wait until there is anything, or a chore and no more rest from chores."""
        loop = asyncio.get_running_loop()
        while self._agenda.only_chores:
            rest_s = self._rests_until_s - loop.time()
            if self._agenda and rest_s <= 0:
                return
            self._more.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_s if self._agenda else None):
                    await self._more.wait()

    async def _do(self, errand: Errand) -> None:
        now = self._clock.now_ms()
        if now >= errand.ends_at:
            self._counters.reads_overrun += 1
            errand.deliver(Row(errand.meter, now, errand.failed or Quality.OVERRUN))
            await asyncio.sleep(0)  # a thousand errands that need no answer must not hold up the loop
        elif not self._units[errand.meter].allows(now):
            self._counters.reads_suspended += 1
            errand.deliver(Row(errand.meter, now, errand.failed or Quality.SUSPENDED))
            await asyncio.sleep(0)
        elif not await self._line_open(now):
            self._counters.reads_failed += 1
            errand.deliver(Row(errand.meter, now, Quality.LINK_DOWN))
            await asyncio.sleep(0)
        else:
            await self._read(errand)

    async def _answer(self, inquiry: Inquiry) -> None:
        failure = None if self.driver.connected else await self.driver.connect()
        outcome = failure or await self._exchange(inquiry, "question_broken")
        if not isinstance(outcome, ReadFailure):
            self._heard(inquiry.meter)
        inquiry.deliver(outcome)

    async def _do_chore(self, chore: Chore) -> None:
        now = self._clock.now_ms()
        if self.suspect(chore.meter):
            chore.deliver(ReadFailure(Reason.SILENT, "its last read failed"))
            return
        if not await self._line_open(now):
            chore.deliver(ReadFailure(Reason.LINK_LOST, "the line is down"))
            return
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        outcome = await self._exchange(chore, "chore_broken")
        ended_s = loop.time()
        self._rests_until_s = ended_s + (ended_s - began_s) * (1 / self._chore_share - 1)
        if not isinstance(outcome, ReadFailure):
            self._heard(chore.meter)
        elif outcome.quality is Quality.LINK_DOWN:
            self.driver.close()
        chore.deliver(outcome)

    async def _exchange(self, item: Inquiry | Chore, broken: str) -> Any:
        """What came of it: a bug in what may wait must not stop what may not."""
        try:
            return await item.exchange()
        except Exception as error:  # noqa: BLE001
            log.error(broken, bus=self.name, meter=item.meter, why=f"{type(error).__name__}: {error}")
            self.driver.close()
            return ReadFailure(Reason.UNABLE, f"{type(error).__name__}: {error}")

    async def _line_open(self, now: int) -> bool:
        if self.driver.connected:
            return True
        if not self._line.allows(now):
            return False
        failure = await self.driver.connect()
        if failure is None:
            if self._line.suspect:
                log.info("line_back", bus=self.name)
            self._line.succeeded()
            return True
        if not self._line.suspect:
            log.warning("line_down", bus=self.name, why=str(failure))
        self._line.failed(self._clock.now_ms())
        return False

    async def _read(self, errand: Errand) -> None:
        outcome = await self.driver.read(errand.meter, errand.quantities)
        if isinstance(outcome, ReadFailure):
            self._failed(errand, outcome)
            return
        self._counters.reads_good += 1
        self._heard(errand.meter)
        errand.deliver(Row(errand.meter, outcome.measured_at, outcome.quality, outcome.values))

    def _heard(self, meter: str) -> None:
        self._silences = 0
        unit = self._units[meter]
        if unit.open:
            log.info("meter_back", bus=self.name, meter=meter)
        unit.succeeded()

    def _failed(self, errand: Errand, failure: ReadFailure) -> None:
        self._counters.reads_failed += 1
        self._silences = self._silences + 1 if failure.reason is Reason.SILENT else 0
        if failure.reason is Reason.BREACH:  # worth a line each: it is no trouble of the line
            log.warning("protection_breached", bus=self.name, meter=errand.meter, why=failure.detail)
        if failure.quality is Quality.LINK_DOWN or self._silences >= _SILENCES:
            self._silences = 0
            self.driver.close()
        if errand.tries_left > 1:
            self._agenda.add(errand.last_try(failure.quality))
            return
        now = self._clock.now_ms()
        unit = self._units[errand.meter]
        was_open = unit.open
        unit.failed(now)
        if unit.open and not was_open:
            log.warning("meter_suspended", bus=self.name, meter=errand.meter, why=str(failure))
        errand.deliver(Row(errand.meter, now, failure.quality))
