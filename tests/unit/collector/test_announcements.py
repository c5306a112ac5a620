"""The feeds over MQTT say every day, month and case when it is final, once, with the same id whatever happens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from collector.engine.engine import Outcome
from collector.engine.progress import Outgoing
from collector.feeds.announcements import Announcements
from collector.feeds.case import Verdict
from collector.feeds.pricing import DayDeterminants
from collector.feeds.statement import Statements, restated
from collector.registry.approvals import Approvals
from collector.store.store import EnergyDayRow
from collector.store.table import DECIMALS, ENERGY_DAY, Series, Table, scaled
from metering.round import Round
from metering.topics import Topics
from tests.support.engines import engine, judge, registry, tariffs
from tests.support.feeds import readings
from tests.support.findings import DAY_MS, START, event, life
from tests.support.rounds import MINUTE, T0

METERS = ("m-1", "m-2")
KNOWN = registry(METERS)


def announcing(verdicts: Sequence[Verdict] = ()) -> Announcements:
    return Announcements(Topics(), Statements(KNOWN, tariffs()), KNOWN, Approvals(KNOWN), lambda: verdicts)


def commits(rounds: Sequence[Round], size: int) -> Iterable[Outcome]:
    judging = engine(KNOWN)
    for first in range(0, len(rounds), size):
        yield judge(judging, rounds[first : first + size])


def said(outcomes: Iterable[Outcome], by: Announcements | None = None) -> list[Outgoing]:
    one = by or announcing()
    return [message for outcome in outcomes for message in one.outgoing(outcome.events, outcome.tables)]


def days_in(messages: Iterable[Outgoing]) -> list[dict[str, Any]]:
    bodies = [json.loads(one.body) for one in messages]
    return [body["data"] for body in bodies if body["type"] == "wattline.pricing.day.final"]


def rows(outcomes: Iterable[Outcome], measurement: str = ENERGY_DAY) -> dict[tuple[Series, int], dict[str, float]]:
    """What a store holds after these commits."""
    found: dict[tuple[Series, int], dict[str, float]] = {}
    for table in (table for outcome in outcomes for table in outcome.tables if table.measurement == measurement):
        for row, (slot, at) in enumerate(zip(table.rows.tolist(), table.at.tolist(), strict=True)):
            values = found.setdefault((table.series[slot], at), {})
            for column in table.columns:
                if column.valid is None or column.valid[row]:
                    values[column.name] = int(column.integers[row]) / 10**column.decimals
    return found


def test_every_day_is_said_once_as_it_stands_in_the_store() -> None:
    outcomes = list(commits(readings(3, METERS, 30), 7))

    told = days_in(said(outcomes))

    assert Counter((day["meter"], day["day"]) for day in told) == {
        (meter, f"2026-06-{18 + n}"): 1 for meter in METERS for n in range(3)
    }
    stored = rows(outcomes)
    statements = Statements(KNOWN, tariffs())
    for (series, at), values in stored.items():
        (day,) = statements.days([EnergyDayRow(series.gateway, series.meter, at, values)])
        if day.day.day <= 20:
            assert day.model_dump(mode="json") in told


def test_a_month_is_said_once_when_it_is_over() -> None:
    messages = [json.loads(one.body) for one in said(commits(readings(14, METERS, 60), 50))]

    months = [one["data"] for one in messages if one["type"] == "wattline.pricing.month.final"]

    assert [(month["meter"], month["month"], month["running"]) for month in months] == [
        (meter, "2026-06-01", False) for meter in METERS
    ]


def test_no_cut_into_commits_changes_a_message() -> None:
    rounds = readings(2, METERS, 30)

    whole = {one.id: one.body for one in said(commits(rounds, len(rounds)))}

    for size in (1, 13, 96):
        assert {one.id: one.body for one in said(commits(rounds, size)) if "/pricing/" in one.topic} == {
            name: body for name, body in whole.items() if name.startswith("pricing-")
        }


def test_topics_name_the_meter_and_no_account() -> None:
    known = registry(METERS, account="A-0001")
    one = Announcements(Topics("city"), Statements(known, tariffs()), known, Approvals(known))
    outcome = judge(engine(known), readings(3, METERS, 30))

    messages = one.outgoing(outcome.events, outcome.tables)

    assert {message.topic for message in messages} == {
        "city/v1/feed/pricing/m-1",
        "city/v1/feed/pricing/m-2",
        "city/v1/feed/inspection/m-1",
    }
    assert all("A-0001" in message.body for message in messages)


def test_a_revised_day_is_said_again_under_an_id_of_its_own() -> None:
    outcomes = list(commits(readings(3, METERS, 30), 48))
    one = announcing()
    first = said(outcomes, one)
    key = (Series("gw-1", "m-1"), T0)
    stored = rows(outcomes)
    changed = {name: stored[key][name] + 1.0 for name in ("peak", "total")}
    columns = tuple(scaled(name, DECIMALS, np.array([value])) for name, value in (stored[key] | changed).items())
    anew = Table(ENERGY_DAY, [key[0]], np.array([0], np.intp), np.array([key[1]]), columns)
    revision = restated([anew], stored, lambda _series, _at: True)
    judging = engine(KNOWN)
    judge(judging, readings(3, METERS, 30))
    running = judge(judging, readings(4, METERS, 30)[3 * 48 + 2 :][:3])

    again = days_in([*one.outgoing([], revision), *said([running], one)])

    assert [(day["meter"], day["day"], day["revision"]) for day in again] == [("m-1", "2026-06-18", 1)]
    before = next(day for day in days_in(first) if (day["meter"], day["day"]) == ("m-1", "2026-06-18"))
    assert again[0]["total_kwh"] == before["total_kwh"] + 1.0


def test_after_a_start_what_was_said_keeps_its_id_and_what_was_not_is_said() -> None:
    rounds = readings(3, METERS, 30)
    cut = 2 * 48 + 1  # the second day has just been closed, and nobody has heard of it
    outcomes = list(commits(rounds, 1))
    wanted = {one.id for one in said(outcomes) if "/pricing/" in one.topic}
    before = announcing()
    first = {one.id for one in said(outcomes[:cut], before)}
    again = announcing()
    stored = rows(outcomes[:cut])
    again.restore([], [EnergyDayRow(s.gateway, s.meter, at, values) for (s, at), values in stored.items()], [])

    second = {one.id for one in said(outcomes[cut:], again)}

    assert {name for name in first | second if name.startswith("pricing-")} == wanted
    assert wanted - first <= second


def test_a_case_is_told_when_it_opens_changes_and_ends() -> None:
    one = announcing()
    opened, closed = life(T0, T0 + 2 * 60 * MINUTE)
    other = event("energy_mismatch", part="", start=T0 + 60 * MINUTE, at=T0 + 3 * 60 * MINUTE)

    told = [one.outgoing([message], []) for message in (opened, other, closed)]

    bodies = [json.loads(message.body) for (message,) in told]
    assert [body["type"].rpartition(".")[2] for body in bodies] == ["opened", "updated", "updated"]
    assert len({body["data"]["id"] for body in bodies}) == 1
    assert len({body["id"] for body in bodies}) == 3
    assert one.outgoing([closed], []) == told[2]


def test_what_makes_no_case_is_not_told() -> None:
    assert announcing().outgoing([event("over_capacity", part="", severity="look")], []) == []


def test_a_case_that_stays_quiet_is_closed_by_the_days_of_its_meter() -> None:
    one = announcing()
    for message in life(T0 - 14 * DAY_MS, T0 - 13 * DAY_MS):
        one.outgoing([message], [])

    closed = [
        body
        for body in (json.loads(message.body) for message in said(commits(readings(4, METERS, 60), 20), one))
        if body["type"] == "wattline.case.closed"
    ]

    assert [(body["subject"], body["data"]["status"]) for body in closed] == [("m-1", "ended")]


def test_a_verdict_shows_in_what_is_told_later() -> None:
    opened, closed = life(T0, T0 + DAY_MS)
    case = json.loads(announcing().outgoing([opened], [])[0].body)["data"]
    given = {"case": case["id"], "meter": "m-1", "verdict": "dismissed", "by": "x", "at": START + timedelta(hours=2)}
    verdict = Verdict.model_validate(given | {"conditions": [opened.condition]})
    one = announcing([verdict])

    one.outgoing([opened], [])
    (told,) = one.outgoing([closed], [])

    body = json.loads(told.body)
    assert (body["type"], body["data"]["status"]) == ("wattline.case.closed", "dismissed")


def test_a_day_message_is_a_statement_of_the_pricing_feed() -> None:
    (first, *_) = days_in(said(commits(readings(2, METERS), 30)))

    assert DayDeterminants.model_validate(first).complete
