"""A child that spools rounds without end and prints each number after ``append`` has returned.

What is printed is promised. It waits for a line on standard input before it opens the spool, so that its start costs
its parent nothing. ``NORMAL`` as second argument weakens the spool: the control that must lose rounds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edge_agent.spool.spool import Spool
from metering.round import Round
from tests.support.rounds import T0, make_round

GATEWAY = "gw-1"
METERS = tuple(f"m-{n:02d}" for n in range(50))


def numbered_round(seq: int) -> Round:
    """The round a writer spools as number ``seq``."""
    values = [float(seq * 100 + n) for n in range(len(METERS))]
    return make_round({"active_energy_import": values}, meters=METERS, gateway=GATEWAY, at=T0 + seq)


def main(path: Path, synchronous: str) -> None:
    sys.stdin.readline()
    spool = Spool(path, GATEWAY, 64 << 20, 0)
    spool._db.execute(f"PRAGMA synchronous={synchronous}")
    seq = spool.state().next_seq
    while True:
        assert spool.append(numbered_round(seq), T0) == seq
        os.write(1, b"%d\n" % seq)
        seq += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
