"""A child that spools rounds and prints each number after ``append`` has returned. Its parent kills it."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from edge_agent.errors import DiskFull
from edge_agent.spool.spool import Spool
from metering.round import Column, Origin, Round, pack

NOW = 1_772_400_000_000


def a_round(i: int) -> Round:
    column = Column.of_integers("active_energy_import", 3, [i * 10_000 + k for k in range(50)])
    meters = tuple(f"m{k}" for k in range(50))
    return Round(
        "g", "main", Origin.LIVE, 60_000, NOW + i, meters, pack([NOW] * 50, "q"), pack([0] * 50, "I"), (column,)
    )


def main(path: Path, file_limit: int) -> None:
    spool = Spool(path, "g", 64 << 20, 0)
    if file_limit:  # stands for a full disk: no file may grow beyond it
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    while True:
        try:
            seq = spool.append(a_round(spool.state().next_seq), NOW)
        except DiskFull as error:
            os.write(1, f"full {error}\n".encode())
            return
        os.write(1, b"%d\n" % seq)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
