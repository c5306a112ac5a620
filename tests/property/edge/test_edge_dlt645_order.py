"""Whatever is late, on whatever line: no identifier's value ever becomes another's, and no meter's another's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.dlt645.answer_order import AnswerOrder, Asked, Verdict
from edge_agent.drivers.dlt645.frame import READ, READ_FOLLOW_ON, Frame, identifier_octets

METER, OTHER = "000000000001", "000000000002"
VOLTS, AMPERES = "0201FF00", "0202FF00"
BOUND_S = 1.0


def answer(asked: Asked) -> Frame:
    number = b"" if asked.number is None else bytes((asked.number,))
    return Frame(asked.address, asked.function | 0x80, identifier_octets(asked.identifier) + b"\x01\x02" + number)


def refusal(asked: Asked) -> Frame:
    return Frame(asked.address, asked.function | 0xC0, b"\x02")


QUESTIONS = st.builds(Asked, st.sampled_from((METER, OTHER)), st.just(READ), st.sampled_from((VOLTS, AMPERES)))


@given(
    questions=st.lists(QUESTIONS, min_size=1, max_size=12),
    late=st.lists(st.integers(0, 3), min_size=12, max_size=12),
)
@settings(deadline=None)
def test_only_the_answer_to_the_open_question_is_ever_taken(questions: list[Asked], late: list[int]):
    """A meter answers in order, each answer some questions late; the line asks again at once."""
    order, now_s = AnswerOrder(BOUND_S), 0.0
    coming: list[tuple[int, Asked]] = []
    for i, asked in enumerate(questions):
        now_s = max(now_s, order.free_at_s(asked))
        order.ask(asked)
        coming.append((i + late[i], asked))
        arrived = [one for due, one in coming if due <= i]
        coming = [(due, one) for due, one in coming if due > i]
        verdicts = [(one, order.heard(answer(one), now_s)) for one in arrived]
        taken = [one for one, verdict in verdicts if verdict is Verdict.ANSWER]
        assert taken in ([], [asked])
        if not taken:
            order.given_up(now_s)
        now_s += 0.1


def test_an_answer_of_another_identifier_meter_or_number_is_never_taken():
    order = AnswerOrder(BOUND_S)
    order.ask(Asked(METER, READ_FOLLOW_ON, VOLTS, 2))

    strangers = [
        Asked(METER, READ_FOLLOW_ON, VOLTS, 1),
        Asked(METER, READ_FOLLOW_ON, AMPERES, 2),
        Asked(OTHER, READ_FOLLOW_ON, VOLTS, 2),
        Asked(METER, READ, VOLTS),
    ]

    assert [order.heard(answer(one), 0.0) for one in strangers] == [Verdict.FOREIGN] * 4
    assert order.heard(Frame(METER, 0x91, b"\x00"), 0.0) is Verdict.FOREIGN
    assert order.heard(answer(Asked(METER, READ_FOLLOW_ON, VOLTS, 2)), 0.0) is Verdict.ANSWER


def test_the_same_question_waits_until_its_debt_is_old_and_another_does_not():
    order = AnswerOrder(BOUND_S)
    asked = Asked(METER, READ, VOLTS)
    order.ask(asked)
    order.given_up(5.0)

    assert order.free_at_s(asked) == 6.0
    assert order.free_at_s(Asked(METER, READ, AMPERES)) == 0.0
    assert order.free_at_s(Asked(OTHER, READ, VOLTS)) == 0.0


def test_any_later_answer_of_the_meter_settles_its_debts():
    order = AnswerOrder(BOUND_S)
    order.ask(Asked(METER, READ, VOLTS))
    order.given_up(5.0)
    order.ask(Asked(METER, READ, AMPERES))

    assert order.heard(answer(Asked(METER, READ, AMPERES)), 5.1) is Verdict.ANSWER
    assert order.free_at_s(Asked(METER, READ, VOLTS)) == 0.0


def test_a_late_answer_is_told_from_a_strangers():
    order = AnswerOrder(BOUND_S)
    order.ask(Asked(METER, READ, VOLTS))
    order.given_up(5.0)
    order.ask(Asked(OTHER, READ, VOLTS))

    assert order.heard(answer(Asked(METER, READ, VOLTS)), 5.1) is Verdict.LATE
    assert order.heard(answer(Asked(METER, READ, VOLTS)), 5.1) is Verdict.FOREIGN


def test_a_refusal_beside_a_young_debt_is_in_doubt_and_beside_an_old_one_is_not():
    asked = Asked(METER, READ, AMPERES)
    young, old = AnswerOrder(BOUND_S), AnswerOrder(BOUND_S)
    for order in (young, old):
        order.ask(Asked(METER, READ, VOLTS))
        order.given_up(5.0)
        order.ask(asked)

    assert young.heard(refusal(asked), 5.9) is Verdict.IN_DOUBT
    assert young.doubted
    assert young.heard(answer(asked), 5.95) is Verdict.ANSWER
    assert old.heard(refusal(asked), 6.0) is Verdict.REFUSAL
    assert not old.doubted


def test_a_refusal_of_another_meter_is_not_ours():
    order = AnswerOrder(BOUND_S)
    order.ask(Asked(METER, READ, VOLTS))

    assert order.heard(refusal(Asked(OTHER, READ, VOLTS)), 0.0) is Verdict.FOREIGN
    assert order.heard(refusal(Asked(METER, READ_FOLLOW_ON, VOLTS)), 0.0) is Verdict.FOREIGN


def test_our_own_question_coming_back_is_an_echo():
    order = AnswerOrder(BOUND_S)
    order.ask(Asked(METER, READ, VOLTS))

    assert order.heard(Frame(METER, READ, identifier_octets(VOLTS)), 0.0) is Verdict.ECHO
