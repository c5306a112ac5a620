"""The outbox against a collector that forgets, misses, restarts and acknowledges late."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge_agent.publishing.outbox import Outbox
from metering.control import Ack
from metering.message import epoch_text

EPOCH = 0xA1B2


class OutboxAndCollector(RuleBasedStateMachine):
    """The model: numbers 1 … newest are spooled; what has been sent since the last break is a set."""

    @initialize(window=st.integers(1, 5))
    def start(self, window: int) -> None:
        self.outbox = Outbox(EPOCH, 0, window, 10.0)
        self.window, self.own = window, window
        self.newest = 0
        self.acknowledged = 0
        self.now_s = 100.0

    @rule(n=st.integers(1, 4))
    def spool(self, n: int) -> None:
        self.newest += n

    @rule()
    def send_what_may_be_sent(self) -> None:
        for _ in range(self.outbox.room):
            if self.outbox.sent_up_to >= self.newest:
                break
            before = self.outbox.sent_up_to
            self.outbox.sent(before + 1, self.now_s)
            assert self.outbox.sent_up_to == before + 1

    @rule(data=st.data(), window=st.integers(0, 8), resend=st.booleans())
    def acknowledge(self, data: st.DataObject, window: int, resend: bool) -> None:
        seq = data.draw(st.integers(0, self.outbox.sent_up_to))
        moved = self.outbox.on_ack(Ack(epoch_text(EPOCH), seq, window, resend), self.now_s)
        assert moved == (seq != self.acknowledged)
        if seq < self.acknowledged:
            assert self.outbox.under_way == 0
        self.acknowledged, self.window = seq, min(window, self.own)

    @rule(seq=st.integers(0, 50))
    def another_epoch_means_nothing(self, seq: int) -> None:
        assert not self.outbox.on_ack(Ack(epoch_text(EPOCH + 1), seq, 1), self.now_s)

    @rule(online=st.booleans())
    def collector_says(self, online: bool) -> None:
        self.outbox.on_collector(online)
        assert online or self.outbox.room == 0

    @rule()
    def the_connection_breaks(self) -> None:
        self.outbox.disconnected()
        assert self.outbox.room == 0

    @rule(seconds=st.floats(0, 1000))
    def time_goes_by(self, seconds: float) -> None:
        self.now_s += seconds
        stalled = self.outbox.under_way and seconds >= 300
        repeated = self.outbox.on_time(self.now_s)
        if stalled:
            assert repeated
        if repeated:
            assert self.outbox.sent_up_to == self.acknowledged

    @invariant()
    def the_window_holds(self) -> None:
        outbox = self.outbox
        assert outbox.acknowledged == self.acknowledged
        assert outbox.under_way == outbox.sent_up_to - outbox.acknowledged
        assert outbox.under_way <= self.own
        assert outbox.room <= max(0, self.window - outbox.under_way)
        assert outbox.acknowledged <= outbox.sent_up_to <= max(self.newest, outbox.acknowledged)

    @invariant()
    def nothing_is_stuck(self) -> None:
        """Online, with an open window, either something may be sent or a stall will send it again."""
        outbox = self.outbox
        if outbox.collector_online and self.window and outbox.acknowledged < self.newest:
            assert outbox.room or outbox.under_way


OutboxAndCollector.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestOutbox = OutboxAndCollector.TestCase


def test_repeats_become_rarer_while_there_is_no_progress():
    outbox = Outbox(EPOCH, 0, 4, 10.0)
    outbox.on_collector(online=True)
    waits, now_s = [], 0.0
    for _ in range(7):
        outbox.sent(1, now_s)
        began_s = now_s
        while not outbox.on_time(now_s):
            now_s += 1
        waits.append(now_s - began_s)

    assert waits == [10, 20, 40, 80, 160, 300, 300]


def test_one_resend_answers_a_burst_of_complaints():
    outbox = Outbox(EPOCH, 0, 8, 10.0)
    outbox.on_collector(online=True)
    for seq in range(1, 9):
        outbox.sent(seq, 0.0)
    for _ in range(5):
        outbox.on_ack(Ack(epoch_text(EPOCH), 2, 8, resend=True), 1.0)
        while outbox.room:
            outbox.sent(outbox.sent_up_to + 1, 1.0)

    assert outbox.resends == 1
