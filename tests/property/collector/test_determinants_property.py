"""Days and months under random tariffs and zones, against minute-by-minute fractions that read the tariff as text."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config import ChecksSettings, all_checks
from collector.engine.engine import Engine
from collector.engine.fleet import Fleet
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from tests.support.engines import judge
from tests.support.rounds import MINUTE, make_round

Reading = tuple[int, int]  # ms, Wh
Figures = dict[str, float]

# Days of 23, 24 and 25 hours, and of 23.5 and 24.5; leap days; offsets of 45 minutes; a year's end.
STARTS = {
    "shanghai": ("Asia/Shanghai", "2028-02-28T00:00+08:00"),
    "new year": ("Asia/Shanghai", "2026-12-30T12:00+08:00"),
    "berlin in spring": ("Europe/Berlin", "2026-03-28T12:00+01:00"),
    "berlin in autumn": ("Europe/Berlin", "2026-10-24T12:00+02:00"),
    "new york in spring": ("America/New_York", "2028-03-11T12:00-05:00"),
    "new york in autumn": ("America/New_York", "2026-10-31T06:00-04:00"),
    "lord howe": ("Australia/Lord_Howe", "2026-04-04T00:00+11:00"),
    "kathmandu": ("Asia/Kathmandu", "2028-02-28T00:00+05:45"),
    "havana, where midnight comes twice": ("America/Havana", "2026-10-31T06:00-04:00"),
}
OWN_WINDOW = {
    "retail": ("09:00-21:00",),
    "manufacturing": ("08:00-18:00",),
    "catering": ("10:00-14:00", "17:00-21:00"),
    "logistics": ("20:00-24:00", "00:00-04:00"),
    "ecommerce": ("09:00-23:00",),
}


def clock(quarter: int) -> str:
    return f"{quarter // 4:02d}:{quarter % 4 * 15:02d}"


@st.composite
def windows(draw: st.DrawFn) -> dict[str, list[str]]:
    edges = sorted(draw(st.sets(st.integers(0, 96), min_size=2, max_size=8)))
    found: dict[str, list[str]] = {}
    for start, end in pairwise(edges):
        period = draw(st.sampled_from(["sharp", "peak", "valley", "flat"]))
        if period != "flat":
            found.setdefault(period, []).append(f"{clock(start)}-{clock(end)}")
    return found


@st.composite
def tariff(draw: st.DrawFn, around: date) -> dict[str, Any]:
    def schedule() -> dict[str, Any]:
        months = draw(st.sets(st.integers(1, 12), min_size=6))
        days = draw(st.sets(st.sampled_from(["workday", "weekend", "holiday"]), min_size=1))
        named = draw(st.sampled_from([[], [], ["春节"]]))
        return {"months": sorted(months), "days": sorted(days), "holidays": named, "windows": draw(windows())}

    night = draw(st.sampled_from([[], ["22:00-24:00", "00:00-06:15"]]))
    return {
        "id": "random",
        "illustrative": True,
        "source": "drawn",
        "holidays": [{"name": "春节", "from": around, "to": around + timedelta(days=draw(st.integers(0, 2)))}],
        "versions": [
            {"valid_from": date(2020, 1, 1), "schedules": [schedule(), schedule()], "night": night},
            {"valid_from": around + timedelta(days=1), "schedules": [schedule(), {"windows": draw(windows())}]},
        ],
    }


def lies_in(spans: list[str] | tuple[str, ...], at: str) -> bool:
    return any(span[:5] <= at < span[6:] for span in spans)


def figures_at(known: dict[str, Any], holidays: list[date], trade: str, local: datetime) -> list[str]:
    """Every figure that a minute counts for, read off the tariff's text."""
    day, at = local.date(), local.strftime("%H:%M")
    names = [one["name"] for one in known["holidays"] if one["from"] <= day <= one["to"]]
    kind = "holiday" if names or day in holidays else "weekend" if day.weekday() >= 5 else "workday"
    version = [one for one in known["versions"] if one["valid_from"] <= day][-1]
    period = "flat"
    for schedule in version["schedules"]:
        every = {"months": range(1, 13), "days": ["workday", "weekend", "holiday"], "holidays": []} | schedule
        fits = not every["holidays"] or any(name in names for name in every["holidays"])
        if day.month in every["months"] and kind in every["days"] and fits:
            period = next((p for p, spans in every["windows"].items() if lies_in(spans, at)), "flat")
            break
    night = version.get("night")
    found = [period, "total"]
    if lies_in(night, at) if night else period == "valley":
        found.append("night")
    if lies_in(OWN_WINDOW.get(trade, ()), at):
        found.append("own_window")
    return found


def brute_force(
    readings: list[Reading], zone: ZoneInfo, known: dict[str, Any], holidays: list[date], trade: str
) -> dict[date, dict[str, Fraction]]:
    """kWh of every local day and figure, minute by minute."""
    days: dict[date, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for (t0, e0), (t1, e1) in pairwise(readings):
        rate = Fraction(e1 - e0, (t1 - t0) * 1000)
        for minute in range(t0 // MINUTE, (t1 - 1) // MINUTE + 1):
            share = rate * (min(t1, (minute + 1) * MINUTE) - max(t0, minute * MINUTE))
            local = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
            for figure in figures_at(known, holidays, trade, local):
                days[local.date()][figure] += share
    return days


@st.composite
def series(draw: st.DrawFn, start: int) -> list[Reading]:
    at, energy = start + draw(st.integers(0, 86_400_000)), draw(st.integers(0, 10**8))
    readings = [(at, energy)]
    for _ in range(draw(st.integers(1, 25))):
        elapsed = draw(st.integers(1_000, 5 * MINUTE) | st.integers(MINUTE, 9 * 3_600_000))
        at += elapsed
        energy += draw(st.integers(0, 15 * elapsed // 1000))  # what a meter of 80 A can carry
        readings.append((at, energy))
    return readings


@pytest.mark.parametrize("name", STARTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), trade=st.sampled_from([*OWN_WINDOW, "other"]), billing_day=st.integers(1, 28))
def test_days_and_months_are_exact_to_the_register(
    name: str, data: st.DataObject, trade: str, billing_day: int
) -> None:
    zone_name, start = STARTS[name]
    zone, begins = ZoneInfo(zone_name), datetime.fromisoformat(start)
    readings = data.draw(series(round(begins.timestamp() * 1000)))
    known = data.draw(tariff(begins.date()))
    holidays = data.draw(st.lists(st.sampled_from([begins.date() + timedelta(days=i) for i in range(4)]), max_size=2))
    site = {"id": "park", "timezone": zone_name, "tariff": "random", "holidays": holidays, "billing_day": billing_day}
    meter = {"id": "m-1", "site": "park", "trade": trade, "maximum_current_a": 80}
    content = RegistrySettings.model_validate({"sites": [site], "meters": [meter], "tariffs": [known]})
    judging = Engine(
        Fleet(Registry(content, "test"), {"random": content.tariffs[0]}), all_checks(ChecksSettings()), "test", "1"
    )
    found: dict[str, dict[date, Figures]] = {"energy_day": {}, "energy_month": {}}
    for at, wh in readings:
        rounds = [make_round({"active_energy_import": [wh / 1000]}, meters=["m-1"], at=at)]
        for table in judge(judging, rounds).tables:
            for row, first in enumerate(table.at.tolist()):
                if table.measurement in found:
                    day = datetime.fromtimestamp(first / 1000, zone).date()
                    values = {
                        c.name: int(c.integers[row]) / 10**c.decimals
                        for c in table.columns
                        if c.valid is None or c.valid[row]
                    }
                    found[table.measurement].setdefault(day, {}).update(values)

    ended_at = readings[-1][0] // (15 * MINUTE) * 15 * MINUTE
    expected = brute_force(readings, zone, known, holidays, trade)
    closed = [day for day in expected if day_start(day + timedelta(days=1), zone) <= ended_at]
    for day in closed:
        stated = found["energy_day"][day]
        for figure in ("sharp", "peak", "flat", "valley", "total", "night", "own_window"):
            if figure == "own_window" and trade == "other":
                assert figure not in stated
                continue
            assert stated[figure] == pytest.approx(float(expected[day][figure]), abs=2.1e-4)
        assert stated["complete"] == (day_start(day, zone) >= readings[0][0] and stated["estimated"] == 0)
        assert tenths(stated, "total") == sum(tenths(stated, period) for period in ("sharp", "peak", "flat", "valley"))

    for month, stated in found["energy_month"].items():
        following = month_after(month)
        days = [found["energy_day"][day] for day in closed if month <= day < following]
        for figure in ("sharp", "peak", "flat", "valley", "night", "estimated"):
            assert tenths(stated, figure) == sum(tenths(day, figure) for day in days)
        assert month.day == billing_day


def day_start(day: date, zone: ZoneInfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000


def month_after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, month.day)


def tenths(values: Figures, figure: str) -> int:
    return round(values[figure] * 10_000)
