"""Events and verdicts → cases, ranked: a pure fold, the same over HTTP, over MQTT and in a back-test.

What is found about one meter joins one case until 14 days after the last condition of it has closed, or until a person
has decided: what begins after a verdict is a new case, so that nothing hides in one that was dismissed. Kinds about
capacity are matters of contract, those about supply and load are not about the measurement: neither makes a case, nor
does what is for information only. A kind that is listed nowhere makes one: better seen than lost. A condition that
late readings do not bear out is withdrawn: it stays in its case, so that the case keeps its name, and counts no more.

    score       1 − Π (1 − score of a family)
    rank value  score × max(kWh at stake, 10)                                                          [OURS]

A *family* holds the kinds that look at the same thing (phase currents, voltages, registers, balance): within one the
highest score counts, because one fault raises several of them. Between families independence is assumed: they read
different columns or other meters. It does not hold exactly (one loose terminal can disturb voltage and current), so the
score orders a list; how often it is right is told by ``calibration``.

Energy at stake is counted once. Conditions that overlap in time speak of the same energy seen in different ways: the
largest is taken. Phases of one kind are different wires and add up; so do conditions apart in time. The 10 kWh are a
day of a small shop: a strong finding that cannot say its kWh is not last.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from collector.events.event import iso
from collector.events.message import KwhRange
from collector.feeds.case import Case, Condition, Status, Verdict
from collector.feeds.counsel import counsel

QUIET: Final = timedelta(days=14)
FLOOR_KWH: Final = 10.0
CONTRACT_KINDS: Final = frozenset(
    {
        "over_capacity",
        "over_approved",
        "capacity_warning",
        "temporary_capacity",
        "temporary_capacity_unused",
        "demand_limit",
    }
)
SUPPLY_KINDS: Final = frozenset(
    {
        "undervoltage",
        "overvoltage",
        "voltage_imbalance",
        "over_current",
        "overload",
        "low_power_factor",
        "outage",
        "read_failure",
        "consumption_change",
    }
)

_FAMILIES: Final[Mapping[str, str]] = {
    kind: family
    for family, kinds in {
        "current": "current_loss current_shunt current_imbalance severe_current_imbalance neutral_mismatch",
        "voltage": "voltage_loss phase_loss",
        "register": "energy_mismatch register_stopped register_fell register_sum",
        "balance": "consumption_suspect feeder_excess",
        "touched": "cover_opened terminal_cover_opened magnetic_field programmed clock_set registers_cleared",
    }.items()
    for kind in kinds.split()
}
WITHDRAWN: Final = "withdrawn"
_STAGES: Final = {"opened": 0, "updated": 1, "closed": 2}

FeederOf = Callable[[str], str | None]
Body = Mapping[str, Any]
"""A CloudEvent as it is stored."""


def makes_a_case(event: Body) -> bool:
    """Whether an event is about the measurement and asks for a look."""
    data = event["data"]
    asks = data["severity"] != "info" or data["lifecycle"] == WITHDRAWN
    return asks and data["kind"] not in CONTRACT_KINDS | SUPPLY_KINDS


def cases_of(
    events: Iterable[Body], verdicts: Iterable[Verdict], now: datetime, feeder_of: FeederOf = lambda _: None
) -> list[Case]:
    """All cases, the most urgent first.

    Args:
        events: CloudEvents in any order, copies included.
        verdicts: what people decided.
        now: decides which cases have ended.
        feeder_of: the feeder of a meter, if the registry knows one.
    """
    by_meter: dict[str, dict[str, dict[str, Body]]] = defaultdict(lambda: defaultdict(dict))
    for event in events:
        if makes_a_case(event):
            by_meter[event["data"]["meter"]][event["data"]["condition"]][event["id"]] = event
    decided: dict[str, Verdict] = {}
    for verdict in sorted(verdicts, key=lambda one: one.at):
        decided.update(dict.fromkeys(verdict.conditions, verdict))
    found = []
    for meter, conditions in by_meter.items():
        known = [one for messages in conditions.values() if (one := _condition(list(messages.values()))) is not None]
        newest = max((one for messages in conditions.values() for one in messages.values()), key=_newest)["data"]
        for group in _groups(sorted(known, key=lambda one: (one.started_at, one.condition)), decided):
            found.append(_case(meter, newest["site"], newest["account"], feeder_of(meter), group, decided, now))
    return sorted(found, key=urgency)


def _newest(event: Body) -> tuple[str, str]:
    return event["time"], event["id"]


def urgency(case: Case) -> tuple[bool, float, str]:
    """The order of the work list: inspect before look, then by rank value."""
    return case.severity != "inspect", -case.rank_value, case.id


def _condition(messages: Sequence[Body]) -> Condition | None:
    """What the messages of one condition come to; ``None`` if all that is known is that it was withdrawn."""
    stated = [one for one in messages if one["data"]["lifecycle"] != WITHDRAWN]
    withdrawn = len(stated) < len(messages)
    ordered = sorted(stated, key=lambda one: (one["time"], _STAGES.get(one["data"]["lifecycle"], 1)))
    if not ordered:
        return None
    first, last = ordered[0]["data"], ordered[-1]["data"]
    stakes = [one["data"]["evidence"]["kwh_at_stake"] for one in ordered]
    reading = first["evidence"]["readings"][-1]  # the one that decided; those before led to it
    return Condition.model_validate(
        {
            "condition": first["condition"],
            "kind": first["kind"],
            "part": first["part"],
            "severity": "inspect" if any(one["data"]["severity"] == "inspect" for one in ordered) else "look",
            "score": max(one["data"]["score"] for one in ordered),
            "started_at": first["started_at"],
            "ended_at": first["started_at"] if withdrawn else last["ended_at"],
            "last_at": ordered[-1]["time"],
            "kwh_at_stake": next((stake for stake in reversed(stakes) if stake is not None), None),
            "readings": reading["values"],
            "read_at": reading["measured_at"],
            "limits": first["evidence"]["rule"]["limits"],
            "configuration": last["evidence"]["rule"]["configuration"],
            "ruled_out": first["evidence"]["ruled_out"],
            "withdrawn": withdrawn,
            "found": first["evidence"]["sentence"],
            "sentence": last["evidence"]["sentence"],
        }
    )


def _groups(conditions: Sequence[Condition], decided: Mapping[str, Verdict]) -> list[list[Condition]]:
    """Conditions of one meter, by their start → those of each case."""
    groups: list[list[Condition]] = []
    for one in conditions:
        if groups:
            end, verdict = ends_at(groups[-1]), _verdict(groups[-1], decided)
            if (end is None or one.started_at <= end) and (verdict is None or one.started_at <= verdict.at):
                groups[-1].append(one)
                continue
        groups.append([one])
    return groups


def ends_at(conditions: Iterable[Condition]) -> datetime | None:
    """When a case ends if nothing follows; ``None`` while a condition lasts."""
    closed = [None if one.ended_at is None else max(one.last_at, one.ended_at) for one in conditions]
    known = [one for one in closed if one is not None]
    return max(known) + QUIET if len(known) == len(closed) else None


def _verdict(conditions: Iterable[Condition], decided: Mapping[str, Verdict]) -> Verdict | None:
    found = [decided[one.condition] for one in conditions if one.condition in decided]
    return max(found, key=lambda one: one.at, default=None)


def _case(
    meter: str,
    site: str | None,
    account: str | None,
    feeder: str | None,
    conditions: Sequence[Condition],
    decided: Mapping[str, Verdict],
    now: datetime,
) -> Case:
    first_at = conditions[0].started_at
    score, stake = combined_score(conditions), kwh_at_stake(conditions)
    end, verdict = ends_at(conditions), _verdict(conditions, decided)
    status: Status = "ended" if end is not None and now > end else "open"
    if verdict is not None:
        status = verdict.verdict
    elif all(one.withdrawn for one in conditions):
        status = "withdrawn"
    strongest = sorted(conditions, key=lambda one: (one.withdrawn, one.severity != "inspect", -one.score))
    own_feeder = next((one.part for one in conditions if one.kind == "feeder_excess"), None)
    return Case(
        id=case_id(meter, first_at),
        meter=meter,
        account=account,
        site=site,
        feeder=feeder or own_feeder,
        status=status,
        severity="look" if strongest[0].withdrawn else strongest[0].severity,
        kinds=tuple(sorted({one.kind for one in conditions})),
        conditions=tuple(conditions),
        score=score,
        kwh_at_stake=stake,
        rank_value=0.0 if status == "withdrawn" else round(score * max(stake.best if stake else 0.0, FLOOR_KWH), 3),
        first_at=first_at,
        last_at=max(one.last_at for one in conditions),
        ends_at=end,
        verdict=verdict,
        text=counsel(meter, [one.kind for one in strongest]),
    )


def case_id(meter: str, first_at: datetime) -> str:
    """The name of a case."""
    start = iso(round(first_at.timestamp() * 1000))
    return "case-" + hashlib.sha256(f"{meter}\n{start}".encode()).hexdigest()[:16]


def combined_score(conditions: Iterable[Condition]) -> float:
    """1 − Π (1 − score) over the families, each with its highest score."""
    highest: dict[str, float] = {}
    for one in conditions:
        if one.withdrawn:
            continue
        family = _FAMILIES.get(one.kind, one.kind)
        highest[family] = max(highest.get(family, 0.0), one.score)
    return round(1 - math.prod(1 - score for score in highest.values()), 4)


def kwh_at_stake(conditions: Iterable[Condition]) -> KwhRange | None:
    """The energy of a case: of overlapping conditions the largest kind, over spans apart in time the sum."""
    known = sorted(
        (one for one in conditions if one.kwh_at_stake is not None and not one.withdrawn),
        key=lambda one: one.started_at,
    )
    if not known:
        return None
    spans: list[list[Condition]] = []
    end: datetime | None = None
    for one in known:
        if spans and (end is None or one.started_at < end):
            spans[-1].append(one)
            end = None if end is None or one.ended_at is None else max(end, one.ended_at)
        else:
            spans.append([one])
            end = one.ended_at
    parts = [_largest(span) for span in spans]
    return KwhRange(
        low=round(sum(part.low for part in parts), 6),
        best=round(sum(part.best for part in parts), 6),
        high=round(sum(part.high for part in parts), 6),
    )


def _largest(span: Iterable[Condition]) -> KwhRange:
    """Of conditions that overlap: the kind with the most kWh, its phases added."""
    kinds: dict[str, list[KwhRange]] = defaultdict(list)
    for one in span:
        if one.kwh_at_stake is not None:
            kinds[one.kind].append(one.kwh_at_stake)
    sums = [
        KwhRange(low=sum(r.low for r in one), best=sum(r.best for r in one), high=sum(r.high for r in one))
        for one in kinds.values()
    ]
    largest = max(sums, key=lambda one: one.best)
    return largest.model_copy(update={"high": max(one.high for one in sums)})
