"""A finding and what is known about its meter → an event with its evidence.

Evidence names the readings that decided, the limits in force with the digest of the registry and the limits, what
was ruled out, the kWh at stake with their range, and one plain sentence in two languages. Whoever reads the event
can judge it without asking us.
"""

from __future__ import annotations

import math
from typing import Any
from zoneinfo import ZoneInfo

from collector.checks.check import Finding
from collector.engine.fleet import Fleet
from collector.events.event import Event, iso
from collector.events.sentence import sentences


def event_of(finding: Finding, fleet: Fleet, slot: int, configuration: str) -> Event:
    """The event of one finding about the meter in ``slot``."""
    series = fleet.series[slot]
    meter = fleet.meter(slot)
    site = fleet.registry.site_of(series.meter)
    zone = ZoneInfo(site.timezone) if site else ZoneInfo("UTC")
    evidence: dict[str, Any] = {
        "rule": {
            "name": finding.kind,
            "limits": _rounded(finding.limits),
            "configuration": configuration,
        },
        "readings": [
            {"measured_at": iso(round(at)), "values": _rounded(values)}
            for at, values in (*finding.trail, (finding.at, finding.readings))
        ],
        "figures": _rounded({k: v for k, v in finding.facts.items() if not isinstance(v, str)}),
        "ruled_out": list(finding.ruled_out),
        "kwh_at_stake": None
        if finding.energy is None
        else _rounded({"low": finding.energy.low, "best": finding.energy.best, "high": finding.energy.high}),
        "sentence": sentences(finding, series.meter, zone),
    }
    return Event(
        kind=finding.kind,
        lifecycle=finding.lifecycle,
        series=series,
        part=finding.part,
        started_at=round(finding.started_at),
        at=round(finding.at),
        ended_at=None if finding.ended_at is None else round(finding.ended_at),
        severity=finding.severity,
        score=finding.score,
        site=site.id if site else None,
        account=meter.account if meter else None,
        evidence=evidence,
    )


def _rounded(values: Any) -> dict[str, float]:
    """Six decimals: the same text on every machine. What is not known has no number, and is left out."""
    return {name: round(float(value), 6) for name, value in values.items() if math.isfinite(value)}
