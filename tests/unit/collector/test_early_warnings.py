"""Early warnings of capacity: when one is raised, when everything stays silent, and what became of it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from collector.checks.check import Finding
from collector.engine.fleet import Floats
from collector.events.evidence import event_of
from collector.forecast.festival_days import decode_festival, encode_festival
from collector.forecast.festival_forecast import due
from tests.support.closed_days import MONDAY, Site, shop

TRADERS = [f"m-{n}" for n in range(1, 8)]
LAST_YEAR = date(2025, 6, 18)
THIS_YEAR = date(2026, 6, 18)
FESTIVALS = {"festivals": [LAST_YEAR, date(2025, 11, 11), THIS_YEAR]}


def warnings(site: Site, start: date, days: int, factor: float, **close: Any) -> list[tuple[date, str, Finding]]:
    """The findings of some days on which every meter counts ``factor`` times the usual."""
    found = []
    for n in range(days):
        day = start + timedelta(days=n)
        for meter, finding in site.close(day, factor * site.usual(day), **close).findings:
            found.append((day, meter, finding))
    return found


def kinds(found: list[tuple[date, str, Finding]]) -> list[str]:
    return [f"{day:%m-%d} {meter} {finding.kind} {finding.lifecycle}" for day, meter, finding in found]


def sentence(site: Site, finding: Finding) -> dict[str, str]:
    said: dict[str, str] = event_of(finding, site.fleet, site.slots[0], "test").evidence["sentence"]
    for text in said.values():
        assert "nan" not in text
        assert "theft" not in text.lower()
        assert "窃" not in text
    return said


def shop_over(limit: float) -> Site:
    """A shop whose ordinary days draw up to about 6 kW against this contract, kVA."""
    site = Site(meter={"contract_kva": limit})
    site.live(30)
    return site


def test_who_drew_more_than_contracted_today_is_warned_of_tomorrow_and_told_what_it_came_to() -> None:
    site, today = shop_over(8.0), MONDAY + timedelta(days=30)

    found = warnings(site, today, 2, 2.0)
    found += warnings(site, today + timedelta(days=2), 2, 1.0)

    assert kinds(found) == [
        "04-01 m-1 capacity_forecast opened",
        "04-02 m-1 capacity_forecast closed",
        "04-02 m-1 capacity_forecast opened",
        "04-03 m-1 capacity_forecast closed",
    ]
    opened, closed = found[0][2], found[1][2]
    assert opened.severity == "info"
    assert opened.facts["expected_kva"] > opened.limits["limit_kva"] == 8.0
    assert opened.facts["power_factor"] == 0.95
    assert "2026-04-02" in sentence(site, opened)["en"]
    assert closed.started_at == opened.started_at
    assert closed.facts["reached_kva"] == pytest.approx(2 * 4 * shop(date(2026, 4, 2)).max() / 0.95, rel=1e-3)
    assert "kVA" in sentence(site, closed)["zh"]


def test_a_power_factor_that_was_not_read_is_assumed_and_said() -> None:
    site = Site(meter={"contract_kva": 8.0})
    for n in range(30):
        site.close(MONDAY + timedelta(days=n), site.usual(MONDAY + timedelta(days=n)), power_factor=None)

    found = warnings(site, MONDAY + timedelta(days=30), 1, 2.0, power_factor=None)

    assert kinds(found) == ["04-01 m-1 capacity_forecast opened"]
    assert found[0][2].facts["power_factor"] == 0.9
    assert "0.90" in sentence(site, found[0][2])["en"]
    assert "0.90" in sentence(site, found[0][2])["zh"]


def test_a_wide_interval_alone_does_not_warn() -> None:
    site = shop_over(7.0)  # ordinary peaks stay just below, their upper bound does not

    found = warnings(site, MONDAY + timedelta(days=30), 7, 1.0)

    assert kinds(found) == []


def test_an_approval_of_tomorrow_silences_and_the_end_of_one_warns() -> None:
    approved = {"meter": "m-1", "from": "2026-04-01T00:00:00+08:00", "to": "2026-04-03T00:00:00+08:00", "kva": 20}
    site = Site(meter={"contract_kva": 8.0}, approvals=[approved])
    site.live(30)

    found = warnings(site, MONDAY + timedelta(days=30), 2, 2.0)  # 1 and 2 April: both approved, the 3rd is not

    assert kinds(found) == ["04-02 m-1 capacity_forecast opened"]
    assert found[0][2].limits["limit_kva"] == 8.0


@pytest.mark.parametrize(
    "registry",
    [
        {"meter": {"contract_kva": None}},
        {"meter": {"contract_kva": 8.0}, "closures": [{"meter": "m-1", "from": "2026-04-02", "to": "2026-04-02"}]},
        {"meter": {"contract_kva": 8.0}, "site": {"festivals": [date(2026, 4, 2)]}},
        {"meter": {"contract_kva": 8.0}, "feeders": [{"id": "f-1", "site": "park", "master": "m-1"}]},
    ],
    ids=["no contract", "announced closure", "festival", "master"],
)
def test_nothing_is_said_where_nothing_can_be_known(registry: dict[str, Any]) -> None:
    site = Site(**registry)
    site.live(30)

    assert warnings(site, MONDAY + timedelta(days=30), 1, 2.0) == []


def test_a_day_of_less_load_is_not_warned_of() -> None:
    site = shop_over(8.0)

    assert kinds(warnings(site, MONDAY + timedelta(days=30), 2, 2.0))[-1] == "04-02 m-1 capacity_forecast opened"
    assert kinds(warnings(site, MONDAY + timedelta(days=32), 1, 2.0)) == ["04-03 m-1 capacity_forecast closed"]


def test_nothing_is_said_while_the_history_is_short() -> None:
    assert warnings(Site(meter={"contract_kva": 8.0}), MONDAY, 5, 2.0) == []


def seasons(surge: float, meters: list[str], *, new: int = 0, **registry: Any) -> Site:
    """A site after the festival of last year, which multiplied the load, two days before it is due to be spoken of.

    The last ``new`` meters counted nothing last year.
    """
    site = Site(meters, site=FESTIVALS, meter={"contract_kva": 14.0, "trade": "ecommerce"}, **registry)
    for end in (LAST_YEAR, THIS_YEAR - timedelta(days=9)):
        day = end - timedelta(days=40)
        while day <= end:
            net: Floats = site.usual(day) * (surge if day == LAST_YEAR else 1.0)
            if day.year == LAST_YEAR.year and new:
                net[-new:] = np.nan
            site.close(day, net)
            day += timedelta(days=1)
    return site


def test_a_week_before_a_festival_last_years_surge_warns_and_the_day_tells_what_it_came_to() -> None:
    site = seasons(3.0, ["m-1"])

    found = warnings(site, THIS_YEAR - timedelta(days=8), 8, 1.0)
    found += warnings(site, THIS_YEAR, 2, 2.0)
    found = [one for one in found if one[2].kind == "festival_forecast"]

    assert kinds(found) == ["06-10 m-1 festival_forecast opened", "06-18 m-1 festival_forecast closed"]
    opened = found[0][2]
    assert opened.part == "2026-06-18"
    assert opened.facts["surge_ratio"] == pytest.approx(3.0, rel=0.2)
    assert opened.facts["expected_kva"] > opened.limits["limit_kva"] == 14.0
    said = sentence(site, opened)
    assert "2025-06-18" in said["en"]
    assert "2025-06-18" in said["zh"]
    assert "kVA" in sentence(site, found[1][2])["en"]


def test_a_festival_that_changed_nothing_is_not_spoken_of() -> None:
    site = seasons(1.0, ["m-1"])

    assert warnings(site, THIS_YEAR - timedelta(days=8), 3, 1.0) == []


def test_without_a_festival_of_its_own_the_trade_of_the_site_is_the_basis() -> None:
    site = seasons(3.0, TRADERS, new=1)

    found = warnings(site, THIS_YEAR - timedelta(days=8), 1, 1.0)

    basis = {meter: str(finding.facts["basis_en"]) for _, meter, finding in found}
    assert set(basis) == set(TRADERS)
    assert "6 meters of the same trade" in basis["m-7"]
    assert "own same festival" in basis["m-1"]


def test_without_any_basis_nothing_is_said_of_a_festival() -> None:
    few = seasons(3.0, ["m-1", "m-2", "m-3"], new=1)  # two meters of a trade are none

    assert {meter for _, meter, _ in warnings(few, THIS_YEAR - timedelta(days=8), 1, 1.0)} == {"m-1", "m-2"}


def test_a_new_tenant_has_no_festival_of_the_one_before() -> None:
    moved = {"meter": "m-1", "on": THIS_YEAR - timedelta(days=40), "kind": "tenant"}
    site = seasons(3.0, ["m-1"], changes=[moved])

    assert warnings(site, THIS_YEAR - timedelta(days=8), 1, 1.0) == []


def test_a_festival_is_due_once_even_if_days_are_missing_and_a_run_is_one() -> None:
    run = [date(2026, 6, 16), date(2026, 6, 17), date(2026, 6, 18)]

    assert due(run, date(2026, 6, 7), date(2026, 6, 8)) == [run[0]]
    assert due(run, date(2026, 6, 8), date(2026, 6, 9)) == []
    assert due(run, date(2026, 6, 5), date(2026, 6, 11)) == [run[0]]
    assert due(run, date(2026, 6, 6), date(2026, 6, 7)) == []
    assert due(run, date(2026, 6, 16), date(2026, 6, 17)) == []


def test_what_a_festival_brought_survives_as_bytes_and_foreign_bytes_are_refused() -> None:
    site = Site(["m-1"], site=FESTIVALS)
    site.live(40, start=LAST_YEAR - timedelta(days=40))
    (left,) = site.close(LAST_YEAR, 3 * site.usual(LAST_YEAR)).festivals

    again = decode_festival(encode_festival(left))

    assert (again.day, again.meters) == (LAST_YEAR, ("m-1",))
    np.testing.assert_array_equal(again.peak_ratio, left.peak_ratio)
    assert left.kwh_ratio[0] == pytest.approx(3.0, rel=0.2)
    with pytest.raises(ValueError, match="not a festival day"):
        decode_festival(b"\x00")


def test_a_festival_day_that_does_not_learn_leaves_nothing() -> None:
    site = Site(["m-1"], site=FESTIVALS)
    site.live(40, start=LAST_YEAR - timedelta(days=40))

    assert site.close(LAST_YEAR, 3 * site.usual(LAST_YEAR), learns=False).festivals == []
