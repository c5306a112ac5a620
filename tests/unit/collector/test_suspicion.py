"""A suspicion opens, stays, closes after quiet days, and is silenced by what was announced."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.checks.check import Finding
from collector.days import suspicion
from collector.days.closing import Verdict
from collector.days.day import Standing
from collector.days.feeder_balances import Balances, _Doubts
from collector.days.suspicion import SuspicionSettings
from tests.support.feeders import Judge, Shops, registry_of, site_day, site_day_of

HONEST = 14
SHOPS = Shops(11, meters=12)
LIMIT = SuspicionSettings().limit


def findings(verdict: Verdict, kind: str = suspicion.KIND) -> dict[tuple[str, str], Finding]:
    return {(meter, one.lifecycle): one for meter, one in verdict.findings if one.kind == kind}


def taught(**more: object) -> Judge:
    judge = Judge(registry_of(SHOPS.names, **more))
    for number in range(HONEST):
        assert not findings(judge.close(site_day_of(SHOPS, number)))
    return judge


@pytest.fixture(scope="module")
def story() -> list[Verdict]:
    """Two honest weeks, five days of a third told, four honest days."""
    judge = taught()
    attacked = {day: {4: "h1"} for day in range(HONEST, HONEST + 5)}
    return [judge.close(site_day_of(SHOPS, day, attacked.get(day))) for day in range(HONEST, HONEST + 9)]


def test_it_opens_about_the_meter_and_nobody_else(story: list[Verdict]) -> None:
    opened = [key for verdict in story for key in findings(verdict) if key[1] == "opened"]

    assert opened == [("m-04", "opened")]


def test_it_closes_after_two_quiet_days_and_ends_with_the_last_day_that_held(story: list[Verdict]) -> None:
    held = [v.closed.score[v.closed.meters.index("m-04")] >= LIMIT for v in story]
    quiet = [v.closed.score[v.closed.meters.index("m-04")] < SuspicionSettings().clear for v in story]
    number, closing = next(
        (n, found) for n, v in enumerate(story) if (found := findings(v).get(("m-04", "closed"))) is not None
    )

    assert quiet[number - 1 : number + 1] == [True, True]
    last = max(n for n in range(number) if held[n])
    assert closing.ended_at == site_day_of(SHOPS, HONEST + last).ends_at
    assert closing.at == site_day_of(SHOPS, HONEST + number).ends_at
    assert "m-04" not in story[number].closed.standing


def test_the_kwh_at_stake_add_up(story: list[Verdict]) -> None:
    closing = next(found for v in story if (found := findings(v).get(("m-04", "closed"))) is not None)
    missing = sum(
        float(SHOPS.load(day)[4].sum() - SHOPS.told(day, SHOPS.load(day), {4: "h1"})[4].sum())
        for day in range(HONEST, HONEST + 5)
    )

    assert closing.energy is not None
    assert closing.energy.best == pytest.approx(missing, rel=0.3)
    assert closing.energy.low <= closing.energy.best <= closing.energy.high


def test_days_that_were_suspected_teach_nothing(story: list[Verdict]) -> None:
    row = story[0].closed.meters.index("m-04")

    assert not any(v.closed.learns[row] for v in story[1:5])


def test_what_is_odd_and_has_no_balance_never_reaches_the_limit() -> None:
    judge = Judge(registry_of(SHOPS.names, feeder=False))
    for number in range(HONEST):
        judge.close(site_day(number, SHOPS.names, SHOPS.load(number)))
    for number in range(HONEST, HONEST + 5):
        told = SHOPS.told(number, SHOPS.load(number), {4: "h5"})
        verdict = judge.close(site_day(number, SHOPS.names, 0.2 * told))
        assert not findings(verdict)
        assert max(verdict.scores.values()) <= 0.4
    assert verdict.scores["m-04"] > 0.3


NUMBERS = st.floats(0, 1)


@given(NUMBERS)
def test_no_oddness_alone_reaches_the_limit(oddness: float) -> None:
    nobody = Balances(np.full(1, np.nan), np.zeros(1, np.bool_))
    weight = np.array([suspicion.weight(balanced=False, closes=False, touched=False)])
    score = suspicion.fused(nobody, np.array([oddness]), weight, np.zeros(1))

    assert score[0] <= 0.4 + 1e-12 < LIMIT


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.booleans())
def test_a_score_lies_between_its_greatest_part_and_one(
    balance: float, oddness: float, remembered: float, closes: bool, touched: bool
) -> None:
    weight = suspicion.weight(balanced=True, closes=closes, touched=touched)
    balances = Balances(np.array([balance]), np.array([closes]))
    score = suspicion.fused(balances, np.array([oddness]), np.array([weight]), np.array([remembered]))[0]

    assert max(balance, weight * oddness) - 1e-12 <= score <= 1


@given(st.lists(st.tuples(NUMBERS, st.floats(-5, 50)), min_size=1, max_size=12))
def test_kwh_are_the_sum_of_the_days_and_the_end_is_that_of_the_last_day_that_held(
    days: list[tuple[float, float]],
) -> None:
    limits = SuspicionSettings()
    empty = np.zeros((1, 96))
    standing: Standing | None = None
    kwh, until, quiet = 0.0, 0, 0
    for number, (score, missing) in enumerate([(1.0, 7.0), *days]):
        today = site_day(number, ["m"], empty)
        standing, lifecycle = suspicion.advance(standing, score, limits, today, (0.5 * missing, missing, 2 * missing))
        kwh += missing
        until = today.ends_at if score >= limits.limit else until
        quiet = quiet + 1 if score < limits.clear else 0
        assert standing.kwh == pytest.approx(kwh)
        assert standing.until == until
        assert (lifecycle == "closed") == (quiet >= limits.quiet_days)
        if lifecycle == "closed":
            return


@pytest.mark.parametrize(
    "more",
    [
        {"closures": [{"meter": "m-04", "from": "2026-03-16", "to": "2026-03-16"}]},
        {"site": {"festivals": ["2026-03-16"]}},
        {"site": {"holidays": ["2026-03-16"]}},
    ],
    ids=["closure", "festival", "holiday"],
)
def test_what_was_announced_is_no_sign(more: Mapping[str, object]) -> None:
    scores = []
    for known in ({}, more):
        judge = Judge(registry_of(SHOPS.names, feeder=False, **known))
        for number in range(HONEST):
            judge.close(site_day(number, SHOPS.names, SHOPS.load(number)))
        load = SHOPS.load(HONEST)
        load[4] *= 0.05
        verdict = judge.close(site_day(HONEST, SHOPS.names, load))
        scores.append(verdict.scores.get("m-04", 0.0))
    assert scores[0] > 0.15
    assert scores[1] == 0.0


def test_an_opened_cover_lifts_the_weight_for_two_weeks() -> None:
    scores = {}
    for after in (1, 13, 15):
        judge = Judge(registry_of(SHOPS.names, feeder=False))
        for number in range(21):
            day = site_day(number, SHOPS.names, SHOPS.load(number))
            judge.close(day, {"m-04": day.starts_at + 3_600_000} if number == 21 - after else {})
        load = SHOPS.load(21)
        load[4] *= 0.05
        scores[after] = judge.close(site_day(21, SHOPS.names, load)).scores["m-04"]

    assert scores[1] == scores[13] > scores[15] * 1.5
    assert scores[15] <= 0.4


@pytest.mark.parametrize(
    ("changed", "generates", "shape", "believed"),
    [
        (0.0, False, "share", 0.3),
        (-1.0, False, "share", 1.0),
        (np.nan, False, "share", 1.0),
        (0.0, False, "noise", 1.0),
        (-1.0, True, "share", 0.3),
    ],
    ids=["unchanged", "dropped", "unknown", "another shape", "generates"],
)
def test_an_unchanged_past_speaks_against_a_share(changed: float, generates: bool, shape: str, believed: float) -> None:
    """Who tells a third only would have dropped to a third of what it told before."""
    assert _Doubts(changed, generates).believed(shape, weight=2.0) == believed
