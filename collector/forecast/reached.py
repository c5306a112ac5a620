"""What became of an early warning when the day it was about is over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collector.checks.check import Finding
from collector.days.day import SiteDay, Warned
from collector.forecast.past import Past


def reached(
    open_before: Mapping[str, Warned], past: Past, today: SiteDay
) -> tuple[list[tuple[str, Finding]], dict[str, Warned]]:
    """The closing findings of warnings whose day is over, and the warnings that stay open.

    Args:
        open_before: the warnings that were open, "kind:meter".
        past: the closed days, the last one included.
        today: the last one.
    """
    row = {meter: m for m, meter in enumerate(today.meters)}
    findings, still = [], {}
    for name, warned in open_before.items():
        kind, meter = name.split(":", 1)
        if today.day < warned.day or meter not in row:  # a meter that is silent is spoken of when it is heard again
            still[name] = warned
            continue
        kw = float(past.peak_kw[-1, row[meter]]) if today.day == warned.day else float("nan")
        kva = kw / warned.power_factor
        findings.append((meter, _finding(kind, warned, today, kw, kva)))
    return findings, still


def _finding(kind: str, warned: Warned, today: SiteDay, kw: float, kva: float) -> Finding:
    known = not np.isnan(kva)
    return Finding(
        row=0,
        kind=kind,
        lifecycle="closed",
        part=warned.part,
        started_at=float(warned.since),
        at=float(today.ends_at),
        severity="info",
        score=0.5,
        readings={"maximum_demand": kw} if known else {},
        limits={"limit_kva": warned.limit_kva},
        facts={
            "expected_kva": warned.expected_kva,
            "power_factor": warned.power_factor,
            "day": warned.day.isoformat(),
            "reached": f"{kva:.1f} kVA" if known else "-",
            **({"reached_kva": kva} if known else {}),
        },
        ended_at=float(today.ends_at if today.day == warned.day else today.starts_at),
    )
