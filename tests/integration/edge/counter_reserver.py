"""Reserves blocks of counters for ever and says each one, until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_agent.drivers.dlms.counter_store import CounterFile

file = CounterFile(Path(sys.argv[1]))
while True:
    block = file.reserve(7)
    sys.stdout.write(f"{block.start} {block.stop}\n")
    sys.stdout.flush()
