"""The spool against a model: whatever happens, every number is there, told as a gap, or was acknowledged."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.spool.retention import LOSS_TAKEN
from edge_agent.spool.spool import Spool, SpooledItem
from metering.codec import decode, encode_packed
from metering.message import Envelope
from metering.round import Column, Gap, Origin, Round, pack

NOW = 1_772_400_000_000
CAP = 160 * 1024
KEEP_MS = 3_600_000


def a_round(seed: int, rows: int) -> Round:
    dice = random.Random(seed)
    meters = tuple(f"m{i}" for i in range(rows))
    column = Column.of_integers("active_power", 3, [dice.randrange(-(2**30), 2**30) for _ in range(rows)])
    return Round(
        "g", "main", Origin.LIVE, 60_000, NOW, meters, pack([NOW] * rows, "q"), pack([0] * rows, "I"), (column,)
    )


def content(item: SpooledItem, epoch: int) -> Round | Gap:
    return decode(encode_packed(Envelope(epoch, item.seq, item.seq - item.first), item.body)).content


class SpoolAndModel(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.now_ms = NOW
        self.spooled: dict[int, Round] = {}
        self.ever_acknowledged = 0
        self.acknowledged = self.written_down = 0
        self.damaged: set[int] = set()
        self.vanished: set[int] = set()
        self.evicted: set[int] = set()
        self.marks: dict[str, str] = {}
        self.kept_at: dict[int, int] = {}
        self.corrupt: set[int] = set()
        self.taken: set[int] = set()
        self.spool = self.open()
        self.epoch = self.spool.epoch

    def open(self) -> Spool:
        return Spool(self.folder / "spool.db", "g", CAP, KEEP_MS)

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            shutil.rmtree(self.folder)

    def held(self) -> list[int]:
        with sqlite3.connect(self.folder / "spool.db") as db:
            return [seq for (seq,) in db.execute("SELECT seq FROM item WHERE gap = 0 ORDER BY seq")]

    @rule(seed=st.integers(0, 2**20), rows=st.sampled_from([1, 60, 3000, 9000]), later_ms=st.integers(0, 600_000))
    def append(self, seed: int, rows: int, later_ms: int) -> None:
        self.now_ms += later_ms
        one = a_round(seed, rows)
        seq = self.spool.append(one, self.now_ms)
        assert seq == len(self.spooled) + 1
        self.spooled[seq] = one
        self.kept_at[seq] = self.now_ms
        self.written_down = self.acknowledged

    @rule(seed=st.integers(0, 2**20), names=st.sets(st.sampled_from("abc"), min_size=1), length=st.integers(0, 3000))
    def append_with_marks(self, seed: int, names: set[str], length: int) -> None:
        marks = dict.fromkeys(names, f"{seed:0{length}d}")
        one = a_round(seed, 60)
        seq = self.spool.append(one, self.now_ms, marks)
        self.spooled[seq], self.kept_at[seq] = one, self.now_ms
        self.written_down = self.acknowledged
        self.marks |= marks

    @precondition(lambda self: self.spool.loss is not None)
    @rule(seed=st.integers(0, 2**20))
    def append_and_take_care_of_the_loss(self, seed: int) -> None:
        marks = {LOSS_TAKEN: str(self.spool.loss)}
        lost = self.evicted | self.corrupt
        assert max(lost - self.taken) <= self.acknowledged
        one = a_round(seed, 1)
        seq = self.spool.append(one, self.now_ms, marks)
        self.spooled[seq], self.kept_at[seq] = one, self.now_ms
        self.written_down = self.acknowledged
        self.marks |= marks
        if self.spool._loss is None:
            self.taken |= lost

    @rule(seed=st.integers(0, 2**20))
    def stop_with_marks_and_start(self, seed: int) -> None:
        self.spool.close({"last": str(seed)})
        self.marks["last"] = str(seed)
        self.spool = self.open()
        self.written_down = self.acknowledged

    @rule(times=st.integers(10, 40))
    def append_many(self, times: int) -> None:
        for i in range(times):
            self.append(i, 900, 60_000)

    @rule(data=st.data())
    def acknowledge_or_rewind(self, data: st.DataObject) -> None:
        self.acknowledged = data.draw(st.integers(0, len(self.spooled)))
        self.spool.acknowledge(self.acknowledged)
        self.ever_acknowledged = max(self.ever_acknowledged, self.acknowledged)

    @rule()
    def acknowledge_all(self) -> None:
        self.acknowledged = self.ever_acknowledged = len(self.spooled)
        self.spool.acknowledge(self.acknowledged)

    @rule()
    def stop_and_start(self) -> None:
        self.spool.close()
        self.spool = self.open()
        self.written_down = self.acknowledged

    @rule()
    def crash_and_start(self) -> None:
        self.spool._db.close()
        self.spool = self.open()
        self.acknowledged = self.written_down

    @precondition(lambda self: self.spooled)
    @rule(data=st.data())
    def bytes_change_on_disk(self, data: st.DataObject) -> None:
        held = self.held()
        if held:
            seq = data.draw(st.sampled_from(held))
            with sqlite3.connect(self.folder / "spool.db") as db:
                db.execute("UPDATE item SET body = x'00ff' WHERE seq = ?", (seq,))
            self.damaged.add(seq)

    @precondition(lambda self: self.spooled)
    @rule(data=st.data())
    def a_row_vanishes(self, data: st.DataObject) -> None:
        held = self.held()[1:-1]
        if held:
            seq = data.draw(st.sampled_from(held))
            with sqlite3.connect(self.folder / "spool.db") as db:
                db.execute("DELETE FROM item WHERE seq = ?", (seq,))
            self.vanished.add(seq)

    @invariant()
    def every_number_is_accounted_for(self) -> None:
        items = self.spool.next_after(0, 10**6)
        told = 0
        for item in items:
            what = content(item, self.epoch)
            if isinstance(what, Round):
                assert item.first == item.seq
                assert what == self.spooled[item.seq]
                continue
            numbers = set(range(what.first, what.last + 1))
            lost = numbers - self.vanished
            assert what.rows >= sum(self.spooled[n].rows for n in lost)
            assert what.rows == sum(self.spooled[n].rows for n in lost) or numbers & self.vanished
            if what.reason == "evicted":
                self.evicted |= numbers
            else:
                assert numbers <= self.damaged | self.vanished
                self.corrupt |= numbers - self.vanished
            told += len(numbers)
        oldest = items[0].first if items else len(self.spooled) + 1
        assert [i.first for i in items[1:]] == [i.seq + 1 for i in items[:-1]]
        assert not items or items[-1].seq == len(self.spooled)
        assert oldest <= self.ever_acknowledged + 1
        assert self.spool.oldest() == oldest

    @invariant()
    def every_loss_is_remembered_until_it_is_taken_care_of(self) -> None:
        for number in (self.evicted | self.corrupt) - self.taken - self.vanished:
            loss = self.spool._loss
            assert loss is not None
            assert loss.since <= self.kept_at[number] <= loss.until
            assert number <= loss.last

    @invariant()
    def every_mark_is_the_one_of_its_last_round(self) -> None:
        assert self.spool.marks() == self.marks

    @invariant()
    def the_state_is_true(self) -> None:
        state = self.spool.state()
        assert (state.epoch, state.acknowledged) == (self.epoch, self.acknowledged)
        assert state.next_seq == len(self.spooled) + 1
        assert state.unacknowledged == len(self.spool.next_after(self.acknowledged, 10**6))
        assert state.share <= 1
        assert state.evicted_rows >= sum(self.spooled[n].rows for n in self.evicted - self.damaged - self.vanished)
        assert (self.folder / "spool.db").stat().st_size <= CAP


SpoolAndModel.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestSpool = SpoolAndModel.TestCase
