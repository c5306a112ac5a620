"""How often a kind is right is told with its uncertainty."""

from __future__ import annotations

import pytest

from collector.feeds.calibration import FEWEST_VERDICTS, calibrate, wilson
from collector.feeds.case import Case, Verdict
from collector.feeds.inspection import cases_of
from tests.support.findings import DAY, START, event


def decided(meter: str, decision: str | None, score: float) -> Case:
    (case,) = cases_of([event(score=score).cloudevent() | {"id": meter}], [], START)
    if decision is None:
        return case
    said = {"case": case.id, "meter": meter, "verdict": decision, "by": "x", "at": START + DAY, "conditions": ()}
    return case.model_copy(update={"verdict": Verdict.model_validate(said)})


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"),
    # Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29 by the score method without correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_wilson(hits: int, tries: int, low: float, high: float) -> None:
    assert wilson(hits, tries) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_no_try_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)


def test_verdicts_are_counted_by_kind_and_by_band_of_the_score() -> None:
    cases = [decided(f"a{i}", "confirmed", 0.95) for i in range(3)]
    cases += [decided("b", "dismissed", 0.6), decided("c", None, 0.6)]

    whole, middle, high = calibrate(cases)

    assert (whole.kind, whole.band, whole.cases) == ("current_loss", None, 5)
    assert (whole.confirmed, whole.dismissed, whole.undecided, whole.precision) == (3, 1, 1, 0.75)
    assert (middle.band, middle.precision) == ((0.5, 0.7), 0.0)
    assert (high.band, high.precision) == ((0.9, 1.0), 1.0)


def test_few_verdicts_are_called_few() -> None:
    few = [decided(str(i), "confirmed", 0.95) for i in range(FEWEST_VERDICTS - 1)]

    assert calibrate(few)[0].thin
    assert not calibrate([*few, decided("one more", "dismissed", 0.95)])[0].thin
    assert calibrate([decided("x", None, 0.95)])[0].precision is None
