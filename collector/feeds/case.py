"""A case: what the inspection team works on. One meter, everything that was found about it, and what people decided."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from collector.events.message import KwhRange, Words

Status = Literal["open", "ended", "withdrawn", "confirmed", "dismissed"]
Decision = Literal["confirmed", "dismissed"]
Audience = Literal["inspector", "customer"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class VerdictGiven(BaseModel):
    """What an inspector says about a case."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"verdict": "confirmed", "by": "team-3", "cause": "current transformer open", "note": "L2"}]
        },
    )

    verdict: Decision = Field(description="confirmed: the measurement was wrong; dismissed: it was right.")
    by: str = Field(min_length=1, max_length=64, description="Who says so: a person's or team's pseudonym.")
    note: str = Field("", max_length=2000, description="What was found on site.")
    cause: str = Field("", max_length=200, description="What was the cause, in a few words.")


class Verdict(_Record):
    """A verdict as it is kept: a label for everything that spoke in the case."""

    case: str = Field(description="The case.")
    meter: str = Field(description="Its meter.")
    verdict: Decision = Field(description="What was decided.")
    by: str = Field(description="Who decided.")
    at: AwareDatetime = Field(description="When.")
    note: str = Field("", description="What was found on site.")
    cause: str = Field("", description="The cause.")
    conditions: tuple[str, ...] = Field(description="The conditions the case had then; the verdict is about them.")


class Condition(_Record):
    """One condition of a case: what its events came to."""

    condition: str = Field(description="Names it in the events.")
    kind: str = Field(description="The kind.")
    part: str = Field(description="Phase, window or feeder; empty for the whole meter.")
    severity: Literal["look", "inspect"] = Field(description="Highest of its events.")
    score: float = Field(ge=0, le=1, description="Highest of its events.")
    started_at: AwareDatetime = Field(description="When it began.")
    ended_at: AwareDatetime | None = Field(description="When it ended; null while it lasts.")
    last_at: AwareDatetime = Field(description="The reading of its newest event.")
    kwh_at_stake: KwhRange | None = Field(description="Of its newest event that says it.")
    readings: dict[str, float] = Field(description="What was read when it was found.")
    read_at: AwareDatetime = Field(description="When that was read.")
    limits: dict[str, float] = Field(description="Limits in force.")
    configuration: str = Field(description="Digest of registry, tariffs and limits in force.")
    ruled_out: tuple[str, ...] = Field(description="Innocent explanations that do not hold.")
    withdrawn: bool = Field(description="Readings that came late do not bear it out; it counts no more.")
    found: Words = Field(description="The sentence of its first event: what was found.")
    sentence: Words = Field(description="The sentence of its newest event: how it stands.")


class CaseText(_Record):
    """What to say to whom."""

    inspector: Words = Field(description="What to look at first on site.")
    customer: Words = Field(description="What it means, what happens next, what the customer can do. Accuses nobody.")


class Case(_Record):
    """A case."""

    id: str = Field(description="Made of the meter and the start of its first condition.")
    meter: str = Field(description="The meter.")
    account: str | None = Field(description="Pseudonym of the account; null if the meter is not registered.")
    site: str | None = Field(description="Its site.")
    feeder: str | None = Field(description="The feeder it hangs on, or the one whose master it is.")
    status: Status = Field(description="open; ended: quiet for 14 days; withdrawn; confirmed or dismissed by a person.")
    severity: Literal["look", "inspect"] = Field(description="inspect stands before look in the list.")
    kinds: tuple[str, ...] = Field(description="Kinds of its conditions, by name.")
    conditions: tuple[Condition, ...] = Field(description="By their start.")
    score: float = Field(ge=0, le=1, description="All evidence together.")
    kwh_at_stake: KwhRange | None = Field(description="Energy that may not have been measured; counted once.")
    rank_value: float = Field(ge=0, description="Score times kWh at stake: the list is in this order.")
    first_at: AwareDatetime = Field(description="Start of the first condition.")
    last_at: AwareDatetime = Field(description="Newest reading that decided something.")
    ends_at: AwareDatetime | None = Field(description="When it ends if nothing follows; null while a condition lasts.")
    verdict: Verdict | None = Field(description="The newest verdict.")
    text: CaseText = Field(description="What to say to whom.")
