"""What the registry file holds, record by record.

It is the utility's knowledge about its meters: where they hang, what they are rated for, what was contracted,
approved and announced. Pseudonyms only. Everything a check may take as an innocent explanation stands here too
(closures, work orders, changes of tenant, generation), because a suppressor nobody wrote down cannot suppress.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field

from collector.tariff.periods import Tariff
from metering.settings import Identifier, Settings, TimeZone

Trade = Literal["retail", "manufacturing", "catering", "logistics", "ecommerce", "other"]


class Site(Settings):
    """A park, a street, a building: what shares a calendar and a tariff."""

    id: Identifier = Field(description="Name of the site.")
    timezone: TimeZone = Field("Asia/Shanghai", description="IANA time zone of local days and tariff periods.")
    tariff: Identifier = Field("illustrative", description="Tariff in force: the id of a tariff.")
    billing_day: int = Field(1, ge=1, le=28, description="Local day of the month on which a billing month starts.")
    holidays: tuple[date, ...] = Field((), description="Local dates that count as holidays.")
    festivals: tuple[date, ...] = Field((), description="Local dates of sales festivals (618, 双11): surges expected.")


class Feeder(Settings):
    """A line with a master meter: what the master counts is what its meters count, plus loss."""

    id: Identifier = Field(description="Name of the feeder.")
    site: Identifier = Field(description="Site the feeder belongs to.")
    master: Identifier = Field(description="Its master meter, which is listed under meters too.")


class Meter(Settings):
    """One meter: ratings of the device, and what was contracted for the account behind it."""

    id: Identifier = Field(description="The same name as on the gateway.")
    site: Identifier = Field(description="Site the meter belongs to.")
    feeder: Identifier | None = Field(None, description="Feeder the meter hangs on; a master names none of its own.")
    account: Identifier | None = Field(None, description="Pseudonym of the account; never a name.")
    trade: Trade = Field("other", description="Trade of the account.")
    phases: Literal[1, 3] = Field(3, description="Phases of the connection.")
    nominal_voltage_v: float = Field(230.0, gt=0, description="Nominal phase voltage, V.")
    base_current_a: float = Field(5.0, gt=0, description="Base (reference) current, A, on the primary side.")
    maximum_current_a: float | None = Field(
        None, gt=0, description="Maximum current, A, primary side; without it no load and no jump is too high."
    )
    contract_kva: float | None = Field(None, gt=0, description="Contracted capacity, kVA.")
    pv_kw: float = Field(0.0, ge=0, description="Registered generation (PV) behind the meter, kW; 0 = none.")


class _Window(Settings):
    """Something about one meter from ``from`` until just before ``to``."""

    model_config = ConfigDict(populate_by_name=True)

    meter: Identifier = Field(description="Meter it is about.")
    starts_at: AwareDatetime = Field(alias="from", description="First instant of the window.")
    ends_at: AwareDatetime = Field(alias="to", description="First instant after the window.")


class Approval(_Window):
    """Temporary capacity (临时增容) for a meter."""

    id: Identifier | None = Field(None, description="Name, so that a later list can take its place.")
    kva: float = Field(gt=0, description="Capacity inside the window, kVA.")
    requested_at: AwareDatetime | None = Field(None, description="When the customer asked for it.")
    approved_at: AwareDatetime | None = Field(None, description="When it was approved.")
    status: Literal["requested", "approved", "refused"] = Field(
        "approved", description="Only what is approved lifts a limit."
    )


class Closure(Settings):
    """Days on which an account announced to be closed: low use is what it said."""

    model_config = ConfigDict(populate_by_name=True)

    meter: Identifier = Field(description="Meter of the account.")
    first: date = Field(alias="from", description="First local date.")
    last: date = Field(alias="to", description="Last local date, included.")


class WorkOrder(_Window):
    """Approved work at a meter: opened covers, set clocks and moved registers are part of it."""

    kind: Literal["inspection", "maintenance", "exchange"] = Field(
        "maintenance", description="An exchange puts another device, with other registers, in the place."
    )


class Change(Settings):
    """A change that makes the past no measure of the future."""

    meter: Identifier = Field(description="Meter of the account.")
    on: date = Field(description="First local date after the change.")
    kind: Literal["tenant", "contract", "equipment"] = Field("tenant", description="What changed.")


class RegistrySettings(Settings):
    """The registry file."""

    version: Literal[1] = Field(1, description="Version of this format.")
    sites: tuple[Site, ...] = Field((), description="Sites.")
    feeders: tuple[Feeder, ...] = Field((), description="Lines with a master meter.")
    meters: tuple[Meter, ...] = Field((), description="Meters.")
    approvals: tuple[Approval, ...] = Field((), description="Temporary capacity.")
    closures: tuple[Closure, ...] = Field((), description="Announced closures.")
    work_orders: tuple[WorkOrder, ...] = Field((), description="Approved work at meters.")
    changes: tuple[Change, ...] = Field((), description="Changes of tenant, contract or equipment.")
    tariffs: tuple[Tariff, ...] = Field((), description="Tariffs of this registry, besides those of the folder.")
