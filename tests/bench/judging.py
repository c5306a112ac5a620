"""What a back-test found against what was really done: pure arithmetic on meter-days and cases.

Three kinds are judged apart, for an average would hide the hard one.

    falsification  a meter-day counts as found if ``consumption_suspect`` is open on it; honest meter-days are all
                   others, without days of an electrical incident and 14 days after any incident (a case may still be
                   open then, and rightly so). AUC by rank on the scores, ties halved. A day without a score was not
                   judged: it stands below every score, and is not found.
    electrical     a case counts as found if an event of an expected kind opens at the right meter inside its window.
                   False are days with any event of an electrical kind on meters without an electrical incident,
                   except kinds that state no more than the truth (``allowed``) and events that are mere information.
    capacity       the same with the kinds of capacity.

``feeder_excess`` is about a feeder: it is false where nobody on the feeder falsifies and nothing there is broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

ZONE: Final = ZoneInfo("Asia/Shanghai")
SUSPECT: Final = "consumption_suspect"
FEEDER: Final = "feeder_excess"
CAPACITY: Final = frozenset(("over_capacity", "over_approved", "temporary_capacity"))
ANY: Final = "any"
BY_LINE: Final = "falsification by line"

_GRACE_DAYS: Final = 14
_LATE: Final = timedelta(days=1)  # a rule that works on closed days speaks after the day

MeterDay = tuple[str, date]


@dataclass(frozen=True, slots=True)
class Incident:
    """One line of the truth."""

    meter: str
    scenario: str
    of: str  # class
    begins: datetime
    ends: datetime
    days: tuple[date, ...]
    expected: frozenset[str]
    allowed: frozenset[str]

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Incident:
        """From a line of ``truth.jsonl``."""
        return cls(
            meter=line["meter_id"],
            scenario=line["scenario"],
            of=line["class"],
            begins=datetime.fromisoformat(line["from"]),
            ends=datetime.fromisoformat(line["to"]),
            days=tuple(date.fromisoformat(day) for day in line["days"]),
            expected=frozenset(line["expected"]),
            allowed=frozenset(line["allowed"]),
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a meter, from all its events."""

    kind: str
    meter: str
    severity: str
    started_at: datetime
    opened_at: datetime  # the reading that decided
    ended_at: datetime | None

    def days(self, last: date) -> Iterable[date]:
        """Local dates on which it is open, up to the last of the history."""
        day = self.started_at.astimezone(ZONE).date()
        end = last
        if self.ended_at is not None:
            end = min(last, max(day, (self.ended_at - timedelta(milliseconds=1)).astimezone(ZONE).date()))
        while day <= end:
            yield day
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class World:
    """Who is there, and what was done."""

    first: date
    days: int
    feeder_of: Mapping[str, str | None]  # of customers
    masters: Mapping[str, str]  # master → feeder
    incidents: Sequence[Incident]

    @property
    def last(self) -> date:
        """Last local date."""
        return self.first + timedelta(days=self.days - 1)

    @property
    def dates(self) -> list[date]:
        """All local dates."""
        return [self.first + timedelta(days=n) for n in range(self.days)]


@dataclass(slots=True)
class Found:
    """Cases of one word of the catalogue: how many, how many found, after how many days."""

    cases: int = 0
    found: int = 0
    days: int = 0  # meter-days of the cases
    found_days: int = 0
    delays: list[int] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take the cases of another seed in."""
        self.cases += other.cases
        self.found += other.found
        self.days += other.days
        self.found_days += other.found_days
        self.delays += other.delays

    @property
    def case_rate(self) -> float:
        """Share of the cases found."""
        return self.found / self.cases if self.cases else float("nan")

    @property
    def day_rate(self) -> float:
        """Share of the meter-days found."""
        return self.found_days / self.days if self.days else float("nan")

    @property
    def median_delay(self) -> float:
        """Days from the beginning of a found case to its event."""
        return float(median(self.delays)) if self.delays else float("nan")


@dataclass(slots=True)
class Judgement:
    """What one or several back-tests were worth."""

    found: dict[tuple[str, str], Found] = field(default_factory=dict)  # (class, scenario)
    false_days: Counter[tuple[str, str]] = field(default_factory=Counter)  # (class, kind), days
    honest_days: Counter[str] = field(default_factory=Counter)  # class → days
    true_scores: list[float] = field(default_factory=list)
    honest_scores: list[float] = field(default_factory=list)

    def add(self, other: Judgement) -> None:
        """Pool with another."""
        for key, found in other.found.items():
            self.found.setdefault(key, Found()).add(found)
        self.false_days.update(other.false_days)
        self.honest_days.update(other.honest_days)
        self.true_scores += other.true_scores
        self.honest_scores += other.honest_scores

    def whole(self, of: str) -> Found:
        """All cases of a class."""
        total = Found()
        for (one, _), found in self.found.items():
            if one == of:
                total.add(found)
        return total

    def false_per_1000(self, of: str, kind: str) -> float:
        """False meter-days of a kind for each 1000 honest ones."""
        honest = self.honest_days[of]
        return 1000 * self.false_days[of, kind] / honest if honest else float("nan")

    @property
    def auc(self) -> float:
        """Of the scores of falsified against honest meter-days."""
        return auc(np.array(self.true_scores), np.array(self.honest_scores))


def conditions(events: Iterable[Mapping[str, Any]]) -> list[Condition]:
    """Conditions from CloudEvents, in the order in which they opened."""
    found: dict[str, Condition] = {}
    for event in events:
        data = event["data"]
        ended = data["ended_at"]
        before = found.get(data["condition"])
        found[data["condition"]] = Condition(
            kind=data["kind"],
            meter=data["meter"],
            severity=data["severity"],
            started_at=datetime.fromisoformat(data["started_at"]),
            opened_at=datetime.fromisoformat(event["time"]) if before is None else before.opened_at,
            ended_at=None if ended is None else datetime.fromisoformat(ended),
        )
    return list(found.values())


def judge(world: World, opened: Sequence[Condition], scores: Mapping[MeterDay, float]) -> Judgement:
    """Everything at once."""
    judgement = Judgement()
    _falsification(world, opened, scores, judgement)
    _cases(world, opened, judgement, "electrical")
    _cases(world, opened, judgement, "capacity")
    _false(world, opened, judgement)
    _feeders(world, opened, judgement)
    return judgement


def auc(true: npt.NDArray[np.float64], honest: npt.NDArray[np.float64]) -> float:
    """Probability that a true one scores above an honest one, ties halved; NaN if either is missing."""
    if not len(true) or not len(honest):
        return float("nan")
    _, place, counts = np.unique(np.concatenate([true, honest]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above = ranks[: len(true)].sum() - len(true) * (len(true) + 1) / 2
    return float(above / len(true) / len(honest))


def _falsification(
    world: World, opened: Sequence[Condition], scores: Mapping[MeterDay, float], judgement: Judgement
) -> None:
    suspects = [one for one in opened if one.kind == SUSPECT]
    flagged = {(one.meter, day) for one in suspects for day in one.days(world.last)}
    falsified: set[MeterDay] = set()
    excluded: set[MeterDay] = set()
    for one in world.incidents:
        if one.of not in ("falsification", "electrical"):
            continue
        days = {(one.meter, day) for day in one.days}
        (falsified if one.of == "falsification" else excluded).update(days)
        excluded |= {(one.meter, one.days[-1] + timedelta(days=n)) for n in range(1, _GRACE_DAYS + 1)}
        if one.of == "falsification":
            line = "under_a_master" if world.feeder_of.get(one.meter) else "under_no_master"
            for key in ((one.of, one.scenario), (BY_LINE, line)):
                found = judgement.found.setdefault(key, Found())
                _count(found, one, [event for event in suspects if event.meter == one.meter])
                found.days += len(days)
                found.found_days += len(days & flagged)
    honest = {(meter, day) for meter in world.feeder_of for day in world.dates} - falsified - excluded
    judgement.honest_days["falsification"] = len(honest)
    judgement.false_days["falsification", SUSPECT] = len(honest & flagged)
    judgement.true_scores = [scores.get(place, -1.0) for place in falsified]
    judgement.honest_scores = [scores.get(place, -1.0) for place in honest]


def _cases(world: World, opened: Sequence[Condition], judgement: Judgement, of: str) -> None:
    for one in world.incidents:
        if one.of == of:
            found = judgement.found.setdefault((of, one.scenario), Found())
            _count(found, one, [event for event in opened if event.meter == one.meter and event.kind in one.expected])


def _count(found: Found, one: Incident, events: Sequence[Condition]) -> None:
    times = [event.opened_at for event in events if one.begins <= event.opened_at <= one.ends + _LATE]
    found.cases += 1
    if times:
        found.found += 1
        found.delays.append((min(times) - one.begins).days)


def _false(world: World, opened: Sequence[Condition], judgement: Judgement) -> None:
    """Days with a false event, by class and kind, and of any electrical kind together."""
    having = {of: {one.meter for one in world.incidents if one.of == of} for of in ("electrical", "capacity")}
    allowed = {(one.meter, kind, day) for one in world.incidents for kind in one.allowed for day in one.days}
    meters = {*world.feeder_of, *world.masters}
    for of, touched in having.items():
        judgement.honest_days[of] = len(meters - touched) * world.days
    days: dict[tuple[str, str], set[MeterDay]] = {}
    for one in opened:
        if one.kind in (SUSPECT, FEEDER) or (one.severity == "info" and one.kind not in CAPACITY):
            continue
        of = "capacity" if one.kind in CAPACITY else "electrical"
        if one.meter in having[of]:
            continue
        false = {(one.meter, day) for day in one.days(world.last) if (one.meter, one.kind, day) not in allowed}
        for kind in (one.kind, ANY):
            days.setdefault((of, kind), set()).update(false)
    judgement.false_days.update({key: len(places) for key, places in days.items() if places})


def _feeders(world: World, opened: Sequence[Condition], judgement: Judgement) -> None:
    troubled = {
        (world.feeder_of.get(one.meter), day)
        for one in world.incidents
        if one.of in ("falsification", "electrical")
        for day in one.days
    }
    judgement.honest_days["feeder"] = sum(
        (feeder, day) not in troubled for feeder in world.masters.values() for day in world.dates
    )
    judgement.false_days["feeder", FEEDER] = len(
        {
            (one.meter, day)
            for one in opened
            if one.kind == FEEDER
            for day in one.days(world.last)
            if (world.masters.get(one.meter), day) not in troubled
        }
    )
