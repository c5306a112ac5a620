"""Rounds wait here until the collector has acknowledged them: one SQLite file, one transaction a round.

Invariants

1. When ``append`` has returned, the round survives kill -9 and a power cut (WAL, synchronous=FULL).
2. Numbers count 1, 2, 3 … without holes. What is given up leaves a gap item that stands for its numbers.
3. The file has a hard cap of pages, and the WAL is written back every 64 pages: a full spool can always
   give something up. (With a large WAL, DELETE fails on a full disk too.)
4. An item whose bytes have changed is not sent: a gap "corrupt" takes its place. A file SQLite cannot read is
   set aside as ``*.corrupt-<n>``; a new one with a new epoch begins with a gap and with what could be saved. What is
   cut off while it saves goes on with that at the next start.
5. An epoch and a number name one content for ever. If the collector knows a number that we have not given
   out yet, the disk has lost our last commits: a new epoch is begun before any number is used twice.

Acknowledgements, trimming and counters are written with the next round, not by themselves: one flush a
round is all the card has to bear. Whatever a crash makes us forget of them the collector says again.

Marks are small texts under a name, for whoever fills the spool: how far something had got when a round was made. They
are written with that round or not at all, so a round and what follows from it cannot come apart.

Methods block for as long as the disk takes, on a worn card for seconds: an event loop calls them through
``asyncio.to_thread``. A lock makes that safe.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TypeVar
from zlib import crc32

from edge_agent.errors import DiskFull, NoSpool
from edge_agent.spool import tables
from edge_agent.spool.retention import CORRUPT, EVICTED, LOSS_TAKEN, Held, Loss, evict
from edge_agent.spool.salvage import salvage, salvage_loss, salvage_marks
from edge_agent.spool.spool_settings import SpoolSettings
from edge_agent.spool.state import PAGE_BYTES, SpoolState, next_seq_of, oldest_of, state_of, used_pages_of
from metering.log import log
from metering.meter_event import MeterEvents
from metering.packed_body import encode_body
from metering.round import Round

_SPARE_PAGES: Final = 8  # inner pages of the tree, meta, and what a gap needs
_EVICT_BATCH: Final = 4
_TRIM_EVERY: Final = 16  # rounds between two looks at what may be trimmed
_SAVED_AT_ONCE: Final = 64  # rounds of a damaged file
_SAVING: Final = "saving"  # file and number up to which it is saved, while that is not done
_SET_ASIDE: Final = 3  # corrupt files kept for a look; the oldest makes room
_NO_MARKS: Final[Mapping[str, str]] = MappingProxyType({})
_BAD_FILE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SpooledItem:
    """One item as it is sent."""

    first: int
    seq: int
    rows: int
    polled_at: int
    body: bytes  # what ``metering.codec.encode_packed`` takes


class Spool:
    """The spool of one gateway. Safe to call from several threads."""

    def __init__(self, path: Path, gateway: str, max_bytes: int, keep_acknowledged_ms: int) -> None:
        """Open or make the file.

        Raises:
            NoSpool: the folder is missing or may not be written.
        """
        self.path = path
        self._gateway = gateway
        self._max_pages = max(max_bytes // PAGE_BYTES, 4 * _SPARE_PAGES)
        self._keep_ms = keep_acknowledged_ms
        self._lock = threading.RLock()
        self._appended = 0
        self._acknowledged = 0
        self._evicted_rows = 0
        self._loss: Loss | None = None
        self.epoch = 0
        self._db = self._open()

    @classmethod
    def of(cls, settings: SpoolSettings, gateway: str) -> Self:
        """The spool the settings describe."""
        keep_ms = round(settings.keep_acknowledged * 1000)
        return cls(settings.path, gateway, settings.max_size_mb * 1024 * 1024, keep_ms)

    def append(self, content: Round | MeterEvents, now_ms: int, marks: Mapping[str, str] = _NO_MARKS) -> int:
        """Keep one round and these marks; durable when this returns. Gives its number.

        Raises:
            DiskFull: the disk has no room or fails; neither is kept.
        """
        body = encode_body(content)
        with self._lock:
            return self._healing(lambda: self._append(content.rows, body, now_ms, marks))

    def marks(self) -> dict[str, str]:
        """Every mark, as it was written last."""
        with self._lock:
            return self._healing(lambda: dict(self._db.execute("SELECT name, value FROM mark")))

    def acknowledge(self, seq: int, epoch: int | None = None) -> None:
        """Follow the collector: it has everything up to ``seq``. A lower number than before rewinds.

        Args:
            seq: a number of ours.
            epoch: the epoch it is of; the one of now if left out. Another one says nothing about what is held.
        """
        with self._lock:
            meant = self.epoch if epoch is None else epoch
            last = self._healing(self._last_seq)  # which may begin a new epoch
            if meant != self.epoch:
                return
            if seq > last:
                log.error("spool_lost_its_end", acknowledged=seq, epoch=f"{self.epoch:016x}")
                self._healing(self._new_epoch)
            else:
                self._acknowledged = seq

    def next_after(self, seq: int, limit: int) -> list[SpooledItem]:
        """The items after ``seq``, oldest first, at most ``limit``; each checked."""
        with self._lock:
            return self._healing(lambda: self._next_after(seq, limit))

    @property
    def acknowledged(self) -> int:
        """The number the collector has acknowledged last."""
        return self._acknowledged

    @property
    def loss(self) -> Loss | None:
        """What was given up and not taken care of, once the collector has been told of all of it."""
        told = self._loss is not None and self._loss.last <= self._acknowledged
        return self._loss if told else None

    def kept_until(self) -> int | None:
        """When the newest round it holds was kept, ms since 1970 UTC; ``None`` if it holds none."""
        with self._lock:
            newest = self._healing(lambda: self._db.execute("SELECT max(polled_at) FROM item WHERE NOT gap").fetchone())
        return None if newest[0] is None else int(newest[0])

    def oldest(self) -> int:
        """The oldest number held; the next to be given out if there is none."""
        with self._lock:
            return self._healing(lambda: oldest_of(self._db))

    def state(self) -> SpoolState:
        """A summary."""
        with self._lock:
            return self._healing(
                lambda: state_of(self._db, self.epoch, self._acknowledged, self._evicted_rows, self._max_pages)
            )

    def close(self, marks: Mapping[str, str] = _NO_MARKS) -> None:
        """Write down what is only remembered, and these marks, and let the file go."""
        with self._lock:
            with suppress(sqlite3.Error), self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._remember()
                tables.write_marks(self._db, marks)
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        try:
            db = self._open_once()
        except sqlite3.OperationalError as error:
            raise NoSpool(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            log.error("spool_unreadable", path=str(self.path), why=str(error))
            return self._begin_anew()
        try:
            self._save_the_rest(db)
        except sqlite3.Error as error:
            db.close()
            raise NoSpool(f"{self.path}: {error}") from error
        return db

    def _open_once(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            db.execute(f"PRAGMA page_size={PAGE_BYTES}")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA wal_autocheckpoint=64")
            db.execute("PRAGMA journal_size_limit=1048576")
            db.execute(f"PRAGMA max_page_count={self._max_pages}")
            tables.check(db)
            db.executescript(tables.SCHEMA)
            meta = dict(db.execute("SELECT key, value FROM meta"))
            self.epoch = int(meta["epoch"], 16) if "epoch" in meta else secrets.randbits(64)
            self._acknowledged = int(meta.get("acknowledged", 0))
            self._evicted_rows = int(meta.get("evicted_rows", 0))
            self._loss = Loss.of(meta.get("loss", ""))
            tables.write_meta(db, {"epoch": f"{self.epoch:016x}"})
        except ValueError as error:
            db.close()
            raise sqlite3.DatabaseError(str(error)) from error
        except BaseException:
            db.close()
            raise
        return db

    def _begin_anew(self) -> sqlite3.Connection:
        """Set the damaged file aside; the new one begins with a gap, so that the loss is told.

        What can still be read of the old file follows the gap under new numbers.
        """
        try:
            aside = self._set_aside()
            self._db = db = self._open_once()
            self._begin_saving(db, aside)
        except (sqlite3.Error, OSError) as error:
            raise NoSpool(f"{self.path}: {error}") from error
        self._save(db, aside, 0)
        return db

    def _save_the_rest(self, db: sqlite3.Connection) -> None:
        """Go on where somebody was cut off who had set a damaged file aside."""
        self._db = db
        there = self._set_aside_before()
        name, _, after = tables.read_meta(db, _SAVING).rpartition(" ")
        unfinished = [one for one in there if one.name == name]
        if unfinished:
            self._save(db, unfinished[0], int(after) if after.isdigit() else 0)
        elif there and next_seq_of(db) == 1:
            self._begin_saving(db, there[-1])
            self._save(db, there[-1], 0)

    def _begin_saving(self, db: sqlite3.Connection, aside: Path) -> None:
        db.execute("BEGIN IMMEDIATE")
        tables.put_gap(db, self._gateway, Held(1, 1, 0, gap=True), CORRUPT, 0)
        tables.write_marks(db, salvage_marks(aside))
        if (pending := salvage_loss(aside)) is not None:
            self._loss = replace(pending, last=1).joined(self._loss)
        self._remember()
        tables.write_meta(db, {_SAVING: f"{aside.name} 0"})
        db.execute("COMMIT")

    def _save(self, db: sqlite3.Connection, aside: Path, after: int) -> None:
        """Take over what can be read of the damaged file; the rest at the next start if the disk does not take it."""
        saved = 0
        items = salvage(aside, after)
        try:
            while piece := list(islice(items, _SAVED_AT_ONCE)):
                db.execute("BEGIN IMMEDIATE")
                for item in piece:
                    self._make_room(tables.pages_of(item.body), item.polled_at)
                    tables.insert(db, item.rows, item.body, item.polled_at)
                self._remember()
                tables.write_meta(db, {_SAVING: f"{aside.name} {piece[-1].seq}"})
                db.execute("COMMIT")
                saved += len(piece)
            tables.write_meta(db, {_SAVING: ""})
        except sqlite3.Error as error:
            self._roll_back()
            log.error("spool_not_all_saved", file=str(aside), why=str(error))
        log.error("spool_set_aside", file=str(aside), rounds_saved=saved)

    def _set_aside(self) -> Path:
        there = self._set_aside_before()
        for old in there[: -_SET_ASIDE + 1] if len(there) >= _SET_ASIDE else []:
            old.unlink()
            Path(f"{old}-wal").unlink(missing_ok=True)
        number = int(there[-1].suffix[9:]) + 1 if there else 1
        aside = self.path.with_name(f"{self.path.name}.corrupt-{number}")
        self.path.rename(aside)
        # The latest rounds may stand in the WAL only; its frames have checksums, a damaged one is not taken.
        with suppress(FileNotFoundError):
            Path(f"{self.path}-wal").rename(f"{aside}-wal")
        Path(f"{self.path}-shm").unlink(missing_ok=True)
        return aside

    def _set_aside_before(self) -> list[Path]:
        """Damaged files that are still there, by their number."""
        files = [one for one in self.path.parent.glob(f"{self.path.name}.corrupt-*") if one.suffix[9:].isdigit()]
        return sorted(files, key=lambda file: int(file.suffix[9:]))

    def _healing(self, action: Callable[[], Result]) -> Result:
        """Do it; if the file turns out to be damaged, begin a new one and do it there."""
        try:
            return action()
        except sqlite3.DatabaseError as error:
            self._roll_back()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BAD_FILE:
                raise DiskFull(f"{self.path}: {error}") from error
            log.error("spool_unreadable", path=str(self.path), why=str(error))
        self._db.close()
        self._db = self._begin_anew()
        try:
            return action()
        except sqlite3.Error as error:
            self._roll_back()
            raise DiskFull(f"{self.path}: {error}") from error

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _append(self, rows: int, body: bytes, now_ms: int, marks: Mapping[str, str]) -> int:
        evicted_before, loss_before = self._evicted_rows, self._loss
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._appended += 1
            if self._appended % _TRIM_EVERY == 0:
                self._trim(now_ms)
            self._make_room(tables.pages_of(body) + tables.pages_of_marks(marks), now_ms)
            seq = tables.insert(self._db, rows, body, now_ms)
            tables.write_marks(self._db, marks)
            if self._loss is not None and marks.get(LOSS_TAKEN) == str(self._loss):
                self._loss = None
            self._remember()
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._evicted_rows, self._loss = evicted_before, loss_before
            raise
        return seq

    def _trim(self, now_ms: int) -> None:
        """Acknowledged items that nobody will ask for any more."""
        self._db.execute(
            "DELETE FROM item WHERE seq <= ? AND polled_at < ?", (self._acknowledged, now_ms - self._keep_ms)
        )

    def _make_room(self, pages: int, now_ms: int) -> None:
        while used_pages_of(self._db) + pages + _SPARE_PAGES > self._max_pages:
            oldest = [
                Held(first, seq, rows, bool(gap), kept_at)
                for first, seq, rows, gap, kept_at in self._db.execute(
                    "SELECT first, seq, rows, gap, polled_at FROM item ORDER BY seq LIMIT ?", (4 * _EVICT_BATCH,)
                )
            ]
            eviction = evict(oldest, self._acknowledged, _EVICT_BATCH)
            if eviction is None:
                return  # the round is larger than the spool: SQLite will say so
            if eviction.gap is not None:
                self._note_loss(item for item in oldest if item.seq in eviction.seqs and not item.gap)
            self._db.executemany("DELETE FROM item WHERE seq = ?", [(seq,) for seq in eviction.seqs])
            if eviction.gap is not None:
                tables.put_gap(self._db, self._gateway, eviction.gap, EVICTED, now_ms)
                gaps_before = sum(item.rows for item in oldest if item.gap and item.seq in eviction.seqs)
                self._evicted_rows += eviction.gap.rows - gaps_before

    def _note_loss(self, items: Iterable[Held]) -> None:
        for item in items:
            (body,) = self._db.execute("SELECT body FROM item WHERE seq = ?", (item.seq,)).fetchone()
            self._loss = Loss.by(item, body).joined(self._loss)

    def _next_after(self, seq: int, limit: int) -> list[SpooledItem]:
        found = self._db.execute(
            "SELECT first, seq, rows, polled_at, crc32, body FROM item WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        ).fetchall()
        items: list[SpooledItem] = []
        expected = seq + 1 if self._holds_up_to(seq) else 0
        for first, last, rows, polled_at, crc, body in found:
            item = SpooledItem(first, last, rows, polled_at, body)
            if crc32(body) != crc:
                log.error("spooled_round_corrupt", seq=last, rows=rows)
                self._loss = Loss(polled_at, polled_at, last, logs=1).joined(self._loss)
                tables.write_meta(self._db, {"loss": str(self._loss)})
                item = self._gap(Held(first, last, rows, gap=True), polled_at)
            if 0 < expected < first:  # rows vanished without SQLite noticing
                log.error("spooled_rounds_missing", first=expected, last=first - 1)
                items.append(self._gap(Held(expected, first - 1, 0, gap=True), polled_at))
            items.append(item)
            expected = last + 1
        return items[:limit]

    def _holds_up_to(self, seq: int) -> bool:
        """Whether what follows ``seq`` must follow without a hole; before the oldest item anything may be gone."""
        return self._db.execute("SELECT 1 FROM item WHERE seq <= ? LIMIT 1", (seq,)).fetchone() is not None

    def _gap(self, gap: Held, polled_at: int) -> SpooledItem:
        body = tables.put_gap(self._db, self._gateway, gap, CORRUPT, polled_at)
        return SpooledItem(gap.first, gap.seq, gap.rows, polled_at, body)

    def _last_seq(self) -> int:
        return next_seq_of(self._db) - 1

    def _new_epoch(self) -> None:
        self.epoch = secrets.randbits(64)
        tables.write_meta(self._db, {"epoch": f"{self.epoch:016x}"})

    def _remember(self) -> None:
        loss = "" if self._loss is None else str(self._loss)
        known = {"acknowledged": str(self._acknowledged), "evicted_rows": str(self._evicted_rows), "loss": loss}
        tables.write_meta(self._db, known)
