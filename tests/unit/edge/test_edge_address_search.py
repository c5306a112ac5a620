"""Meters without readable plates are found by ever narrower questions, and the search always ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.commissioning.address_search import MOST_QUESTIONS, AddressSearch, Ending
from edge_agent.commissioning.dlt645_scan import Ear, ear
from edge_agent.drivers.dlt645.frame import PREAMBLE, Frame, address_question, read_question

ADDRESSES = st.from_regex(r"[0-9]{12}", fullmatch=True)


def searched(there: set[str], *, overlap: bool = True) -> AddressSearch:
    """A search on a line where several answers destroy each other, or come one after the other."""
    search = AddressSearch()
    while (question := search.question) is not None:
        answer = {one for one in there if one.endswith(question.lstrip("A"))}
        whole = answer if not overlap or len(answer) == 1 else set()
        search.heard(sorted(whole), pieces=bool(answer) and not whole)
    return search


@given(st.sets(ADDRESSES, max_size=6), st.booleans())
def test_every_meter_is_found(there: set[str], overlap: bool):
    search = searched(there, overlap=overlap)

    assert set(search.addresses) == there
    assert search.ending is None


def test_one_meter_costs_one_question():
    assert searched({"000012345678"}).asked == 1


def test_neighbours_of_one_batch_are_told_apart_by_their_last_octet():
    there = {f"0000123456{n:02d}" for n in range(32)}
    search = searched(there)

    assert set(search.addresses) == there
    assert search.asked == 101


def test_two_meters_with_one_address_are_said():
    search = AddressSearch()
    while (question := search.question) is not None:
        search.heard([], pieces="000012345678".endswith(question.lstrip("A")))

    assert (search.addresses, search.clashes) == ([], ["000012345678"])


def test_a_line_of_nothing_but_pieces_is_noise():
    search = AddressSearch()
    while search.question is not None:
        search.heard([], pieces=True)

    assert search.ending is Ending.NOISE
    assert search.asked < 20


@given(st.lists(st.tuples(st.lists(ADDRESSES, max_size=2), st.booleans()), min_size=1, max_size=40))
def test_whatever_a_line_says_the_search_ends(said):
    search = AddressSearch()
    while search.question is not None:
        addresses, pieces = said[search.asked % len(said)]
        search.heard(addresses, pieces=pieces)

    assert search.asked <= MOST_QUESTIONS


def test_our_own_echo_is_no_answer():
    octets = PREAMBLE + address_question().octets

    assert ear(octets) == Ear((), pieces=False)


def test_answers_one_after_the_other_are_heard_both():
    answers = [Frame(one, 0x91, bytes.fromhex("00000100") + bytes(4)) for one in ("000000000001", "000000000002")]
    octets = PREAMBLE + b"".join(answer.octets + PREAMBLE for answer in answers)

    assert ear(read_question("A" * 12, "00010000").octets + octets) == Ear(
        ("000000000001", "000000000002"), pieces=False
    )


def test_the_address_inside_an_answer_counts():
    answer = Frame("A" * 12, 0x93, bytes.fromhex("785634120000"))

    assert ear(answer.octets).addresses == ("000012345678",)
