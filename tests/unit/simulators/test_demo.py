from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from metering.errors import StopAndFix
from metering.round import Column, Origin, Round, pack
from simulators.demo import MARKER, prepare, speed_for, summed_up
from simulators.narration import Narrator

MIDNIGHT = 1_781_712_000_000  # 2026-06-18T00:00:00+08:00
ZONE = ZoneInfo("Asia/Shanghai")
START = datetime.fromtimestamp(MIDNIGHT / 1000, ZONE)


def a_round(at_ms: int, kwh: float | None) -> Round:
    columns = (Column.of("active_energy_import", [kwh, 10.0]), Column.of("active_power", [1.5, 2.0]))
    return Round(
        "g-1", "main", Origin.LIVE, 300_000, at_ms, ("a", "b"), pack([at_ms] * 2, "q"), pack([0, 1], "I"), columns
    )


def event(kind: str, meter: str, score: float) -> dict[str, object]:
    return {
        "type": f"wattline.{kind}.opened",
        "subject": meter,
        "data": {"score": score, "evidence": {"sentence": {"zh": "需要检查", "en": "needs inspection"}}},
    }


def test_rounds_become_one_line_an_hour() -> None:
    narrator = Narrator("en", ZONE)

    lines = [
        narrator.round(n + 1, a_round(MIDNIGHT + n * 1_200_000, None if n == 1 else 100.0 + n), n) for n in range(7)
    ]

    assert [line is not None for line in lines] == [False, False, False, True, False, False, True]
    assert lines[3] == ("06-18 01:00  round 4     1/2 meters     3.50 kW     3.00 kWh in this hour  stored up to 3")


def test_a_finding_is_told_in_both_languages() -> None:
    for lang in ("en", "zh"):
        lines = Narrator(lang, ZONE).event(event("bypass", "shop-101", 0.9))

        assert "shop-101" in lines[0]
        assert "0.90" in lines[0]
        assert [line.strip() for line in lines[1:]] == ["需要检查", "needs inspection"]


def test_findings_stand_beside_what_was_done() -> None:
    truth = [
        {"meter": "a", "scenario": "bypass", "expected": ["current_shunt"], "starts_at": START.isoformat()},
        {"meter": "b", "scenario": "overload", "expected": ["over_capacity"], "starts_at": START.isoformat()},
        {"meter": "c", "scenario": "honest", "expected": []},
    ]
    narrator = Narrator("en", ZONE)

    later = START + timedelta(hours=5)
    good = "\n".join(narrator.findings(truth, [("current_shunt", "a")], later))
    bad = "\n".join(narrator.findings(truth, [("current_shunt", "a"), ("over_capacity", "c")], later))
    early = "\n".join(narrator.findings(truth, [], START))

    assert "NOT FOUND" in good
    assert "1 meters honest" in good
    assert "NOT FOUND" not in early
    assert early.count("too early") == 2
    assert "found without a cause: over_capacity" in bad
    assert "honest  " not in bad


def test_the_energy_table_shows_gaps_as_gaps() -> None:
    lines = Narrator("zh", ZONE).energy([{"meter": "a", "day": "2026-06-18", "peak": 1.234, "total": None}])

    assert lines[1].split() == ["电表", "日期", "尖", "峰", "平", "谷", "合计", "最大", "kW"]
    assert lines[2].split() == ["a", "2026-06-18", "-", "1.23", "-", "-", "-", "-"]


def test_events_are_summed_up_by_kind_and_meter() -> None:
    assert summed_up([event("x", "a", 0.5), event("x", "a", 0.8), event("y", "a", 0.1)]) == [
        {"kind": "x", "meter": "a", "score": 0.8},
        {"kind": "y", "meter": "a", "score": 0.1},
    ]


def test_a_minute_holds_more_than_thirty_hours_and_a_short_run_is_bounded() -> None:
    assert speed_for(60) * 60 >= 30 * 3600
    assert speed_for(300) == speed_for(60)
    assert speed_for(5) == 3600


def test_only_a_folder_of_a_demo_is_emptied(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    prepare(mine)
    (mine / "sub").mkdir()
    prepare(mine)
    other.mkdir()
    (other / "thesis.txt").touch()

    assert [path.name for path in mine.iterdir()] == [MARKER]
    with pytest.raises(StopAndFix, match="another --folder"):
        prepare(other)
    with pytest.raises(StopAndFix, match="is a file"):
        prepare(other / "thesis.txt")
    with pytest.raises(StopAndFix, match="another --folder"):
        prepare(other / "thesis.txt" / "demo")
    assert (other / "thesis.txt").exists()
