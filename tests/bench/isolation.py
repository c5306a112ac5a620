"""Whether good meters keep their period beside dead and noisy ones: readings that should have come and did not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.figures import Figure
from tests.support.hard_park import hard_park
from tests.support.ticks import Ticks, held, ticks_of
from tests.support.waiting import until

_RTU: Final = {"line": "modbus_rtu", "baudrate": 9600}
_PATIENCE_S: Final = 5.0  # for the start


def run(quick: bool) -> Iterator[Figure]:
    """Poll endpoints every two seconds, then lines of 9600 Bd every ten."""
    found = asyncio.run(_missed(2, "300ms", None, 8 if quick else 30))
    subject = f"missed of {found.expected:,} readings, 180 good meters"
    yield Figure(f"{subject}, TCP", found.missed, "readings", {"edge.missed_ticks_good_meters": found.missed})
    found = asyncio.run(_missed(10, "500ms", _RTU, 5 if quick else 10))
    subject = f"missed of {found.expected:,} readings, 180 good meters"
    yield Figure(f"{subject}, 9600 Bd", found.missed, "readings", {"edge.missed_ticks_good_meters.rtu": found.missed})


async def _missed(every_s: int, patience: str, line: dict[str, object] | None, rounds: int) -> Ticks:
    within_s = _PATIENCE_S + 2 * every_s * rounds
    with TemporaryDirectory(dir=".", prefix=".bench-") as name:
        async with hard_park(Path(name), f"{every_s}s", patience, line) as park:
            await until(lambda: held(park.street.spool) >= rounds, f"{rounds} rounds", within_s)
            return ticks_of(park.street.spool, park.good)
