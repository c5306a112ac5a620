"""What the store and the state file say about energy, as rows for people and for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from collector.config import Configuration
from collector.engine.checkpoint import read_approval_lists
from collector.events.event import iso
from collector.feeds.pricing import MonthDeterminants
from collector.feeds.statement import Statements
from collector.registry.approvals import Approvals
from collector.store.store import ForecastRow, Forecasts

_PERIODS: Final = ("sharp", "peak", "flat", "valley", "total")
_LONGEST_MONTH_MS: Final = 32 * 86_400_000
_FOREVER_MS: Final = 9_000_000_000_000

FORECAST_SHOWN: Final[Mapping[Forecasts, tuple[str, ...]]] = {
    "forecast_block": ("at", "kwh", "kwh_low_80", "kwh_high_80", "kwh_low_95", "kwh_high_95"),
    "forecast_day": (
        "day",
        "known",
        "kwh",
        "kwh_low_80",
        "kwh_high_80",
        "peak_kw",
        "peak_kw_low_80",
        "peak_kw_high_80",
        "peak_at",
    ),
    "forecast_month": (
        "month",
        "known",
        "days_left",
        "so_far_kwh",
        "kwh",
        "kwh_low_80",
        "kwh_high_80",
        "so_far_peak_kw",
        "peak_kw",
        "peak_kw_low_80",
        "peak_kw_high_80",
    ),
}
"""What a table shows of each; JSON has all."""

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


def forecast_rows(configuration: Configuration, kind: Forecasts, meter: str, span: Span | None) -> list[dict[str, Any]]:
    """One row a day, month or quarter of an hour; without a ``span``, those of the last day or month forecast."""
    queries = configuration.queries()
    days: Forecasts = "forecast_month" if kind == "forecast_month" else "forecast_day"
    if span is None:
        last = max((one.start for one in queries.forecasts(days, meter, 0, _FOREVER_MS)), default=0)
        span = last, _FOREVER_MS
    stated = queries.forecasts(days, meter, *span)
    site = configuration.registry.site_of(meter)
    zone = ZoneInfo(site.timezone if site else "UTC")
    if kind == "forecast_block":
        known = {_day(one.start, zone) for one in stated if one.values.get("known") == 1.0}
        blocks = queries.forecasts(kind, meter, *span)
        return [
            {"meter": meter, "at": iso(one.start), **_figures(one.values, ("kwh",))}
            for one in blocks
            if _day(one.start, zone) in known
        ]
    return [_forecast_row(meter, kind, one, zone) for one in stated]


def _forecast_row(meter: str, kind: Forecasts, one: ForecastRow, zone: ZoneInfo) -> dict[str, Any]:
    values = one.values
    known = values.get("known") == 1.0
    expected = _figures(values if known else {}, ("kwh", "peak_kw"))
    if kind == "forecast_month":
        return {
            "meter": meter,
            "month": _day(one.start, zone),
            "known": known,
            "days_left": round(values.get("days_left", 0)),
            "so_far_kwh": values.get("so_far_kwh"),
            "so_far_peak_kw": values.get("so_far_peak_kw"),
            **expected,
        }
    return {
        "meter": meter,
        "day": _day(one.start, zone),
        "known": known,
        "clean_days": round(values.get("clean_days", 0)),
        **expected,
        "peak_at": _instant(values.get("peak_at") if known else None),
    }


def _figures(values: Mapping[str, float], names: Iterable[str]) -> dict[str, float | None]:
    bounds = ("", "_low_80", "_high_80", "_low_95", "_high_95")
    return {f"{name}{bound}": values.get(f"{name}{bound}") for name in names for bound in bounds}


def _day(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).date().isoformat()


def _instant(at: float | None) -> str | None:
    return None if at is None else iso(round(at))
