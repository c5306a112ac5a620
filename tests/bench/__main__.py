"""``python -m tests.bench [SUBJECT …] [--quick]``: one table, and ``bench.json`` as one flat object.

Figures are CPU time of one core, the median of several turns after one that is thrown away; peers run in the same
turns. ``spool`` is the exception: it measures the disk in real time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import edge, hot_path, spooling, stages, wire
from tests.bench.measure import Figure

TURNS = 9
QUICK_TURNS = 3

SUBJECTS: dict[str, Callable[[int], Iterator[Figure]]] = {
    "hot_path": hot_path.measure,
    "stages": stages.measure,
    "wire": wire.measure,
    "spool": spooling.measure,
    "edge": edge.measure,
}


def main() -> None:
    """Measure what was asked for and write it down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    parser.add_argument("--quick", action="store_true", help="fewer turns: seconds instead of minutes")
    asked = parser.parse_args()
    if unknown := set(asked.subjects) - set(SUBJECTS):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}; known: {', '.join(SUBJECTS)}")
    found: dict[str, float] = {}
    _say(_line("subject", "this system", "", "peer in the same run", "ratio"))
    for name in asked.subjects or SUBJECTS:
        for figure in SUBJECTS[name](QUICK_TURNS if asked.quick else TURNS):
            found |= _entries(figure)
            ratio = "" if figure.ratio is None else f"{figure.ratio:.1f} ×"
            peer = "" if figure.peer is None else f"{_shown(figure.peer)} ({figure.peer_name})"
            _say(_line(figure.key, _shown(figure.value), figure.unit, peer, ratio))
    Path("bench.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    _say(f"\nbench.json written; {os.cpu_count()} cores, load average {load}, Python {sys.version.split()[0]}")


def _entries(figure: Figure) -> dict[str, float]:
    entries = {figure.key: figure.value}
    if figure.peer is not None and figure.ratio is not None:
        entries[f"{figure.key}.peer"] = figure.peer
        entries[figure.ratio_key or f"{figure.key}.ratio"] = figure.ratio
    return entries


def _line(key: str, value: str, unit: str, peer: str, ratio: str) -> str:
    return f"{key:64} {value:>14} {unit:14} {peer:40} {ratio}".rstrip()


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 1 else f"{value:.1f}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


main()
