"""What the store and the state file say about energy, as rows for people and for machines."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from collector.config import Configuration
from collector.engine.checkpoint import read_approval_lists
from collector.events.event import iso
from collector.feeds.pricing import MonthDeterminants
from collector.feeds.statement import Statements
from collector.registry.approvals import Approvals

_PERIODS: Final = ("sharp", "peak", "flat", "valley", "total")
_LONGEST_MONTH_MS: Final = 32 * 86_400_000

Span = tuple[int, int]  # ms: first instant, first instant after


def energy_rows(configuration: Configuration, span: Span, meter: str | None) -> list[dict[str, Any]]:
    """One row a meter and local day."""
    rows = []
    for one in configuration.queries().energy(*span, meter):
        site = configuration.registry.site_of(one.meter)
        zone = ZoneInfo(site.timezone if site else "UTC")
        values = one.values
        rows.append(
            {
                "meter": one.meter,
                "day": datetime.fromtimestamp(one.day_start / 1000, zone).date().isoformat(),
                **{name: round(values.get(name, 0.0), 4) for name in _PERIODS},
                "estimated": round(values.get("estimated", 0.0), 4),
                "night": round(values.get("night", 0.0), 4),
                **{name: values.get(name) for name in ("own_window", "export", "kvarh")},
                "maximum_demand_kw": values.get("maximum_demand"),
                "maximum_demand_at": _instant(values.get("maximum_demand_at")),
                "sliding_demand_kw": values.get("sliding_demand"),
                "sliding_demand_at": _instant(values.get("sliding_demand_at")),
                "peak_kva": values.get("peak_kva"),
                "peak_kva_at": _instant(values.get("peak_kva_at")),
                "coverage": round(values.get("coverage", 0.0), 4),
                "complete": values.get("complete") == 1.0,
                "readings": round(values.get("readings", 0)),
                "failures": round(values.get("failures", 0)),
                "revision": round(values.get("revision", 0)),
            }
        )
    return rows


def months(configuration: Configuration, span: Span, meter: str | None) -> list[MonthDeterminants]:
    """The billing months that start in ``span``, running ones included."""
    since, until = span
    queries = configuration.queries()
    days = queries.energy(max(0, since - _LONGEST_MONTH_MS), until + _LONGEST_MONTH_MS, meter)
    stored = queries.months(since, until, meter)
    approvals = Approvals(configuration.registry, read_approval_lists(configuration.state)).by_meter()
    statements = Statements(configuration.registry, configuration.rules.tariffs)
    return list(statements.months(days, stored, approvals, since, until))


def load_block_rows(configuration: Configuration, meter: str, span: Span) -> list[dict[str, Any]]:
    """One row a quarter of an hour."""
    return [
        {
            "at": iso(one.block_start),
            **{name: one.values.get(name) for name in ("import_kwh", "export_kwh", "import_kvarh", "covered")},
            "estimated": one.values.get("estimated") == 1.0,
        }
        for one in configuration.queries().load_blocks(meter, *span)
    ]


def _instant(at: float | None) -> str | None:
    return None if at is None else iso(round(at))
