"""A feeder that misses more than its loss explains is stated after two days, as long as no meter is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from collector.checks.check import Finding
from collector.days import feeder_excess
from tests.support.feeders import Judge, Shops, registry_of, site_day_of

SHOPS = Shops(13, meters=12)
HONEST = 10


def run(lost: Sequence[float], attacks: Mapping[int, str] | None = None) -> list[list[tuple[str, Finding]]]:
    """The findings about the feeder on each day after the honest ones; attacks last for all of them."""
    judge = Judge(registry_of(SHOPS.names))
    for number in range(HONEST):
        assert not about(judge.close(site_day_of(SHOPS, number)).findings)
    return [
        about(judge.close(site_day_of(SHOPS, HONEST + n, attacks, lost=share)).findings) for n, share in enumerate(lost)
    ]


def about(findings: Sequence[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    return [(meter, one) for meter, one in findings if one.kind == feeder_excess.KIND]


def told(found: list[list[tuple[str, Finding]]]) -> list[str]:
    return [one[0][1].lifecycle if one else "" for one in found]


def test_two_days_open_it_and_two_quiet_days_close_it() -> None:
    found = run([0.1, 0.1, 0.1, 0, 0, 0])

    assert told(found) == ["", "opened", "", "", "closed", ""]
    (meter, opened), (_, closed) = found[1][0], found[4][0]
    assert meter == "f-master"
    assert opened.part == "f-1"
    assert opened.started_at == closed.started_at == site_day_of(SHOPS, HONEST).starts_at
    assert closed.ended_at == site_day_of(SHOPS, HONEST + 2).ends_at


def test_what_was_missed_is_known() -> None:
    found = run([0.1, 0.1, 0.1, 0, 0])
    lost = sum(0.1 * float(SHOPS.load(HONEST + n).sum()) for n in range(3))
    energy = found[4][0][1].energy

    assert energy is not None
    assert energy.best == pytest.approx(lost, rel=0.25)
    assert energy.low <= energy.best <= energy.high


def test_one_day_alone_is_nothing() -> None:
    assert told(run([0.1, 0, 0.1, 0])) == ["", "", "", ""]


def test_one_quiet_day_does_not_close_it() -> None:
    assert told(run([0.1, 0.1, 0, 0.1, 0.1])) == ["", "opened", "", "", ""]


def test_it_is_silent_while_a_meter_is_named() -> None:
    assert told(run([0.0] * 5, {4: "h1"})) == [""] * 5


def test_it_needs_a_week_of_clean_days() -> None:
    judge = Judge(registry_of(SHOPS.names))
    found = [about(judge.close(site_day_of(SHOPS, n, lost=0.1 if n > 3 else 0)).findings) for n in range(6)]

    assert not any(found)
