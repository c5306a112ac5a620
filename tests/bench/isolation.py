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

_EVERY_S: Final = 2


def run(quick: bool) -> Iterator[Figure]:
    """Poll for a minute, or a quarter of one."""
    found = asyncio.run(_missed(8 if quick else 30))
    subject = f"missed of {found.expected:,} readings, 180 good meters"
    yield Figure(subject, found.missed, "readings", {"edge.missed_ticks_good_meters": found.missed})


async def _missed(ticks: int) -> Ticks:
    with TemporaryDirectory(dir=".", prefix=".bench-") as name:
        async with hard_park(Path(name), f"{_EVERY_S}s", "300ms") as park:
            await until(lambda: held(park.street.spool) >= ticks, f"{ticks} rounds", 4 * _EVERY_S * ticks)
            return ticks_of(park.street.spool, park.good)
