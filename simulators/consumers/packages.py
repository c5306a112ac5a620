"""Packages priced on what an account really used, month by month.

    one price     total × price
    time of use   Σ period kWh × price of the period
    night         the same, with valley × 0.8 in a month that is complete and whose night share is strictly above one
                  half [source paper on tailored tariffs]; an incomplete month gets no discount, and says so

A difference is only projected to a year from complete months; the projection names how many they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from pydantic import Field, model_validator

from metering.settings import Settings

_PERIODS: Final = ("sharp", "peak", "flat", "valley")
_MONTHS_PER_YEAR: Final = 12

Month = Mapping[str, Any]
"""A month as the pricing feed states it."""


class Package(Settings):
    """One package: either one price, or one a period."""

    id: str = Field(min_length=1, description="Name of the package.")
    name_zh: str = Field(description="Chinese name.")
    name_en: str = Field(description="English name.")
    price: float | None = Field(None, gt=0, description="One price for all, yuan per kWh.")
    sharp: float | None = Field(None, gt=0, description="尖, yuan per kWh.")
    peak: float | None = Field(None, gt=0, description="峰, yuan per kWh.")
    flat: float | None = Field(None, gt=0, description="平, yuan per kWh.")
    valley: float | None = Field(None, gt=0, description="谷, yuan per kWh.")
    night_valley_factor: float | None = Field(None, gt=0, le=1, description="Times the valley price in a night month.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [getattr(self, period) is not None for period in _PERIODS]
        if any(given) if self.price is not None else not all(given):
            raise ValueError("give either price, or all of sharp, peak, flat and valley")
        return self


class Packages(Settings):
    """The file of packages."""

    illustrative: bool = Field(False, description="The prices are an example.")
    packages: tuple[Package, ...] = Field(min_length=1, description="The packages to compare.")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a package would have cost."""

    package: Package
    cost_yuan: float  # of all months that are over
    complete_cost_yuan: float  # of the complete ones
    night_months: int  # in which the discount applied


@dataclass(frozen=True, slots=True)
class Comparison:
    """All packages on the same months, the cheapest first."""

    offers: tuple[Offer, ...]
    months: int  # that are over
    complete: int
    incomplete: tuple[str, ...]  # their first days
    kwh: float

    def yearly_difference(self, offer: Offer, current: str) -> float | None:
        """Yuan a year more (+) or less (−) than the current package, from complete months; ``None`` without any."""
        base = next(one for one in self.offers if one.package.id == current)
        if not self.complete:
            return None
        return (offer.complete_cost_yuan - base.complete_cost_yuan) / self.complete * _MONTHS_PER_YEAR


def compare(months: Sequence[Month], packages: Packages) -> Comparison:
    """Price every package on the months that are over; months of several meters of an account count together."""
    over = [month for month in months if not month["running"]]
    by_date: dict[str, list[Month]] = {}
    for month in over:
        by_date.setdefault(month["month"], []).append(month)
    whole = {date for date, own in by_date.items() if all(month["complete"] for month in own)}
    offers = []
    for package in packages.packages:
        costs = {date: sum(cost(month, package) for month in own) for date, own in by_date.items()}
        nights = sum(any(_is_night(month, package) for month in own) for own in by_date.values())
        complete = sum(yuan for date, yuan in costs.items() if date in whole)
        offers.append(Offer(package, sum(costs.values()), complete, nights))
    return Comparison(
        offers=tuple(sorted(offers, key=lambda one: one.cost_yuan)),
        months=len(by_date),
        complete=len(whole),
        incomplete=tuple(sorted(set(by_date) - whole)),
        kwh=sum(month["total_kwh"] for month in over),
    )


def cost(month: Month, package: Package) -> float:
    """Yuan for one month of one meter."""
    if package.price is not None:
        return float(month["total_kwh"]) * package.price
    prices = {period: getattr(package, period) for period in _PERIODS}
    if _is_night(month, package):
        prices["valley"] *= package.night_valley_factor or 1.0
    return float(sum(month[f"{period}_kwh"] * price for period, price in prices.items()))


def _is_night(month: Month, package: Package) -> bool:
    return package.night_valley_factor is not None and month["complete"] and month["night_share_above_half"]
