"""What an event looks like to those who read it: the CloudEvents message as a model.

``Event.cloudevent`` makes it; this says what stands in it, for schemas, for feeds and for whoever reads a stored body
back. A reader has to let keys pass that it does not know: later versions add some and take none away.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from collector.checks.check import Lifecycle, Severity


class Stated(BaseModel):
    """What is stated stays as it is."""

    model_config = ConfigDict(frozen=True)


class KwhRange(Stated):
    """kWh that may not have been measured."""

    low: float = Field(ge=0, description="At least.")
    best: float = Field(ge=0, description="Most likely.")
    high: float = Field(ge=0, description="At most.")


class Words(Stated):
    """The same text in two languages."""

    zh: str = Field(description="Chinese.")
    en: str = Field(description="English.")


class Rule(Stated):
    """The rule that decided, and what it went by."""

    name: str = Field(description="The kind.")
    limits: dict[str, float] = Field(description="Limits in force.")
    configuration: str = Field(description="Digest of registry, tariffs and limits in force.")


class Reading(Stated):
    """What was read at the instant that decided."""

    measured_at: AwareDatetime = Field(description="When.")
    values: dict[str, float] = Field(description="Quantity → value: kW, kvar, kVA, kWh, kvarh, V, A, Hz.")


class Evidence(Stated):
    """What an event stands on."""

    rule: Rule = Field(description="The rule.")
    readings: tuple[Reading, ...] = Field(description="The readings that decided.")
    figures: dict[str, float] = Field(description="Figures that follow from the readings.")
    ruled_out: tuple[str, ...] = Field(description="Innocent explanations that were looked at and do not hold.")
    kwh_at_stake: KwhRange | None = Field(description="Energy that may not have been measured, if it can be said.")
    sentence: Words = Field(description="One plain sentence.")


class EventData(Stated):
    """What happened."""

    condition: str = Field(description="Names the condition: opened, updated and closed share it.")
    kind: str = Field(description="The kind, for example current_loss.")
    lifecycle: Lifecycle | Literal["withdrawn"] = Field(
        description="Where the condition stands; withdrawn: readings that came late do not bear it out."
    )
    meter: str = Field(description="The meter.")
    gateway: str = Field(description="The gateway that reads it.")
    part: str = Field(description="Phase, window or feeder it is about; empty for the whole meter.")
    site: str | None = Field(description="Site, if the meter is registered.")
    account: str | None = Field(description="Pseudonym of the account; never a name.")
    started_at: AwareDatetime = Field(description="When the condition began.")
    ended_at: AwareDatetime | None = Field(description="When it ended; null while it lasts.")
    severity: Severity = Field(description="info, look or inspect.")
    score: float = Field(ge=0, le=1, description="How sure the rule is.")
    evidence: Evidence = Field(description="What it stands on.")


class EventMessage(Stated):
    """One event as a CloudEvents 1.0 message."""

    specversion: Literal["1.0"] = Field(description="Of CloudEvents.")
    id: str = Field(description="Names the message: a copy has the same id.")
    source: str = Field(description="/wattline/<gateway>.")
    type: str = Field(pattern=r"^wattline\.[a-z0-9_]+\.[a-z]+$", description="wattline.<kind>.<lifecycle>.")
    subject: str = Field(description="The meter.")
    time: AwareDatetime = Field(description="The reading that decided.")
    datacontenttype: Literal["application/json"] = Field(description="Of data.")
    data: EventData = Field(description="What happened.")
