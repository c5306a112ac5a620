"""Findings for tests: real events of a real engine, and events written by hand for what takes weeks to happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from collector.checks.check import Energy, Finding, Lifecycle, Severity
from collector.engine.fleet import Fleet
from collector.events.event import Event
from collector.events.evidence import event_of
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from tests.support.engines import tariffs
from tests.support.rounds import T0

START = datetime.fromtimestamp(T0 / 1000, UTC)
DAY = timedelta(days=1)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_FACTS: dict[str, float | str] = {
    "current_a": 0.0,
    "others_a": 6.5,
    "usual_others_a": 6.4,
    "share_percent": 12.0,
    "usual_percent": 97.0,
    "register_kwh": 20.0,
    "integrated_kwh": 31.0,
    "difference_percent": -35.5,
    "peak_kva": 31.5,
    "hours": 0.5,
    "reported_kwh": 12.0,
    "expected_kwh": 30.0,
    "feeder": "f-1",
    "limit_kva": 30.0,
    "kwh_above": 4.0,
    "excess_kwh": 9.0,
    "usual_kwh": 1.0,
}


def park(*meters: str, feeder: bool = False) -> Registry:
    """A registry of one site; with a feeder, its master is ``master``."""
    own = [
        {"id": name, "site": "park", "account": f"A-{name}", "trade": "retail", "contract_kva": 30}
        | ({"feeder": "f-1"} if feeder else {})
        for name in meters
    ]
    if feeder:
        own.append({"id": "master", "site": "park"})
    feeders = [{"id": "f-1", "site": "park", "master": "master"}] if feeder else []
    return Registry(
        RegistrySettings.model_validate({"sites": [{"id": "park"}], "meters": own, "feeders": feeders}), "test"
    )


def event(
    kind: str = "current_loss",
    lifecycle: Lifecycle = "opened",
    *,
    meter: str = "m-1",
    part: str = "L2",
    start: int = T0,
    at: int | None = None,
    ended: int | None = None,
    severity: Severity = "inspect",
    score: float = 0.9,
    kwh: tuple[float, float, float] | None = (1.0, 2.0, 3.0),
    registry: Registry | None = None,
) -> Event:
    """One event as the engine would make it of such a finding."""
    fleet = Fleet(registry or park("m-1", "m-2", "m-3"), tariffs())
    slot = int(fleet.slots("gw-1", (meter,))[0])
    finding = Finding(
        row=0,
        kind=kind,
        lifecycle=lifecycle,
        part=part,
        started_at=float(start),
        at=float(start + HOUR_MS if at is None else at),
        severity=severity,
        score=score,
        readings={"voltage_l2": 230.0, "current_l2": 0.0, "current_l1": 6.0, "current_l3": 7.0},
        limits={"voltage_share": 0.7, "current_a": 0.05, "contract_kva": 30.0, "delay_s": 60.0},
        facts=_FACTS,
        ruled_out=("outage", "phase_never_loaded", "low_load"),
        energy=None if kwh is None else Energy(*kwh),
        ended_at=None if ended is None else float(ended),
    )
    return event_of(finding, fleet, slot, "cfg")


def life(start: int, end: int, **about: Any) -> list[Event]:
    """A condition that opened an hour after its start, and closed at its end."""
    return [event(start=start, **about), event(lifecycle="closed", start=start, at=end, ended=end, **about)]
