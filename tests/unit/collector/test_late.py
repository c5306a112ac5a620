"""A gateway is judged again once nothing late has come of it for a while, or after it has waited for long."""

from __future__ import annotations

from collector.late import Late


def test_what_was_late_before_a_restart_is_due_at_once() -> None:
    late = Late({"gw-1": 7}, settles_s=30, longest_s=600)

    assert late.due(1000.0) == [("gw-1", 7)]
    assert late.wait_s(1000.0) == 0


def test_pieces_that_follow_each_other_are_judged_together_from_the_oldest_instant() -> None:
    late = Late({}, settles_s=30, longest_s=600)
    assert not late
    assert late.wait_s(0.0) is None
    for second, since in ((0.0, 50), (20.0, 40), (40.0, 60)):
        late.note({"gw-1": since}, second)
        assert late.due(second + 19.0) == []

    assert late.wait_s(59.0) == 11.0
    assert late.due(70.0) == [("gw-1", 40)]


def test_a_gateway_that_never_settles_is_judged_after_it_has_waited_for_long() -> None:
    late = Late({}, settles_s=30, longest_s=600)
    for second in range(0, 600, 10):
        late.note({"gw-1": second}, float(second))
        assert late.due(float(second)) == []

    assert late.due(600.0) == [("gw-1", 0)]


def test_gateways_settle_each_for_itself_and_begin_anew_once_they_were_judged() -> None:
    late = Late({}, settles_s=30, longest_s=600)
    late.note({"gw-1": 1}, 0.0)
    late.note({"gw-2": 2}, 20.0)
    assert late.due(30.0) == [("gw-1", 1)]
    late.done("gw-1")
    late.note({"gw-1": 9}, 610.0)

    assert late.due(620.0) == [("gw-2", 2)]
    assert late.due(640.0) == [("gw-2", 2), ("gw-1", 9)] or late.due(640.0) == [("gw-1", 9), ("gw-2", 2)]
    late.done("gw-1")
    late.done("gw-2")
    assert not late


def test_a_gateway_that_was_postponed_waits_whatever_comes_meanwhile() -> None:
    late = Late({"gw-1": 7}, settles_s=30, longest_s=600)
    late.postpone("gw-1", 60.0)
    late.note({"gw-1": 5}, 40.0)

    assert late.due(59.0) == []
    assert late.due(60.0) == [("gw-1", 5)]
