"""Whatever the network does, every round is admitted once, in order; every loss is counted."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.ingest.sequence import Sequence, Verdict
from metering.message import Envelope
from metering.round import Gap

GATEWAY = "gw-1"


class GatewayAndCollector(RuleBasedStateMachine):
    """A spool that appends, evicts and trims; a network that drops, repeats and reorders; a collector that crashes.

    ``items`` is the spool: (first, last) of each message it holds, a round or a gap.
    """

    @initialize(epoch=st.integers(1, 2**64 - 1))
    def begin(self, epoch: int) -> None:
        self.epoch = epoch
        self.items: list[tuple[int, int]] = []
        self.produced = 0
        self.evicted: set[int] = set()
        self.acknowledged = 0
        self.network: list[tuple[Envelope, int, bool]] = []  # envelope, first, is a gap
        self.sequence = Sequence()
        self.committed = Sequence()
        self.admitted: list[int] = []
        self.declared: set[int] = set()

    @rule(n=st.integers(1, 5))
    def append(self, n: int) -> None:
        for _ in range(n):
            self.produced += 1
            self.items.append((self.produced, self.produced))

    @precondition(lambda self: any(last > self.acknowledged for _, last in self.items))
    @rule(n=st.integers(1, 3))
    def evict(self, n: int) -> None:
        """The spool is full: what is kept although acknowledged goes first, then the oldest become one gap."""
        self.items = [item for item in self.items if item[1] > self.acknowledged]
        going, self.items = self.items[:n], self.items[n:]
        self.evicted |= {seq for first, last in going for seq in range(first, last + 1)}
        self.items.insert(0, (going[0][0], going[-1][1]))

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        first, last = data.draw(st.sampled_from(self.items))
        gap = first != last or first in self.evicted
        self.network.append((Envelope(self.epoch, last, last - self.items[0][0]), first, gap))

    @precondition(lambda self: self.network)
    @rule(data=st.data(), keep=st.booleans())
    def deliver(self, data: st.DataObject, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.network) - 1))
        envelope, first, gap = self.network[index] if keep else self.network.pop(index)
        before = self.sequence.mark(GATEWAY, self.epoch)
        mark_before = before.seq if before else envelope.oldest - 1
        verdict = self.sequence.judge(
            GATEWAY,
            envelope,
            Gap(GATEWAY, first, envelope.seq, 10 * (envelope.seq - first + 1), "evicted") if gap else None,
        )
        if verdict is Verdict.ADMIT:
            if gap:
                self.declared |= set(range(mark_before + 1, envelope.seq + 1))
            else:
                self.admitted.append(envelope.seq)

    @precondition(lambda self: self.network)
    @rule()
    def lose_everything_under_way(self) -> None:
        self.network.clear()

    @rule()
    def commit(self) -> None:
        mark = self.sequence.mark(GATEWAY, self.epoch)
        if mark is not None:
            self.acknowledged = max(self.acknowledged, mark.seq)

    @precondition(lambda self: self.items)
    @rule()
    def trim(self) -> None:
        self.items = [item for item in self.items if item[1] > self.acknowledged]

    @invariant()
    def rounds_are_admitted_once_and_in_order(self) -> None:
        assert self.admitted == sorted(set(self.admitted))

    @invariant()
    def nothing_below_the_mark_is_missing(self) -> None:
        mark = self.sequence.mark(GATEWAY, self.epoch)
        if mark is not None:
            assert set(self.admitted) | self.declared == set(range(1, mark.seq + 1))
            assert mark.rounds == len(self.admitted)
            assert mark.rounds_lost == len(self.declared)
            assert mark.rows_lost == 10 * len(self.declared)
            assert mark.skipped == 0

    @invariant()
    def what_is_declared_lost_was_given_up_by_the_spool(self) -> None:
        assert self.declared <= self.evicted

    def teardown(self) -> None:
        """A quiet network in the end delivers everything that is left."""
        for first, last in getattr(self, "items", []):
            envelope = Envelope(self.epoch, last, last - self.items[0][0])
            gap = first != last or first in self.evicted
            before = self.sequence.mark(GATEWAY, self.epoch)
            mark_before = before.seq if before else envelope.oldest - 1
            verdict = self.sequence.judge(
                GATEWAY,
                envelope,
                Gap(GATEWAY, first, envelope.seq, 10 * (envelope.seq - first + 1), "evicted") if gap else None,
            )
            assert verdict is not Verdict.HOLE
            if verdict is Verdict.ADMIT:
                if gap:
                    self.declared |= set(range(mark_before + 1, last + 1))
                else:
                    self.admitted.append(last)
        if getattr(self, "items", []):
            assert set(self.admitted) | self.declared == set(range(1, self.produced + 1))


GatewayAndCollector.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestGatewayAndCollector = GatewayAndCollector.TestCase


def test_a_collector_that_lost_its_memory_starts_at_the_oldest_the_spool_holds() -> None:
    sequence = Sequence()

    assert sequence.judge(GATEWAY, Envelope(7, 510, 9)) is Verdict.HOLE
    assert sequence.judge(GATEWAY, Envelope(7, 501, 0)) is Verdict.ADMIT
    assert sequence.judge(GATEWAY, Envelope(7, 502, 1)) is Verdict.ADMIT


def test_numbers_the_spool_no_longer_holds_are_passed_over_and_counted() -> None:
    sequence = Sequence()
    for seq in (1, 2, 3):
        sequence.judge(GATEWAY, Envelope(7, seq, seq - 1))

    assert sequence.judge(GATEWAY, Envelope(7, 10, 2)) is Verdict.HOLE
    assert sequence.judge(GATEWAY, Envelope(7, 8, 0)) is Verdict.ADMIT

    mark = sequence.mark(GATEWAY, 7)
    assert mark is not None
    assert (mark.seq, mark.skipped) == (8, 4)


def test_another_spool_file_is_counted_by_itself() -> None:
    sequence = Sequence()
    sequence.judge(GATEWAY, Envelope(7, 1, 0))

    assert sequence.judge(GATEWAY, Envelope(8, 1, 0)) is Verdict.ADMIT
    assert sequence.judge(GATEWAY, Envelope(7, 1, 0)) is Verdict.DUPLICATE
