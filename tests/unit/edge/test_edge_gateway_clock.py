"""Whether a gateway knows the time, over reboots: a time that had been before is told, and nothing else is."""

from __future__ import annotations

from edge_agent.polling.gateway_clock import KNOWN_MARK, GatewayClock
from metering.clock import Clock
from metering.round import Quality

T0 = 1_772_400_000_000
MINUTE = 60_000
GOOD = Quality(0)
UNSURE = Quality.CLOCK_UNSYNCHRONISED
WRONG = UNSURE | Quality.CLOCK_BEHIND


class Shown(Clock):
    """What the system's clock shows, and whether something keeps it right."""

    def __init__(self, at: int, *, synchronised: bool | None) -> None:
        self.at = at
        self.synchronised = synchronised

    def now_ms(self) -> int:
        return self.at

    async def sleep_until(self, at_ms: int) -> None:
        """Nobody waits here."""
        raise NotImplementedError(at_ms)


class Gateway:
    """One gateway, which may boot again and again."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}
        self.kept_until: int | None = None

    def boot(self, shown: Shown) -> None:
        self.shown = shown
        self.clock = GatewayClock(shown, lambda: shown.synchronised, self.marks, self.kept_until)

    def round(self, at: int, *, synchronised: bool | None) -> Quality:
        self.shown.at, self.shown.synchronised = at, synchronised
        said = self.clock.look()
        due = self.clock.marks_due()
        self.marks |= due
        self.clock.kept(due)
        self.kept_until = max(self.kept_until or 0, at)
        return said


def ran_until(at: int) -> Gateway:
    gateway = Gateway()
    gateway.boot(Shown(at - MINUTE, synchronised=True))
    assert [gateway.round(one, synchronised=True) for one in (at - MINUTE, at)] == [GOOD, GOOD]
    return gateway


def test_a_boot_with_a_time_of_before_is_told_until_the_clock_is_set_or_has_caught_up():
    gateway = ran_until(T0)
    gateway.boot(Shown(T0 - 40 * MINUTE, synchronised=False))
    times = (T0 - 40 * MINUTE, T0 - 1, T0, T0 + MINUTE)

    assert [gateway.round(at, synchronised=False) for at in times] == [WRONG, WRONG, UNSURE, UNSURE]
    assert gateway.round(T0 + 600 * MINUTE, synchronised=True) == GOOD


def test_a_second_boot_before_the_clock_was_set_is_told_too():
    gateway = ran_until(T0)
    for _ in range(3):
        gateway.boot(Shown(T0 - 40 * MINUTE, synchronised=False))
        assert gateway.round(T0 - 39 * MINUTE, synchronised=False) == WRONG


def test_a_clock_that_nothing_ever_kept_right_is_not_called_behind():
    gateway = Gateway()
    gateway.boot(Shown(T0, synchronised=False))
    before = gateway.round(T0, synchronised=False)
    gateway.boot(Shown(T0, synchronised=False))

    assert (before, gateway.round(T0 - 400 * MINUTE, synchronised=False)) == (UNSURE, UNSURE)


def test_a_clock_that_is_set_back_by_what_keeps_it_right_is_right():
    gateway = ran_until(T0)

    assert gateway.round(T0 - 60 * MINUTE, synchronised=True) == GOOD
    assert gateway.round(T0 - 59 * MINUTE, synchronised=False) == UNSURE


def test_where_nobody_can_tell_the_clock_is_taken_to_be_right():
    gateway = Gateway()
    gateway.boot(Shown(T0, synchronised=None))

    assert gateway.round(T0, synchronised=None) == GOOD
    assert gateway.round(T0 - MINUTE, synchronised=None) == GOOD


def test_the_mark_is_written_where_it_changes_only_and_again_if_the_disk_did_not_take_it():
    shown = Shown(T0, synchronised=True)
    clock = GatewayClock(shown, lambda: shown.synchronised, {}, None)
    clock.look()
    first, second = clock.marks_due(), clock.marks_due()
    clock.kept(first)
    clock.look()

    assert first == second == {KNOWN_MARK: "now"}
    assert clock.marks_due() == {}


def test_a_mark_that_says_nothing_knows_nothing():
    shown = Shown(T0, synchronised=False)

    assert GatewayClock(shown, lambda: shown.synchronised, {KNOWN_MARK: "soon"}, T0 + MINUTE).look() == UNSURE
