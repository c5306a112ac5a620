"""A folder is a case: what a meter shows, told in spans, and what the checks say about it.

``case.yaml`` lists spans of constant readings. A value holds until a later span changes it; power follows from
voltage, current and power factor unless it is given; the register follows power, times ``register_share``.
``gap`` means that the meter was not read. ``expected`` lists every event, in order: lifecycle, kind, part, and the
instant at which the condition started (opened) or ended (closed).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import AwareDatetime, Field

from metering.round import Round
from metering.settings import Duration, Settings, load_file
from tests.support.engines import engine, judge, registry
from tests.support.rounds import make_round

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.yaml"))
ZONE = ZoneInfo("Asia/Shanghai")

Three = Annotated[list[float], Field(min_length=3, max_length=3)]


class Span(Settings):
    """Some time in which nothing changes."""

    lasts: Duration
    voltage: Three | None = None
    current: Three | None = None
    power_factor: float | None = None
    power: float | None = None
    register_share: float | None = None
    register_jump: float = 0.0
    gap: bool = False


class Case(Settings):
    """One case."""

    why: str
    start: AwareDatetime
    every: Duration = 300.0
    meter: dict[str, Any] = Field(default_factory=dict)
    approvals: list[dict[str, Any]] = Field(default_factory=list)
    spans: list[Span]
    expected: list[str]


def rounds_of(case: Case) -> Iterator[Round]:
    at = round(case.start.timestamp() * 1000)
    period_ms = round(case.every * 1000)
    voltage, current, factor, share = [230.0] * 3, [5.0] * 3, 0.95, 1.0
    power: float | None = None
    register = 1000.0
    for span in case.spans:
        voltage, current = span.voltage or voltage, span.current or current
        factor = factor if span.power_factor is None else span.power_factor
        share = share if span.register_share is None else span.register_share
        power = span.power if span.power is not None else None if span.current else power
        register += span.register_jump
        for _ in range(round(span.lasts / case.every)):
            shown = power
            if shown is None:
                shown = sum(u * i for u, i in zip(voltage, current, strict=True)) * factor / 1000
            register += share * max(shown, 0.0) * case.every / 3600
            if not span.gap:
                values: dict[str, list[float | None]] = {"active_power": [shown], "power_factor": [factor]}
                for phase in range(3):
                    values[f"voltage_l{phase + 1}"] = [voltage[phase]]
                    values[f"current_l{phase + 1}"] = [current[phase]]
                values["active_energy_import"] = [register]
                yield make_round(values, meters=["m-1"], at=at, period_ms=period_ms)
            at += period_ms


def told(event: Any) -> str:
    moment = event.started_at if event.lifecycle == "opened" else event.ended_at
    local = datetime.fromtimestamp(moment / 1000, ZONE).strftime("%m-%d %H:%M")
    return " ".join(word for word in (event.lifecycle, event.kind, event.part, local) if word)


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    case = load_file(folder / "case.yaml", Case)
    approvals = [{"meter": "m-1", **approval} for approval in case.approvals]
    judging = engine(registry(["m-1"], approvals=approvals, **case.meter))

    events = judge(judging, list(rounds_of(case))).events

    assert [told(event) for event in events] == case.expected
    for event in events:
        evidence = event.evidence
        assert 0.0 < event.score <= 1.0
        assert evidence["rule"]["limits"]
        assert evidence["rule"]["configuration"] == "test"
        assert evidence["readings"][0]["values"]
        for sentence in evidence["sentence"].values():
            assert "m-1" in sentence
            assert "nan" not in sentence
            assert "theft" not in sentence.lower()
            assert "窃" not in sentence
