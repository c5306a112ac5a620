"""Two hundred meters on ten lines, one dead and one noisy on each, in front of a real agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from simulators.park_settings import PREFIXES
from simulators.stack import free_port
from tests.support.roadside import Roadside, roadside

BUSES, ON_EACH = 10, 20


@dataclass(frozen=True)
class HardPark:
    """The park, and which of its meters are what."""

    street: Roadside
    good: frozenset[str]
    dead: frozenset[str]
    noisy: frozenset[str]


@asynccontextmanager
async def hard_park(
    folder: Path, every: str, patience: str, line: dict[str, object] | None = None
) -> AsyncIterator[HardPark]:
    """The agent polls for the length of the block; the broker is away all the time. Without ``line`` it is TCP."""
    trades = dict.fromkeys(PREFIXES, BUSES * ON_EACH // len(PREFIXES))
    names = [f"{prefix}{n + 1:02d}" for prefix in PREFIXES.values() for n in range(trades["retail"])]
    dead, noisy = frozenset(names[3::ON_EACH]), frozenset(names[11::ON_EACH])
    faults = [
        {"fault": "silent", "meters": sorted(dead)},
        {"fault": "garbage", "meters": sorted(noisy), "share": 0.5},
    ]
    async with roadside(
        folder,
        free_port(),
        1,
        trades=trades,
        every=every,
        port=free_port(BUSES),
        meters_per_endpoint=ON_EACH,
        lines=[line or {}],
        faults=faults,
    ) as street:
        buses = yaml.safe_load(street.config.read_text())["buses"]
        street.change(buses=[bus | {"timeout": patience} for bus in buses])
        await street.poll()
        yield HardPark(street, frozenset(names) - dead - noisy, dead, noisy)
