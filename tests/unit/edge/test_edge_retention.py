"""What a full spool gives up first."""

from __future__ import annotations

from edge_agent.spool.retention import Eviction, Held, evict


def items(*seqs: int) -> list[Held]:
    return [Held(seq, seq, 10, gap=False) for seq in seqs]


def test_acknowledged_items_go_first_and_silently():
    assert evict(items(1, 2, 3, 4), acknowledged=2, batch=3) == Eviction((1, 2))
    assert evict(items(1, 2, 3, 4), acknowledged=4, batch=3) == Eviction((1, 2, 3))


def test_unacknowledged_items_leave_one_gap_that_grows():
    first = evict(items(1, 2, 3, 4), acknowledged=0, batch=2)
    assert first == Eviction((1, 2), Held(1, 2, 20, gap=True))
    assert first is not None
    assert first.gap is not None

    second = evict([first.gap, *items(3, 4, 5)], acknowledged=0, batch=2)

    assert second == Eviction((2, 3, 4), Held(1, 4, 40, gap=True))


def test_a_gap_alone_cannot_be_given_up():
    assert evict([Held(1, 9, 90, gap=True)], acknowledged=0, batch=4) is None
    assert evict([], acknowledged=0, batch=4) is None


def test_an_acknowledged_gap_can():
    assert evict([Held(1, 9, 90, gap=True)], acknowledged=9, batch=4) == Eviction((9,))
