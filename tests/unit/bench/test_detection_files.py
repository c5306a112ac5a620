import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from simulators.history.files import write_history
from simulators.history.metering import History
from simulators.history.scenarios import SCENARIOS, Incident
from simulators.history.span import Span
from tests.bench.detection import figures, read_events, read_scores, world
from tests.bench.figures import table
from tests.bench.judging import SUSPECT, Judgement, judge

SPAN = Span(date(2026, 3, 1), 28)
INCIDENTS = (
    Incident("m0001", "h1", 10 * 96, 20 * 96, level=0.4),
    Incident("m0002", "current_loss", 10 * 96, 20 * 96, level=0.0),
    Incident("m0003", "over_capacity", 10 * 96, 20 * 96, level=1.3, hours=(10.0, 12.0)),
    Incident("m0004", "downturn", 10 * 96, 28 * 96, level=0.5, notes={"ramp_days": 0}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "town"
    write_history(History(5, 12, SPAN, INCIDENTS), path, "parquet", "energy")
    return path


def write_findings(folder: Path, findings: list[tuple[str, str]], score_of: dict[str, float]) -> None:
    """Events that open a day after the incidents begin and close with them, and scores for every day."""
    begins, ends = (SPAN.instant(day * 96).isoformat() for day in (11, 20))
    lines = [
        {
            "time": begins,
            "data": {
                "condition": f"{kind} {meter}",
                "kind": kind,
                "lifecycle": lifecycle,
                "meter": meter,
                "severity": "inspect",
                "started_at": SPAN.instant(10 * 96).isoformat(),
                "ended_at": ends if lifecycle == "closed" else None,
            },
        }
        for kind, meter in findings
        for lifecycle in ("opened", "closed")
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    rows = [
        f"{meter},{SPAN.start + timedelta(days=n)},falsification,{score}\n"
        for meter, score in score_of.items()
        for n in range(10, 20)
    ]
    (folder / "scores.csv").write_text("meter_id,day,kind,score\n" + "".join(rows), encoding="utf-8")


def judged(folder: Path) -> Judgement:
    return judge(
        world(folder, SPAN.start, SPAN.days), read_events(folder / "events.jsonl"), read_scores(folder / "scores.csv")
    )


def test_a_back_test_that_finds_everything_is_worth_one(folder: Path) -> None:
    findings = [(SUSPECT, "m0001"), ("current_loss", "m0002"), ("over_capacity", "m0003")]
    write_findings(folder, findings, {"m0001": 0.9, "m0004": 0.2})
    keys = {key: value for figure in figures(judged(folder)) for key, value in figure.keys.items()}

    assert keys["detection.falsification.dr"] == 1.0
    assert keys["detection.h1.dr"] == 1.0
    assert keys["detection.falsification.auc"] == 1.0
    assert keys["detection.falsification.days_to_detect"] == 1.0
    assert keys["detection.false_meter_days_per_1000"] == 0.0
    assert keys["detection.electrical.dr"] == keys["detection.current_loss.dr"] == 1.0
    assert keys["detection.electrical.false_meter_days_per_1000"] == 0.0
    assert keys["detection.capacity.dr"] == 1.0
    assert keys["detection.capacity.false_meter_days_per_1000"] == 0.0


def test_a_back_test_that_suspects_the_wrong_meter_is_told(folder: Path) -> None:
    write_findings(folder, [(SUSPECT, "m0004"), ("current_loss", "m0005")], {"m0001": 0.2, "m0004": 0.9})
    judgement = judged(folder)
    keys = {key: value for figure in figures(judgement) for key, value in figure.keys.items()}

    assert keys["detection.falsification.dr"] == 0.0
    assert 0 < keys["detection.falsification.auc"] < 1
    assert keys["detection.false_meter_days_per_1000"] > 0
    assert keys["detection.electrical.dr"] == 0.0
    assert keys["detection.current_loss.false_meter_days_per_1000"] > 0
    assert "false current_loss / 1000" in table(figures(judgement))


def test_every_scenario_of_the_catalogue_with_an_expectation_is_electrical_or_about_capacity() -> None:
    for name, scenario in SCENARIOS.items():
        assert bool(scenario.expected) == (scenario.of in ("electrical", "capacity")), name
