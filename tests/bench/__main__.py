"""``python -m tests.bench [--quick] [SUBJECT …]``: prints one table and writes ``bench.json``."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import typer

from collector.memory import keep_freed_memory
from tests.bench import collector, dlms, edge, isolation, modbus, spool, stages, wire
from tests.bench.figures import Figure, table

_SUBJECTS: Final[dict[str, Callable[[bool], Iterator[Figure]]]] = {
    "collector": collector.run,
    "stages": stages.run,
    "wire": wire.run,
    "spool": spool.run,
    "edge": edge.run,
    "modbus": modbus.run,
    "dlms": dlms.run,
    "isolation": isolation.run,
}
_FILE: Final = Path("bench.json")


def main() -> None:
    """Measure what was asked for; figures of other subjects stay in the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures what Wattline costs.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(_SUBJECTS))
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, rougher figures")
    options = parser.parse_args()
    if unknown := [name for name in options.subjects if name not in _SUBJECTS]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(_SUBJECTS)}")
    keep_freed_memory()  # as the collector does; the peers have it, too
    figures: list[Figure] = []
    for name in options.subjects or _SUBJECTS:
        typer.echo(f"{name} …")
        figures += _SUBJECTS[name](options.quick)
    typer.echo(f"\nPython {platform.python_version()}, {platform.machine()}; CPU time of one core; medians\n")
    typer.echo(table(figures))
    known = json.loads(_FILE.read_text(encoding="utf-8")) if options.subjects and _FILE.exists() else {}
    for figure in figures:
        known |= {key: float(f"{value:.4g}") for key, value in figure.keys.items()}
    _FILE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
