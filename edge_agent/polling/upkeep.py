"""What is done for the meters beside polling: read back what is missing, read their logs, compare their clocks.

One task a bus, one chore at a time, and only when the line has nothing else to do. What has been read becomes a round
together with the mark that says so: after kill -9 something may be asked twice, and nothing is forgotten. Which rows
were seen is written down with the next round once in a while: forgotten, it only makes a hole look longer than it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.memory import EventLogs, Intervals, LoadProfiles, NewEvents
from edge_agent.polling.backfill import IMPORT, fitting, round_of
from edge_agent.polling.bus import Bus
from edge_agent.polling.care import Care, Chores, log_mark, missing_mark
from edge_agent.polling.clock_watch import CLOCK_OFFSET, Change, ClockWatch
from edge_agent.polling.filing import Filing
from edge_agent.polling.gathering import Row
from edge_agent.polling.missing import Missing
from edge_agent.polling.upkeep_settings import UpkeepSettings
from edge_agent.signals import Counters
from edge_agent.spool.retention import LOSS_TAKEN, Loss
from metering.body_rules import EARLIEST_MS, LATEST_MS
from metering.clock import Clock
from metering.log import log
from metering.meter_event import MeterEvents
from metering.round import FAILED, REGISTER_DOUBTED, Column, Origin, Quality, Round, pack, unpack

_WRITE_EVERY_MS: Final = 300_000
_LOOK_EVERY_MS: Final = 30_000
_LEAST_MARGIN_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_ALL_OF_THE_LOG: Final = "{}"  # a mark of no entries; an empty one would not be written down
_NO_DISK: Final = ReadFailure(Reason.UNABLE, "the disk takes no rounds")


class Upkeep:
    """The meters of one gateway."""

    def __init__(
        self,
        settings: UpkeepSettings,
        gateway: str,
        cares: Mapping[Bus, Iterable[Care]],
        filing: Filing,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """Take up what the spool remembers of these meters."""
        self._settings = settings
        self._gateway = gateway
        self._by_bus = {bus: [care for care in on_bus if care.anything] for bus, on_bus in cares.items()}
        self._cares = {care.meter: care for on_bus in self._by_bus.values() for care in on_bus}
        self._filing = filing
        self._clock = clock
        self._counters = counters
        self._clocks = ClockWatch(settings.clock_limit)
        self._written_at = 0
        marks = filing.marks()
        self._taken: Loss | None = None
        for meter, care in self._cares.items():
            care.missing = Missing.of(marks.get(missing_mark(meter), ""))
            care.log_mark = marks.get(log_mark(meter), "")

    def clock_doubts(self, row: Row) -> Quality:
        """What is known against the meter's clock; the row may have just told it."""
        if CLOCK_OFFSET in row.values:
            self.heard_clock(row.meter, row.values[CLOCK_OFFSET])
        return self._clocks.doubts(row.meter)

    @property
    def reading_back(self) -> list[str]:
        """The meters of which something is missing that they may remember."""
        return [meter for meter, care in self._cares.items() if care.missing.stretches]

    @property
    def clocks_off(self) -> list[str]:
        """The meters whose clocks are off."""
        return self._clocks.all_off()

    def marks_due(self, now_ms: int) -> dict[str, str]:
        """What is to be written down with the next round: once in a while everything that is not yet."""
        self._take_loss()
        if self._taken is None and self._written_at <= now_ms < self._written_at + _WRITE_EVERY_MS:
            return {}
        self._written_at = now_ms
        return self.marks()

    def marks(self) -> dict[str, str]:
        """Everything that is not written down yet; beside a loss everything: the disk may not have taken the last."""
        found = {} if self._taken is None else {LOSS_TAKEN: str(self._taken)}
        for care in self._cares.values():
            if care.unwritten or self._taken is not None:
                found |= care.marks()
                care.unwritten = False
        return found

    def _take_loss(self) -> None:
        """What the spool had to give up is missing again. It is said until the spool has written it down."""
        loss, before = self._filing.loss, self._taken
        self._taken = loss
        if loss is None or loss == before:
            return
        for care in self._cares.values():
            if care.interval_ms is not None:
                around_ms = max(care.period_ms, _LEAST_MARGIN_MS)  # no good row need stand there any more
                care.missing = care.missing.lost(loss.since - around_ms, loss.until + around_ms)
                care.unwritten = True
            if loss.logs and care.log is not None:
                care.log_mark, care.log.at, care.unwritten = _ALL_OF_THE_LOG, None, True
        log.info("rows_given_up_missing", since=loss.since, until=loss.until)

    def kept(self, content: Round) -> None:
        """Live rows have become durable: what they show is not missing."""
        if not self._cares:
            return
        column = next((one.values(content.rows) for one in content.columns if one.quantity == IMPORT), None)
        quality = unpack(content.quality, "I")
        for n, (meter, at) in enumerate(zip(content.meters, unpack(content.measured_at, "q"), strict=True)):
            care = self._cares.get(meter)
            import_kwh = column[n] if column and not quality[n] & REGISTER_DOUBTED else None
            if care is None or quality[n] & FAILED or (care.counts and import_kwh is None):
                continue
            care.answers = True
            if care.interval_ms is None:  # it remembers nothing
                continue
            before = care.missing
            if quality[n] & Quality.CLOCK_UNSYNCHRONISED and at < (before.seen_at or 0):
                continue  # booted with a time of before the outage: it says nothing of where this row belongs
            care.missing = before.seen(at, import_kwh, care.tolerance_ms)
            care.unwritten = True
            if len(care.missing.stretches) > len(before.stretches):
                care.forgive()
                newest = care.missing.stretches[-1]
                log.info("rows_missing", meter=meter, since=newest.first, until=newest.last)

    async def run(self) -> None:
        """Do the chores of all buses for ever."""
        async with asyncio.TaskGroup() as tasks:
            for bus, cares in self._by_bus.items():
                tasks.create_task(self._attend(bus, cares))

    async def _attend(self, bus: Bus, cares: list[Care]) -> None:
        while True:
            now = self._clock.now_ms()
            found = next(((care, kind) for care in cares if (kind := care.next_chore(now)) is not None), None)
            if found is None:
                await self._clock.sleep_until(now + _LOOK_EVERY_MS)
                continue
            care, kind = found
            cares.remove(care)  # whoever had its turn stands behind the others
            cares.append(care)
            do = {Chores.CLOCK: self._compare_clock, Chores.LOG: self._read_log, Chores.HISTORY: self._read_back}
            try:
                failure = await do[kind](bus, care)
            except Exception as error:  # noqa: BLE001 - as in the bus: the polls go on
                log.error("chore_broken", bus=bus.name, meter=care.meter, why=f"{type(error).__name__}: {error}")
                failure = ReadFailure(Reason.UNABLE, f"{type(error).__name__}: {error}")
            self._went(bus, care, kind, failure)

    def _went(self, bus: Bus, care: Care, kind: Chores, failure: ReadFailure | None) -> None:
        pause = care.pauses[kind]
        if failure is None:
            if pause.suspect:
                log.info("chore_works_again", bus=bus.name, meter=care.meter, chore=kind.value)
            pause.succeeded()
            return
        self._counters.chores_failed += 1
        if not (pause.suspect or bus.suspect(care.meter) or failure.quality is Quality.LINK_DOWN):
            log.warning("chore_failed", bus=bus.name, meter=care.meter, chore=kind.value, why=str(failure))
        pause.failed(self._clock.now_ms())

    async def _compare_clock(self, bus: Bus, care: Care) -> ReadFailure | None:
        outcome = await bus.chore(care.meter, lambda: bus.driver.read(care.meter, frozenset({CLOCK_OFFSET})))
        if isinstance(outcome, ReadFailure):
            return outcome
        self.heard_clock(care.meter, outcome.values.get(CLOCK_OFFSET))
        if care.clock is not None:
            care.clock.done(self._clock.now_ms())
        return None if await self._filing.file(self._clock_round(care.meter, outcome), {}) else _NO_DISK

    def _clock_round(self, meter: str, reading: Reading) -> Round:
        every_ms = round(self._settings.clock_every * 1000)
        return Round(
            self._gateway,
            "clock",
            Origin.LIVE,
            every_ms,
            reading.measured_at // every_ms * every_ms,
            (meter,),
            pack((reading.measured_at,), "q"),
            pack((int(reading.quality | self._clocks.doubts(meter)),), "I"),
            (Column.of(CLOCK_OFFSET, (reading.values.get(CLOCK_OFFSET),)),),
        )

    def heard_clock(self, meter: str, offset_s: float | None) -> None:
        """A clock has been compared with ours, by whomever."""
        change = self._clocks.heard(meter, offset_s)
        if change is Change.WENT_OFF:
            log.warning("meter_clock_off", meter=meter, ahead_s=offset_s)
        elif change is Change.CAME_RIGHT:
            log.info("meter_clock_right_again", meter=meter, ahead_s=offset_s)

    async def _read_log(self, bus: Bus, care: Care) -> ReadFailure | None:
        driver, meter, mark = bus.driver, care.meter, care.log_mark
        if not isinstance(driver, EventLogs) or care.log is None:
            return None
        outcome: NewEvents | ReadFailure = await bus.chore(meter, lambda: driver.new_events(meter, mark))
        if isinstance(outcome, ReadFailure):
            return outcome
        if care.log_mark != mark:
            return None  # entries were given up meanwhile
        doubts = self._clocks.doubts(meter)
        entries = [(meter, at, event, doubts) for at, event in outcome.events if EARLIEST_MS <= at <= LATEST_MS]
        if entries or outcome.missed:
            content = MeterEvents.of(self._gateway, entries, {meter: outcome.missed} if outcome.missed else {})
            if not await self._filing.file(content, {log_mark(meter): outcome.mark}):
                return _NO_DISK
        self._counters.log_entries += len(entries)
        self._counters.log_entries_unknown += outcome.unknown + len(outcome.events) - len(entries)
        if care.log_mark != mark:
            return None
        care.unwritten = care.unwritten or outcome.mark != mark
        care.log_mark = outcome.mark
        if not outcome.more:
            care.log.done(self._clock.now_ms())
        return None

    async def _read_back(self, bus: Bus, care: Care) -> ReadFailure | None:
        driver, meter = bus.driver, care.meter
        care.missing = care.missing.since(self._clock.now_ms() - self._settings.most_days_back * _DAY_MS)
        if not isinstance(driver, LoadProfiles) or not care.missing.stretches:
            return None
        stretch = care.missing.stretches[0]
        wanted = stretch.wanted(max(_LEAST_MARGIN_MS, round(2000 * abs(self._clocks.offset_s(meter) or 0.0))))
        if wanted is None:
            care.missing, care.unwritten = care.missing.read_back(stretch.last), True
            return None
        interval_ms = driver.interval_ms(meter) or _DAY_MS
        first, last = wanted[0], min(wanted[1], wanted[0] + care.piece.intervals * interval_ms - 1)
        took_s = 0.0

        async def piece() -> Intervals | ReadFailure:
            nonlocal took_s
            began_s = asyncio.get_running_loop().time()
            found = await driver.load_profile(meter, first, last)
            took_s = asyncio.get_running_loop().time() - began_s
            return found

        outcome: Intervals | ReadFailure = await bus.chore(meter, piece)
        if isinstance(outcome, ReadFailure):
            care.piece.failed()
            return outcome
        care.piece.took(took_s, len(outcome.rows))
        care.interval_ms = outcome.period_ms
        rows = fitting(outcome.rows, first, last, stretch)
        if stretch not in care.missing.stretches[:1]:
            return None  # the clock was set meanwhile, or rows of that time were given up
        if rows:
            content = round_of(self._gateway, meter, min(outcome.period_ms, _DAY_MS), rows, self._clocks.doubts(meter))
            if not await self._filing.file(content, {missing_mark(meter): str(care.missing.read_back(last))}):
                return _NO_DISK
        self._counters.rows_read_back += len(rows)
        self._counters.rows_misfit += len(outcome.rows) - len(rows)
        if stretch in care.missing.stretches[:1]:
            care.missing = care.missing.read_back(last)
        care.unwritten = True
        return None
