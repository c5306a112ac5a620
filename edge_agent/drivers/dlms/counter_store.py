"""Invocation counters on disk, one small file a meter: a number once used is never used again.

AES-GCM breaks when two messages are sealed with one key and one counter. So numbers are *reserved* in blocks before
the first of them is used: the file says how far, and is on the disk (fsync, rename, fsync of the folder) before the
block is given out. A crash costs the rest of a block, never a number twice. Two programs may share a folder: each
reservation holds a lock and begins where the last one ended.

The file also holds the highest counter heard from the meter, so that an old answer stays old over a restart. Nothing
in it is ever lowered. A file that cannot be read stops this meter: to begin again at zero would repeat numbers.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.errors import Spent
from metering.errors import StopAndFix

LAST: Final = 0xFFFF_FFFF
BLOCK: Final = 1000
_MARGIN: Final = 1_000_000  # before the end: change the keys while there is still time to read
_LARGEST_STEP: Final = 10_000_000  # that a meter's word can move us; a forged word must not use up the numbers
_UNKNOWN_START: Final = 0x7FFF_FFFF  # as far as it can move us if nothing was ever reserved


class Marks(NamedTuple):
    """What a file holds."""

    reserved: int = 0  # the first number that was never given out
    heard: int = -1  # the highest that came from the meter and was genuine


class CounterFile:
    """The counters of one meter."""

    def __init__(self, path: Path) -> None:
        """Use ``path``; nothing is written before the first reservation."""
        self._path = path

    def marks(self) -> Marks:
        """What is on the disk.

        Raises:
            StopAndFix: it cannot be read.
        """
        try:
            return _marks_in(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return Marks()
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise StopAndFix(
                f"{self._path}: the invocation counters cannot be read ({error}) → put back a copy, or new keys into"
                " the meter and remove the file"
            ) from None

    def reserve(self, count: int = BLOCK) -> range:
        """Numbers for the caller alone, on disk before they are used.

        Raises:
            Spent: the numbers of this key come to an end.
            StopAndFix: the file cannot be read or written.
        """
        with self._locked():
            marks = self.marks()
            end = marks.reserved + count
            if end > LAST - _MARGIN:
                raise Spent(
                    f"{self._path}: {marks.reserved} of {LAST} invocation counters are used → new keys into the meter,"
                    " then remove the file"
                )
            self._write(marks._replace(reserved=end))
        return range(marks.reserved, end)

    def catch_up(self, expected: int) -> None:
        """Go on at the number that the meter says it expects; only upwards, and only so far.

        Raises:
            Spent: the number is too far away to be true.
            StopAndFix: the file cannot be read or written.
        """
        with self._locked():
            marks = self.marks()
            if expected <= marks.reserved:
                return
            step = _LARGEST_STEP if marks.reserved else _UNKNOWN_START
            if expected - marks.reserved > step:
                raise Spent(f"the meter expects counter {expected}, we are at {marks.reserved}: too far to be believed")
            self._write(marks._replace(reserved=expected))

    def note_heard(self, counter: int) -> None:
        """Remember the highest genuine counter of the meter.

        Raises:
            StopAndFix: the file cannot be read or written.
        """
        with self._locked():
            marks = self.marks()
            if counter > marks.heard:
                self._write(marks._replace(heard=counter))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone in the folder, whatever process; the lock goes with its holder."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise StopAndFix(f"{self._path.parent}: cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, marks: Marks) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="ascii") as file:
                json.dump(marks._asdict(), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StopAndFix(f"{self._path}: cannot be written: {error.strerror}") from None


def _marks_in(text: str) -> Marks:
    found = json.loads(text)
    marks = Marks(int(found["reserved"]), int(found["heard"]))
    if marks.reserved < Marks().reserved or marks.heard < Marks().heard:
        raise ValueError(f"{marks.reserved} reserved, {marks.heard} heard")
    return marks


class Counters:
    """The next number, out of a block that is reserved already."""

    def __init__(self, file: CounterFile) -> None:
        self.file = file
        self._block = range(0)

    def __call__(self) -> int:
        """A number that was never used and never will be again.

        Raises:
            Spent: there are no more.
            StopAndFix: no block can be reserved.
        """
        self.prepare(1)
        number = self._block[0]
        self._block = self._block[1:]
        return number

    @property
    def following(self) -> int:
        """The lowest number that may come next."""
        return self._block[0] if self._block else self.file.marks().reserved

    def prepare(self, least: int = BLOCK // 4) -> None:
        """Have so many numbers at hand, so that nothing waits for the disk in the middle of a conversation.

        Raises:
            Spent: there are no more.
            StopAndFix: no block can be reserved.
        """
        if len(self._block) < least:
            self._block = self.file.reserve()

    def catch_up(self, expected: int) -> None:
        """Go on no lower than the meter expects; see ``CounterFile.catch_up``."""
        self.file.catch_up(expected)
        self._block = range(0)
