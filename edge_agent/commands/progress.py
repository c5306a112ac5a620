"""How far a scan has got: a bar on a terminal, a line now and then elsewhere; both on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edge_agent.commands.found import found_text
from edge_agent.commands.options import complain
from edge_agent.commissioning.found import Found
from edge_agent.commissioning.line_address import address_of
from edge_agent.commissioning.scan import Scan
from edge_agent.words import Words

_PLAIN_EVERY_S: Final = 5.0


class ScanProgress:
    """Watches one scan."""

    def __init__(self, say: Words, quiet: bool) -> None:
        self._say = say
        self._quiet = quiet
        self._told_s = self._began_s = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task: Any = None

    def begin(self, scan: Scan) -> None:
        """Say what is asked and how long it may take."""
        speed, parity = getattr(scan.line, "baudrate", None), getattr(scan.line, "parity", "")
        at = "" if speed is None else self._say["scan at"].format(speed, parity).rstrip()
        complain(self._say["scan line"].format(address_of(scan.line), scan.total, at, duration(scan.at_most_s)))
        if sys.stderr.isatty() and not self._quiet:
            self._task = self._bar.add_task("", total=scan.total)
            self._bar.start()

    def end(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._bar.stop()

    def asked(self, done: int, total: int, found: int) -> None:
        """So many questions of all have been asked."""
        now_s = time.monotonic()
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif now_s - self._told_s >= _PLAIN_EVERY_S:
            self._told_s = now_s
            left = duration((now_s - self._began_s) / done * (total - done))
            complain(self._say["scan progress"].format(done, total, found, left))

    def found(self, one: Found) -> None:
        """Somebody answered and was judged."""
        if not self._quiet:
            typer.echo(found_text(one, self._say))


def duration(seconds: float) -> str:
    """A length of time for people."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"  # noqa: PLR2004
