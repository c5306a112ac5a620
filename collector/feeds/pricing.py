"""What a price is made of: the energy and demand of an account by day and by billing month, as facts.

Prices and verdicts belong to the module that reads this. Every figure says its unit in its name; energy is kept in
whole tenths of a watt-hour, so that sums and shares are exact: a night share of exactly one half is *not* above half.
A day or month that is not ``complete`` says so and guesses nothing: part of it was not read, or part of its energy
was spread over a gap of more than one period.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from collector.registry.records import Meter
from collector.store.table import DECIMALS
from collector.tariff.trade_window import TRADE_HOURS

_SCALE: Final = 10**DECIMALS
_CENT: Final = Decimal("0.01")
_SHARE_DIGITS: Final = 6


class _Determinants(BaseModel):
    """What a day and a month have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str | None = Field(description="Pseudonym of the account; null if the meter is not registered.")
    meter: str = Field(description="The meter.")
    gateway: str = Field(description="The gateway that reads it.")
    site: str | None = Field(description="Its site.")
    timezone: str = Field(description="IANA time zone of the local day.")
    total_kwh: float = Field(description="kWh import: the sum of the four periods.")
    sharp_kwh: float = Field(description="尖: kWh import.")
    peak_kwh: float = Field(description="峰: kWh import.")
    flat_kwh: float = Field(description="平: kWh import.")
    valley_kwh: float = Field(description="谷: kWh import.")
    estimated_kwh: float = Field(description="kWh of the total whose period is an estimate: spread over a gap.")
    estimated_share: float = Field(ge=0, description="Its share of the total, 0…1.")
    export_kwh: float | None = Field(description="kWh export; null without such a register.")
    import_kvarh: float | None = Field(description="kvarh import; null without such a register.")
    night_kwh: float = Field(description="kWh at night: the tariff's night windows, or the valley without them.")
    night_share: float | None = Field(description="Its share of the total, 0…1; null if nothing was used.")
    night_share_above_half: bool = Field(description="Strictly more than half of the total, on exact integers.")
    own_window: tuple[str, ...] = Field(
        description="Hours of the trade's own window, local time. Source: source paper on tailored tariffs."
    )
    own_window_kwh: float | None = Field(description="kWh inside them: peak-window consumption.")
    own_window_share: float | None = Field(description="Its share of the total, 0…1.")
    maximum_demand_kw: float | None = Field(description="Highest mean power of a measured quarter of an hour.")
    maximum_demand_at: AwareDatetime | None = Field(description="Start of that quarter of an hour.")
    sliding_demand_kw: float | None = Field(description="Highest mean power of 15 minutes in steps of five.")
    sliding_demand_at: AwareDatetime | None = Field(description="Start of those 15 minutes.")
    peak_kva: float | None = Field(description="Highest mean apparent power of a quarter of an hour.")
    peak_kva_at: AwareDatetime | None = Field(description="Start of that quarter of an hour.")
    coverage: float = Field(ge=0, le=1, description="Share of the time that measured intervals cover.")
    complete: bool = Field(description="All of it was metered and no energy is an estimate.")
    revision: int = Field(ge=0, description="How often what was stated has changed since the first statement.")


class DayDeterminants(_Determinants):
    """A local day."""

    day: date = Field(description="The local day.")
    readings: int = Field(ge=0, description="Rows that came with values.")
    failures: int = Field(ge=0, description="Rows that came without: the meter was not read.")


class MonthDeterminants(_Determinants):
    """A billing month."""

    month: date = Field(description="First local day of the billing month.")
    running: bool = Field(description="The month is not over: the figures hold up to now.")
    power_factor: float | None = Field(description="kWh / √(kWh² + kvarh²), two decimals, half up; null without kvarh.")
    contract_kva: float | None = Field(description="Contracted capacity.")
    approved_kva: float | None = Field(description="Highest temporary capacity approved for any part of the month.")


def tenths(kwh: float) -> int:
    """Energy as whole tenths of a watt-hour, as it is stored."""
    return round(kwh * _SCALE)


def night_share(night_kwh: float, total_kwh: float) -> tuple[float | None, bool]:
    """The share, and whether it is strictly above one half."""
    night, total = tenths(night_kwh), tenths(total_kwh)
    return _share(night, total), 2 * night > total


def power_factor(kwh: float, kvarh: float) -> float | None:
    """kWh / √(kWh² + kvarh²) to two decimals, half up in decimal arithmetic; ``None`` if nothing was used."""
    active, reactive = tenths(kwh), tenths(kvarh)
    if not active and not reactive:
        return None
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(active) / Decimal(active * active + reactive * reactive).sqrt()
        return float(exact.quantize(_CENT, ROUND_HALF_UP))


def day_determinants(
    gateway: str, meter: str, day: date, values: Mapping[str, float], known: Meter | None, timezone: str
) -> DayDeterminants:
    """A row of ``energy_day`` as the pricing module reads it."""
    return DayDeterminants(
        **_common(gateway, meter, values, known, timezone),
        day=day,
        readings=round(values.get("readings", 0)),
        failures=round(values.get("failures", 0)),
    )


def month_determinants(
    gateway: str,
    meter: str,
    month: date,
    values: Mapping[str, float],
    known: Meter | None,
    timezone: str,
    *,
    approved_kva: float | None,
    running: bool,
) -> MonthDeterminants:
    """A row of ``energy_month`` as the pricing module reads it."""
    kvarh = values.get("kvarh")
    return MonthDeterminants(
        **_common(gateway, meter, values, known, timezone),
        month=month,
        running=running,
        power_factor=None if kvarh is None else power_factor(values.get("total", 0.0), kvarh),
        contract_kva=known.contract_kva if known else None,
        approved_kva=approved_kva,
    )


def _common(
    gateway: str, meter: str, values: Mapping[str, float], known: Meter | None, timezone: str
) -> dict[str, Any]:
    total = values.get("total", 0.0)
    night = values.get("night", 0.0)
    share, above_half = night_share(night, total)
    own_window = values.get("own_window")
    hours = TRADE_HOURS[known.trade] if known else ()
    return {
        "account": known.account if known else None,
        "meter": meter,
        "gateway": gateway,
        "site": known.site if known else None,
        "timezone": timezone,
        "total_kwh": total,
        **{f"{period}_kwh": values.get(period, 0.0) for period in ("sharp", "peak", "flat", "valley")},
        "estimated_kwh": values.get("estimated", 0.0),
        "estimated_share": _share(tenths(values.get("estimated", 0.0)), tenths(total)) or 0.0,
        "export_kwh": values.get("export"),
        "import_kvarh": values.get("kvarh"),
        "night_kwh": night,
        "night_share": share,
        "night_share_above_half": above_half,
        "own_window": tuple(f"{start:02d}:00-{end:02d}:00" for start, end in hours),
        "own_window_kwh": own_window,
        "own_window_share": None if own_window is None else _share(tenths(own_window), tenths(total)),
        **_peak("maximum_demand", "maximum_demand_kw", values),
        **_peak("sliding_demand", "sliding_demand_kw", values),
        **_peak("peak_kva", "peak_kva", values),
        "coverage": values.get("coverage", 0.0),
        "complete": values.get("complete") == 1.0,
        "revision": round(values.get("revision", 0)),
    }


def _peak(column: str, name: str, values: Mapping[str, float]) -> dict[str, Any]:
    at = values.get(f"{column}_at")
    return {
        name: values.get(column),
        f"{column}_at": None if at is None else datetime.fromtimestamp(at / 1000, UTC),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, _SHARE_DIGITS) if whole else None
