"""A line in virtual time: units that answer in order, late, never, or with an exception, against the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.modbus.stream_order import Fence, Question, StreamOrder, Verdict, Wait

TIMEOUT_S = 1.0
BOUND_S = 3.0


@dataclass(frozen=True)
class Fate:
    """What becomes of one question."""

    delay_s: float | None  # None: no answer
    refused: bool = False


@dataclass
class VirtualLine:
    """The link's loop without a line: asks, listens until the time-out, gives up."""

    fates: Callable[[], Fate]
    order: StreamOrder = field(default_factory=lambda: StreamOrder(BOUND_S))
    now_s: float = 0.0
    asked: int = 0
    on_the_way: list[tuple[float, int, Question, bool]] = field(default_factory=list)  # arrival, serial number
    last_s: dict[int, float] = field(default_factory=dict)  # by unit: it answers in order

    def read(self, question: Question) -> str:
        while True:
            match self.order.before(question, self.now_s):
                case None:
                    return self._ask(question, fence=False)
                case Wait(until_s):
                    assert self.now_s < until_s <= self.now_s + TIMEOUT_S + BOUND_S
                    self.now_s = until_s
                case Fence(count):
                    assert count < question.count
                    if self._ask(Question(question.unit, question.function, count), fence=True) == "failed":
                        return "failed"

    def _ask(self, question: Question, *, fence: bool) -> str:
        self.on_the_way = [one for one in self.on_the_way if one[0] > self.now_s]  # unasked: thrown away
        self.asked += 1
        self.order.asked(question)
        fate = self.fates()
        if fate.delay_s is not None:
            at = max(self.now_s + fate.delay_s, self.last_s.get(question.unit, 0.0))
            self.last_s[question.unit] = at
            self.on_the_way.append((at, self.asked, question, fate.refused))
        until_s = self.now_s + TIMEOUT_S
        for at, number, of, refused in sorted(self.on_the_way, key=lambda one: one[:2]):
            if at > until_s:
                break
            verdict = self.order.heard(of.unit, of.function, None if refused else of.count, at)
            if verdict in (Verdict.ANSWER, Verdict.EXCEPTION):
                assert number == self.asked, f"{verdict} of question {number} taken for {self.asked}"
                self.now_s = at
                return "answered"
            if verdict is Verdict.MISFIT:
                until_s = at
        self.now_s = until_s
        self.order.given_up(until_s, fence=fence)
        return "failed"


def questions(counts: list[int]) -> st.SearchStrategy[Question]:
    return st.builds(Question, st.integers(1, 2), st.sampled_from([3, 4]), st.sampled_from(counts))


PAUSES = st.sampled_from([0.0, 0.0, 0.0, 0.3, 2.0, 10.0])


@given(st.data())
def test_an_answer_within_the_bound_is_never_taken_for_anothers(data: st.DataObject):
    delays = st.one_of(st.none(), st.just(0.01), st.floats(0.01, TIMEOUT_S + BOUND_S - 0.01))
    fates = st.builds(Fate, delays, st.booleans())
    line = VirtualLine(lambda: data.draw(fates))

    for question, pause_s in data.draw(st.lists(st.tuples(questions([1, 2, 4, 10]), PAUSES), max_size=25)):
        line.read(question)
        line.now_s += pause_s


@given(st.data())
def test_an_answered_fence_needs_no_bound_at_all(data: st.DataObject):
    fates = st.builds(Fate, st.one_of(st.just(0.01), st.floats(0.01, 500.0)))
    line = VirtualLine(lambda: data.draw(fates))

    for question, pause_s in data.draw(st.lists(st.tuples(questions([10, 12, 80]), PAUSES), max_size=6)):
        line.read(question)
        line.now_s += pause_s


@given(st.lists(st.tuples(questions([1, 2, 10]), PAUSES), min_size=1, max_size=15))
def test_a_line_that_answers_in_time_is_asked_exactly_what_is_wanted(wanted: list[tuple[Question, float]]):
    line = VirtualLine(lambda: Fate(0.01))

    assert [line.read(question) for question, _ in wanted] == ["answered"] * len(wanted)
    assert line.asked == len(wanted)


@given(st.lists(questions([2, 10]), min_size=1, max_size=12), questions([1, 2, 10]))
def test_after_any_silence_a_meter_that_answers_again_is_read_again(silent: list[Question], question: Question):
    fates = [Fate(None)] * 100
    line = VirtualLine(lambda: fates.pop() if fates else Fate(0.01))
    for one in silent:
        line.read(one)
    fates.clear()

    assert line.read(question) == "answered"
    asked = line.asked
    assert line.read(question) == "answered"
    assert line.asked == asked + 1
