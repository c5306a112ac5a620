"""Which readings should be in a spool and are not: every good meter at every tick between first and last round."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_agent.spool.look import rounds_after
from metering.round import FAILED, unpack


@dataclass(frozen=True)
class Ticks:
    """What was to be read, and how much of it was not."""

    expected: int
    missed: int
    ticks: int


def ticks_of(spool: Path, meters: Collection[str]) -> Ticks:
    """Count the ticks of some meters in one rate group; the first and the last are left out, they may be cut off."""
    rounds = [one for _, one in rounds_after(spool, 0)]
    instants = sorted({one.scheduled_at for one in rounds})
    if len(instants) < 3:
        return Ticks(0, 0, 0)
    step = rounds[0].period_ms
    wanted = {(meter, at) for at in range(instants[1], instants[-1], step) for meter in meters}
    for one in rounds:
        quality = unpack(one.quality, "I")
        wanted -= {
            (meter, one.scheduled_at) for meter, bits in zip(one.meters, quality, strict=True) if not bits & FAILED
        }
    ticks = (instants[-1] - instants[1]) // step
    return Ticks(ticks * len(meters), len(wanted), ticks)


def held(spool: Path) -> int:
    """How many rounds a spool has taken so far; 0 before there is one."""
    try:
        with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT coalesce(max(seq), 0) FROM item").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0
