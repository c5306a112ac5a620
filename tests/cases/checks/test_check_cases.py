"""A folder is a case: what a meter shows, told in spans, and what the checks say about it.

``case.yaml`` lists spans of constant readings. A value holds until a later span changes it; power follows from
voltage, current and power factor unless it is given; the register follows power, times ``register_share``.
``gap`` means that the meter was not read, ``failed`` that it did not answer. ``events`` stand in the log of the first
reading of a span. ``columns`` names what the gateway reads at all, ``nothing`` what it reads in vain. ``expected``
lists every event, in order: lifecycle, kind, part, and the instant at which the condition started (opened), ended
(closed) or was told again (updated). What is found also has to meet the schemas of the feeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator
from pydantic import AwareDatetime, Field

from collector.checks.meter_log import of_the_log
from collector.config import ChecksSettings, all_checks
from collector.engine.frame import Frame, blocks_of
from collector.events.event import Event
from collector.feeds.inspection import cases_of
from collector.feeds.schema import schema_of
from metering.config_file import load_file
from metering.meter_event import MeterEvent
from metering.round import Quality, Round
from metering.settings import Duration, Settings
from tests.support.engines import engine, registry
from tests.support.rounds import make_round

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.yaml"))
ZONE = ZoneInfo("Asia/Shanghai")
FORMATS = Draft202012Validator.FORMAT_CHECKER
TARIFFS = [f"active_energy_import_t{i}" for i in (1, 2, 3, 4)]
ALWAYS = [
    "active_power",
    "power_factor",
    *(f"{name}_l{phase}" for phase in (1, 2, 3) for name in ("voltage", "current")),
    "active_energy_import",
]


Three = Annotated[list[float], Field(min_length=3, max_length=3)]


class Span(Settings):
    """Some time in which nothing changes."""

    lasts: Duration
    voltage: Three | None = None
    current: Three | None = None
    power_factor: float | None = None
    power: float | None = None
    signs: Three | None = None  # of the phases' powers
    neutral: float | None = None  # A
    register_share: float | None = None
    register_jump: float = 0.0
    tariff_jump: float = 0.0
    demand: float | None = None
    clock_offset: float | None = None  # s
    events: tuple[MeterEvent, ...] = ()
    gap: bool = False
    failed: bool = False
    line_down: bool = False
    nothing: tuple[str, ...] = ()


class Case(Settings):
    """One case."""

    why: str
    start: AwareDatetime
    every: Duration = 300.0
    meter: dict[str, Any] = Field(default_factory=dict)
    approvals: list[dict[str, Any]] = Field(default_factory=list)
    work_orders: list[dict[str, Any]] = Field(default_factory=list)
    checks: ChecksSettings = ChecksSettings()
    columns: list[str] = ALWAYS
    register_start: float = 1000.0
    resolution: float | None = None  # of the registers, kWh
    spans: list[Span]
    expected: list[str]


class Shown:
    """What the meter shows now."""

    def __init__(self, case: Case) -> None:
        self.voltage, self.current, self.signs = [230.0] * 3, [5.0] * 3, [1.0] * 3
        self.factor, self.share = 0.95, 1.0
        self.power: float | None = None
        self.neutral: float | None = None
        self.demand: float | None = None
        self.clock_offset = 0.0
        self.register = case.register_start
        self.tariff = case.register_start  # the first period holds everything
        self._resolution = case.resolution

    def change(self, span: Span) -> None:
        self.power = span.power if span.power is not None else None if span.current else self.power
        for name in ("voltage", "current", "signs", "neutral", "demand", "clock_offset"):
            value = getattr(span, name)
            if value is not None:
                setattr(self, name, value)
        self.factor = self.factor if span.power_factor is None else span.power_factor
        self.share = self.share if span.register_share is None else span.register_share
        self.register += span.register_jump
        self.tariff += span.register_jump + span.tariff_jump

    def pass_by(self, hours: float) -> None:
        self.register += self.share * max(self.kw, 0.0) * hours
        self.tariff += self.share * max(self.kw, 0.0) * hours

    @property
    def phase_kw(self) -> list[float]:
        parts = zip(self.voltage, self.current, self.signs, strict=True)
        return [sign * u * i * self.factor / 1000 for u, i, sign in parts]

    @property
    def kw(self) -> float:
        return sum(self.phase_kw) if self.power is None else self.power

    def values(self) -> dict[str, float | None]:
        found: dict[str, float | None] = {"active_power": self.kw, "power_factor": self.factor}
        found |= {"current_n": self.current[0] if self.neutral is None else self.neutral, "demand": self.demand}
        found |= {"reactive_power": abs(self.kw) * (1 / self.factor**2 - 1) ** 0.5, "clock_offset": self.clock_offset}
        for phase in range(3):
            found[f"voltage_l{phase + 1}"] = self.voltage[phase]
            found[f"current_l{phase + 1}"] = self.current[phase]
            found[f"active_power_l{phase + 1}"] = self.phase_kw[phase]
        found["active_energy_import"] = self._cut(self.register)
        found |= dict.fromkeys(TARIFFS, 0.0) | {TARIFFS[0]: self._cut(self.tariff)}
        return found

    def _cut(self, kwh: float) -> float:
        return kwh if self._resolution is None else kwh // self._resolution * self._resolution


def rounds_of(case: Case) -> Iterator[tuple[Round, tuple[MeterEvent, ...]]]:
    at = round(case.start.timestamp() * 1000)
    period_ms = round(case.every * 1000)
    shown = Shown(case)
    for span in case.spans:
        shown.change(span)
        events = span.events
        for _ in range(round(span.lasts / case.every)):
            shown.pass_by(case.every / 3600)
            if not span.gap:
                quality = Quality.NO_ANSWER * span.failed | Quality.LINK_DOWN * span.line_down
                values = shown.values()
                wanted = {name: [None if quality or name in span.nothing else values[name]] for name in case.columns}
                yield make_round(wanted, meters=["m-1"], at=at, period_ms=period_ms, quality=[int(quality)]), events
                events = ()
            at += period_ms


def events_of(case: Case) -> list[Event]:
    about = {"meter": "m-1"}
    known = registry(
        ["m-1"],
        approvals=[about | approval for approval in case.approvals],
        work_orders=[about | order for order in case.work_orders],
        **case.meter,
    )
    judging = engine(known, all_checks(case.checks))
    found: list[Event] = []
    for content, said in rounds_of(case):
        for block in blocks_of(judging.fleet, [content]):
            for _, frame in block.frames():
                told_by_meter = {0: said} if said else {}
                row = Frame(frame.slots, frame.at, frame.quality, frame.period_ms, frame.columns, told_by_meter)
                outcome = judging.process(row)
                assert outcome.switched == []
                found += outcome.events
    return found


def told(event: Event) -> str:
    moment = {"opened": event.started_at, "closed": event.ended_at, "updated": event.at}[event.lifecycle]
    assert moment is not None
    local = datetime.fromtimestamp(moment / 1000, ZONE).strftime("%m-%d %H:%M")
    return " ".join(word for word in (event.lifecycle, event.kind, event.part, local) if word)


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    case = load_file(folder / "case.yaml", Case)

    events = events_of(case)

    assert [told(event) for event in events] == case.expected
    for event in events:
        evidence = event.evidence
        assert 0.0 < event.score <= 1.0
        assert evidence["rule"]["limits"]
        assert evidence["rule"]["configuration"] == "test"
        assert evidence["readings"][-1]["values"] or of_the_log(event.kind, event.part)
        for sentence in evidence["sentence"].values():
            assert "m-1" in sentence
            assert "nan" not in sentence
            assert "theft" not in sentence.lower()
            assert "窃" not in sentence
    validate(events, case.start)


def validate(events: list[Event], start: datetime) -> None:
    """Every event, and the cases for inspectors that they come to, are as their schemas promise."""
    an_event, a_case = (Draft202012Validator(schema_of(name), format_checker=FORMATS) for name in ("event", "case"))
    for event in events:
        an_event.validate(json.loads(event.body(), parse_constant=no_number))
    for one in cases_of([event.cloudevent() for event in events], [], start):
        a_case.validate(one.model_dump(mode="json"))


def no_number(text: str) -> float:
    raise AssertionError(f"{text} is no JSON")
