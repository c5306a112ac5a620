"""A gateway in front of meters that remember, on a clock that runs fast and may be stopped for a day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent import config
from edge_agent.app import Gateway
from edge_agent.spool.spool import Spool
from metering.clock import SimulatedClock
from metering.codec import decode, encode_packed
from metering.message import Envelope
from metering.meter_event import MeterEvents
from metering.round import FAILED, Origin, Round, unpack

QUARTER_MS = 900_000
HOUR_MS = 3_600_000

GATEWAY = """
gateway: g1
mqtt: {{port: 1}}
spool: {{path: spool.db, max_size_mb: {spool_mb}}}
buses:
  - {{id: b1, {bus}, timeout: {timeout}}}
meters:
{meters}
groups:
  - {{id: main, every: {every}, quantities: [active_energy_import, active_power]}}
upkeep: {{{upkeep}}}
"""


def gateway_file(
    folder: Path,
    bus: str,
    meters: list[str],
    upkeep: str = "",
    every: str = "60s",
    timeout: str = "100ms",
    spool_mb: int = 8,
) -> Path:
    """Write gateway.yaml for one bus."""
    path = folder / "gateway.yaml"
    lines = "\n".join(f"  - {{bus: b1, {meter}}}" for meter in meters)
    text = GATEWAY.format(bus=bus, meters=lines, every=every, upkeep=upkeep, timeout=timeout, spool_mb=spool_mb)
    path.write_text(text, encoding="utf-8")
    return path


def clock_at(start_ms: int, speed: float) -> SimulatedClock:
    """Shows ``start_ms`` now."""
    return SimulatedClock(start_ms, speed, int(time.time() * 1000))


@dataclass
class ParkClock:
    """What time it is for the meters of a park; it may be put forward while nobody polls."""

    shown: SimulatedClock

    def now_ms(self) -> int:
        return self.shown.now_ms()

    async def sleep_until(self, at_ms: int) -> None:
        await self.shown.sleep_until(at_ms)


@asynccontextmanager
async def running(file: Path, clock: SimulatedClock) -> AsyncIterator[Gateway]:
    """The whole agent in this process, stopped as by SIGTERM."""
    gateway = Gateway(config.load(file), clock)
    task = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        gateway.stop()
        await asyncio.wait_for(task, 20)


def contents(spool: Spool) -> list[Round | MeterEvents]:
    """Everything the spool holds, oldest first."""
    items = spool.next_after(0, 100_000)
    messages = (encode_packed(Envelope(spool.epoch, one.seq, one.seq - one.first), one.body) for one in items)
    found = [decode(message).content for message in messages]
    return [one for one in found if isinstance(one, Round | MeterEvents)]


def rounds(spool: Spool, origin: Origin, group: str | None = None) -> list[Round]:
    """Its rounds of one origin."""
    found = [one for one in contents(spool) if isinstance(one, Round) and one.origin is origin]
    return [one for one in found if group in (None, one.group)]


def rows(found: list[Round], quantity: str = "active_energy_import") -> list[tuple[str, int, int, float | None]]:
    """Meter, instant, quality and one value of every row."""
    return [
        row
        for one in found
        for row in zip(
            one.meters,
            unpack(one.measured_at, "q"),
            unpack(one.quality, "I"),
            next(column.values(one.rows) for column in one.columns if column.quantity == quantity),
            strict=True,
        )
    ]


def good_rows(spool: Spool, meter: str) -> list[int]:
    """The instants of its good live rows."""
    return [
        at
        for name, at, quality, _ in rows(rounds(spool, Origin.LIVE, "main"))
        if name == meter and not quality & FAILED
    ]


def read_back(spool: Spool, meter: str) -> list[int]:
    """The instants that were read back, in the order in which they were."""
    return [at for name, at, _, _ in rows(rounds(spool, Origin.BACKFILL)) if name == meter]


def quarters_between(first: int, last: int, margin_ms: int = 60_000) -> list[int]:
    """The quarters of an hour inside a hole."""
    begin = -(-(first + margin_ms) // QUARTER_MS) * QUARTER_MS
    return list(range(begin, last - margin_ms + 1, QUARTER_MS))
