"""``python -m tests.bench.forecast``: what forecasts are worth in towns that they have never seen, against naïve ones.

For each seed a town is simulated (honest, benign and falsifying customers alike) and its readings go through the same
engine and days as live ones. What was said of each day is compared with what was then counted:

    same day last week, yesterday       the naïve forecasts of a curve and of a day's energy
    mean so far × days of the month     the naïve forecast of a month's energy
    the day before was above the limit  the naïve warning

Shares of errors are WAPE: Σ|forecast − counted| / Σ counted. Days that were not counted whole are left out, on both
sides; of a month a day counts if most of it was counted. The load is simulated, and so are its surprises: **the
figures show that the code does what it says**, not how it does in the field.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import typer

from collector.backtest.readings import ReadingsFile
from collector.backtest.spill import Spill
from collector.config import ChecksSettings, Rules, load_rules
from collector.days.day import ClosedDay
from collector.days.days import Days, Judged
from collector.engine.engine import Engine
from collector.engine.fleet import Fleet
from collector.events.event import Event
from collector.forecast.limits import ASSUMED_POWER_FACTOR, limits_of_day
from collector.store.table import FORECAST_BLOCK, FORECAST_DAY, FORECAST_MONTH, Table
from collector.tariff.calendar import BLOCK_MS
from simulators.history.files import write_history
from simulators.history.metering import History
from simulators.history.population import SITE
from simulators.history.span import TIMEZONE, Span
from tests.bench.figures import Figure, table

SEEDS: Final = (201, 202, 203)
STARTS: Final = (date(2026, 3, 1), date(2026, 4, 20), date(2026, 8, 25))
"""One after the other, so that holidays, summer and both festivals are among the days."""

_FILE: Final = Path("bench.json")
_NAIVE: Final = {"naive_week": 7, "naive_yesterday": 1}
_MONTH_DAYS: Final = (10, 20)
_ENOUGH: Final = 80  # quarters of a day of a month; the others count as these

Floats = npt.NDArray[np.float64]
Rows = dict[str, dict[int, dict[str, float]]]  # meter → instant → columns


@dataclass(slots=True)
class Tally:
    """Sums over towns."""

    sums: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, value: float) -> None:
        """Add to one sum."""
        self.sums[name] += value

    def share(self, part: str, whole: str) -> float:
        """One sum over another."""
        return self.sums[part] / self.sums[whole] if self.sums[whole] else float("nan")


@dataclass(slots=True)
class Town:
    """What was counted in a town, what was expected, and what was warned of."""

    rules: Rules
    fleet: Fleet
    days: list[ClosedDay] = field(default_factory=list)
    forecasts: list[Table] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def take(self, judged: Judged) -> None:
        """Take what some closed days led to."""
        self.days += [closed for _, closed in judged.closed]
        self.forecasts += judged.forecasts
        self.events += judged.events

    def customers(self) -> list[str]:
        """The meters that are no masters."""
        registry = self.rules.registry
        return [meter for meter in registry.meters if registry.mastered_by(meter) is None]


def main() -> None:
    """Simulate, forecast, compare, print, and merge the figures into ``bench.json``."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forecast", description="What forecasts are worth.")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="towns (default: %(default)s)")
    parser.add_argument("--meters", type=int, default=170, help="customers of a town (default: %(default)s)")
    parser.add_argument("--days", type=int, default=84, help="days of a town (default: %(default)s)")
    options = parser.parse_args()
    tally = Tally()
    for n, seed in enumerate(options.seeds):
        typer.echo(f"town {seed} …")
        with TemporaryDirectory() as folder:
            score(town(seed, options.meters, Span(STARTS[n % len(STARTS)], options.days), Path(folder)), tally)
    found = list(figures(tally))
    typer.echo(f"\n{len(options.seeds)} towns of {options.meters} customers, {options.days} days; simulated load\n")
    typer.echo(table(found))
    known = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else {}
    for figure in found:
        known |= {key: float(f"{value:.4g}") for key, value in figure.keys.items() if not math.isnan(value)}
    _FILE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def town(seed: int, meters: int, span: Span, folder: Path) -> Town:
    """Simulate a town and send its readings through engine and days."""
    readings = write_history(History(seed, meters, span), folder / "town", "parquet", "energy")
    rules = load_rules(folder / "town" / "registry.yaml", None, ChecksSettings())
    fleet = rules.fleet()
    engine, days = Engine(fleet, rules.checks(), rules.digest, "bench"), Days(fleet, rules.closing(), rules.digest)
    source = ReadingsFile(readings, TIMEZONE)
    (folder / "spill").mkdir()
    spill = Spill(folder / "spill", source.quantities)
    for batch, _ in source.batches():
        spill.add(batch)
    found = Town(rules, fleet)
    for day in spill.days:
        for frame in spill.frames(day, fleet, [SITE] * len(spill.meters)):
            found.take(days.take(engine.process(frame)))
    found.take(days.finish())
    return found


def score(one: Town, tally: Tally) -> None:
    """Compare what was said with what was counted."""
    curves, days = curves_of(one), rows_of(one, FORECAST_DAY)
    counted = {closed.day: dict(zip(closed.meters, closed.net.astype(np.float64), strict=True)) for closed in one.days}
    calendar = one.fleet.calendar_of_site(SITE)
    warned = {
        (event.series.meter, date.fromisoformat(str(event.evidence["sentence"]["en"]).split(" on ")[1][:10]))
        for event in one.events
        if (event.kind, event.lifecycle) == ("capacity_forecast", "opened")
    }
    for meter in one.customers():
        for day, of_meters in counted.items():
            actual = of_meters.get(meter)
            said = days.get(meter, {}).get(calendar.day_on(day).first * BLOCK_MS, {})
            if actual is None or said.get("known") != 1.0 or np.isnan(actual).any():
                continue
            tally.add("day.number", 1)
            first = calendar.day_on(day).first
            blocks = curves[meter, first * BLOCK_MS]
            naive = {name: counted.get(day - timedelta(days=n), {}).get(meter) for name, n in _NAIVE.items()}
            _score_day(tally, actual, blocks, said, naive)
            _score_warning(tally, one, meter, day, counted, warned=(meter, day) in warned)
    _score_months(tally, one, counted)


def curves_of(one: Town) -> dict[tuple[str, int], dict[str, Floats]]:
    """The forecast curves: meter and first instant of the day → column → values of its blocks."""
    found: dict[tuple[str, int], dict[str, Floats]] = {}
    for rows in (some for some in one.forecasts if some.measurement == FORECAST_BLOCK and len(some)):
        starts = np.flatnonzero(np.diff(rows.rows, prepend=-1))
        columns = {column.name: column.integers / 10.0**column.decimals for column in rows.columns}
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            meter = one.fleet.series[int(rows.rows[start])].meter
            found[meter, int(rows.at[start])] = {name: values[start:end] for name, values in columns.items()}
    return found


def rows_of(one: Town, measurement: str, made: ClosedDay | None = None) -> Rows:
    """The rows of a forecast by meter and instant; with ``made``, only those made when that day was closed."""
    found: Rows = {}
    tables = [table for table in one.forecasts if table.measurement == measurement]
    chosen = tables if made is None else [tables[one.days.index(made)]]
    for rows in chosen:
        values = {
            column.name: np.where(
                True if column.valid is None else column.valid, column.integers / 10.0**column.decimals, np.nan
            ).tolist()
            for column in rows.columns
        }
        for i, (slot, at) in enumerate(zip(rows.rows.tolist(), rows.at.tolist(), strict=True)):
            meter = one.fleet.series[slot].meter
            found.setdefault(meter, {})[at] = {name: column[i] for name, column in values.items()}
    return found


def _score_day(
    tally: Tally,
    actual: Floats,
    blocks: dict[str, Floats],
    said: dict[str, float],
    naive: dict[str, Floats | None],
) -> None:
    for share in ("80", "95"):
        low, high = blocks[f"kwh_low_{share}"], blocks[f"kwh_high_{share}"]
        tally.add(f"quarters.in_{share}", float(((low <= actual) & (actual <= high)).mean()))
        tally.add(f"day.in_{share}", said[f"kwh_low_{share}"] <= actual.sum() <= said[f"kwh_high_{share}"])
        peak = 4 * float(actual.max())
        tally.add(f"peak.in_{share}", said[f"peak_kw_low_{share}"] <= peak <= said[f"peak_kw_high_{share}"])
    others = {name: curve for name, curve in naive.items() if curve is not None and not np.isnan(curve).any()}
    if len(others) < len(naive):
        return
    ours = blocks["kwh"]
    tally.add("kwh", float(np.abs(actual).sum()))
    tally.add("day.kwh", abs(float(actual.sum())))
    tally.add("compared", 1)
    for name, curve in (("ours", ours), *others.items()):
        tally.add(f"quarters.{name}", float(np.abs(curve - actual).sum()))
        tally.add(f"day.{name}", abs(float(curve.sum() - actual.sum())))


def _score_warning(
    tally: Tally, one: Town, meter: str, day: date, counted: dict[date, dict[str, Floats]], *, warned: bool
) -> None:
    contract = one.rules.registry.meters[meter].contract_kva
    if contract is None:
        return
    slot = int(one.fleet.slots(SITE, (meter,))[0])
    limits = limits_of_day(one.fleet, slot, contract, one.fleet.calendar_of_site(SITE).day_on(day))

    def above(some: date) -> bool:
        net = counted.get(some, {}).get(meter)
        return net is not None and bool((4 * np.nan_to_num(net) / ASSUMED_POWER_FACTOR > limits).any())

    happened = above(day)
    tally.add("above", happened)
    tally.add("warned", warned)
    tally.add("warned.right", warned and happened)
    naive = above(day - timedelta(days=1))
    tally.add("warned.naive", naive)
    tally.add("warned.naive.right", naive and happened)


def _score_months(tally: Tally, one: Town, counted: dict[date, dict[str, Floats]]) -> None:
    calendar = one.fleet.calendar_of_site(SITE)
    for closed in one.days:
        first = closed.day.replace(day=1)
        days = [first + timedelta(days=n) for n in range(((first + timedelta(days=32)).replace(day=1) - first).days)]
        if closed.day.day not in _MONTH_DAYS or not all(day in counted for day in days):
            continue
        name, at = f"month.day_{closed.day.day}", calendar.day_on(first).first * BLOCK_MS
        for meter, rows in rows_of(one, FORECAST_MONTH, closed).items():
            known = [counted[day].get(meter) for day in days]
            whole = [_day_kwh(net) for net in known if net is not None and (~np.isnan(net)).sum() >= _ENOUGH]
            if one.rules.registry.mastered_by(meter) or len(whole) < len(days) or rows[at]["known"] != 1.0:
                continue
            total, so_far = sum(whole), sum(whole[: closed.day.day])
            tally.add(f"{name}.kwh", abs(total))
            tally.add(f"{name}.number", 1)
            tally.add(f"{name}.ours", abs(rows[at]["kwh"] - total))
            tally.add(f"{name}.naive", abs(so_far / closed.day.day * len(days) - total))
            for share in ("80", "95"):
                tally.add(f"{name}.in_{share}", rows[at][f"kwh_low_{share}"] <= total <= rows[at][f"kwh_high_{share}"])


def _day_kwh(net: Floats) -> float:
    return float(np.nanmean(net)) * len(net)


def figures(tally: Tally) -> Iterator[Figure]:
    """The lines of the table."""
    number = f"of {round(tally.sums['day.number'])} meter-days"
    for what, subject, whole, key in (
        ("quarters", "next day's quarters, WAPE", "kwh", "forecast.day.wape"),
        ("day", "next day's energy, WAPE", "day.kwh", "forecast.day.energy_wape"),
    ):
        ours = tally.share(f"{what}.ours", whole)
        yield Figure(subject, ours, "", {key: ours})
        for name in _NAIVE:
            naive = tally.share(f"{what}.{name}", whole)
            yield Figure(f"  {name}", naive, "", {f"{key}_{name}": naive}, ours, "the forecast", naive / ours)
    mae = tally.share("day.ours", "compared")
    yield Figure("next day's energy, mean error", mae, "kWh", {"forecast.day.energy_mae_kwh": mae})
    for what, key in (("quarters", "coverage"), ("day", "energy_coverage"), ("peak", "peak_coverage")):
        for share in ("80", "95"):
            held = tally.share(f"{what}.in_{share}", "day.number")
            yield Figure(f"{what} inside the {share} % interval", held, number, {f"forecast.day.{key}_{share}": held})
    for day in _MONTH_DAYS:
        name = f"month.day_{day}"
        ours, naive = tally.share(f"{name}.ours", f"{name}.kwh"), tally.share(f"{name}.naive", f"{name}.kwh")
        keys = {f"forecast.{name}.wape": ours, f"forecast.{name}.wape_naive": naive}
        yield Figure(f"month's energy at day {day}, WAPE", ours, "", keys, naive, "mean so far × days", naive / ours)
        for share in ("80", "95"):
            held = tally.share(f"{name}.in_{share}", f"{name}.number")
            number = f"of {round(tally.sums[f'{name}.number'])} meter-months"
            yield Figure(f"  inside the {share} % interval", held, number, {f"forecast.{name}.coverage_{share}": held})
    for subject, right, said in (
        ("capacity_forecast", "warned.right", "warned"),
        ("  naïve: above it yesterday", "warned.naive.right", "warned.naive"),
    ):
        key = "forecast.capacity" + ("_naive" if "naive" in said else "")
        precision, recall = tally.share(right, said), tally.share(right, "above")
        yield Figure(f"{subject}, precision", precision, f"of {tally.sums[said]}", {f"{key}.precision": precision})
        yield Figure(f"{subject}, recall", recall, f"of {tally.sums['above']}", {f"{key}.recall": recall})


if __name__ == "__main__":
    main()
