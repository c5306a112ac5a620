"""How many rounds of 100 meters a second the spool makes durable; real time, because the disk is what is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_agent.spool.spool import Spool
from tests.bench.measure import Figure
from tests.bench.readings import Fleet, rounds

APPENDS = 200


def measure(turns: int) -> Iterator[Figure]:
    """In the working folder, because a temporary one may be memory."""
    made = [one for minute in rounds(Fleet(1, 100), 15) for one in minute]
    real, cpu = [], []
    for _ in range(turns):
        with TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
            spool = Spool(Path(folder) / "spool.db", "gw-000", 1 << 26, 0)
            wall, busy = time.perf_counter(), time.process_time()
            for i in range(APPENDS):
                spool.append(made[i % len(made)], made[0].scheduled_at)
            real.append((time.perf_counter() - wall) / APPENDS)
            cpu.append((time.process_time() - busy) / APPENDS)
            spool.close()
    yield Figure("spool.appends_per_s", 1 / statistics.median(real), "rounds/s")
    yield Figure("spool.append_cpu_us", statistics.median(cpu) * 1e6, "µs")
