"""Pages hold every item once; a chain breaks at what was touched; a case never states energy twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.events.chain import GENESIS, Link, body_digest, link_after, walk
from collector.feeds.http.page import decode_cursor, encode_cursor, page_of
from collector.feeds.http.problem import Refusal
from collector.feeds.inspection import cases_of
from tests.support.findings import HOUR_MS, START, event
from tests.support.rounds import T0

KEYS = st.lists(st.tuples(st.integers(0, 5), st.text(max_size=3)), unique=True, max_size=30)


@given(KEYS, st.integers(1, 7))
def test_pages_hold_every_item_once_in_order(items: list[tuple[int, str]], limit: int) -> None:
    ordered = sorted(items)
    found: list[tuple[int, str]] = []
    cursor = None
    while True:
        after = decode_cursor(cursor, "filters", (int, str))
        rest = [one for one in ordered if after is None or list(one) > after]
        page = page_of(rest, limit, list, "filters")
        found += page.items
        if page.next is None:
            break
        cursor = page.next

    assert found == ordered


@given(st.text(max_size=60))
def test_a_cursor_that_nobody_gave_is_refused_and_never_fails(text: str) -> None:
    if text != encode_cursor("filters", [1, "a"]):
        with pytest.raises(Refusal):
            decode_cursor(text, "filters", (int, str))


def chain(bodies: Sequence[str]) -> list[Link]:
    links: list[Link] = []
    for n, body in enumerate(bodies, 1):
        links.append(link_after(links[-1].hash if links else GENESIS, n, f"e{n}", body_digest(body)))
    return links


@given(st.lists(st.text(max_size=5), min_size=1, max_size=12), st.data())
def test_a_chain_breaks_at_the_link_that_was_touched(bodies: list[str], data: st.DataObject) -> None:
    links = chain(bodies)
    stored = {f"e{n}": body for n, body in enumerate(bodies, 1)}
    assert walk(links, stored).intact

    at = data.draw(st.integers(0, len(links) - 1))
    field = data.draw(st.sampled_from(["id", "digest", "previous", "hash"]))
    touched = [*links[:at], replace(links[at], **{field: "x"}), *links[at + 1 :]]

    assert walk(touched, stored).broken_at == at + 1


CONDITIONS = st.lists(
    st.tuples(
        st.sampled_from(["current_loss", "current_shunt", "energy_mismatch", "consumption_suspect"]),
        st.sampled_from(["L1", "L2"]),
        st.integers(0, 200),  # start, h
        st.integers(1, 40),  # length, h
        st.floats(0, 50),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one[:3],
)


@given(CONDITIONS)
def test_a_case_states_at_least_its_largest_condition_and_never_more_than_their_sum(
    about: list[tuple[str, str, int, int, float]],
) -> None:
    events = []
    for kind, part, start, length, kwh in about:
        begin, end = T0 + start * HOUR_MS, T0 + (start + length) * HOUR_MS
        of = {"part": part, "start": begin, "kwh": (kwh / 2, kwh, kwh * 2)}
        events.append(event(kind, **of))  # type: ignore[arg-type]
        events.append(event(kind, "closed", at=end, ended=end, **of))  # type: ignore[arg-type]

    (case,) = cases_of([one.cloudevent() for one in events], [], START + timedelta(days=9))

    stakes = [kwh for *_, kwh in about]
    assert case.kwh_at_stake is not None
    assert max(stakes) - 1e-5 <= case.kwh_at_stake.best <= sum(stakes) + 1e-5
    assert case.kwh_at_stake.low <= case.kwh_at_stake.best <= case.kwh_at_stake.high
    assert case.score <= 1.0
