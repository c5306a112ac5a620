"""One child process of ours: started, watched, and always ended, by its own process id.

It runs in a session of its own, so that Ctrl-C reaches it through us alone and in the right order. What it
prints goes to a file.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from metering.errors import StopAndFix

TERMINATE_WITHIN_S: Final = 10.0
_LAST_LINES: Final = 15


class ProgramEnded(StopAndFix):
    """A program ended although it was still needed; its last words are in the text."""


class Program:
    """A running child process."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Nothing runs before ``start``."""
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        self._environment = dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None
        self._begins_at = 0  # in the log, which may have been begun before

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            RuntimeError: it was never started.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    async def start(self) -> None:
        """Start it.

        Raises:
            ProgramEnded: there is no such program.
        """
        with self.log.open("ab") as log:
            self._begins_at = log.seek(0, os.SEEK_END)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self._environment},
                    start_new_session=True,
                )
            except OSError as error:
                raise ProgramEnded(f"{self.name}: cannot start {self.argv[0]}: {error.strerror}") from error

    async def stop(self, within_s: float = TERMINATE_WITHIN_S) -> int | None:
        """End it: SIGTERM, and SIGKILL if it has not gone in time. Returns its exit code."""
        if self._process is None:
            return None
        if self._process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), within_s)
            except TimeoutError:
                await self.kill()
        return self._process.returncode

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        if self._process is not None and self._process.returncode is None:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Not through ``subprocess``: it would look whether the child has ended, and take its exit code away."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ProgramEnded: it has ended; the text ends with its last lines.
        """
        if not self.running:
            code = None if self._process is None else self._process.returncode
            raise ProgramEnded(f"{self.name} ended with code {code}; the end of {self.log}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The last lines that it has written to the log since it was started."""
        try:
            with self.log.open("rb") as lines:
                lines.seek(self._begins_at)
                return b"".join(deque(lines, _LAST_LINES)).decode(errors="replace").rstrip()
        except OSError:
            return ""
