"""What all rules over electrical readings share: a screen, verdicts, lanes, and findings with their evidence.

A family of rules looks at every row with a ``screen``: a few comparisons that are true wherever one of its triggers
could be. Only rows that it lets through, and rows at which something is pending or open, are judged rule by rule; at
all others every trigger is false and nothing is remembered. So honest readings cost little, and a verdict is the same
as if every rule had been asked.

A finding carries up to eight readings: those that decided, the last one included. A finding with energy at stake that
stays open is told again every 24 hours (``updated``), with the kWh so far.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.checks.check import Energy, Finding, Lifecycle, Severity, Step
from collector.checks.sight import Sight
from collector.engine.book import Change, Pages, Trail
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import LANE_FIELDS, Advanced, advance
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask, Rows
from metering.settings import Duration, Settings

PHASES: Final = ("L1", "L2", "L3")
WHOLE: Final = ("",)

_I: Final = {name: i for i, name in enumerate(LANE_FIELDS)}
OPENED_AT: Final = _I["opened_at"]
_MS_PER_HOUR: Final = 3_600_000.0
_LONGEST_MS: Final = _MS_PER_HOUR  # a longer silence says nothing about the load in between
_DAY_MS: Final = 24 * _MS_PER_HOUR
_TRAIL: Final = 7  # readings before the one that decided
_RATINGS: Final = ("nominal_voltage_v", "base_current_a", "maximum_current_a")


class RuleSettings(Settings):
    """What every rule has: how long, and for how many readings, it must hold. A rule gives its own defaults."""

    delay: Duration
    readings: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of condition."""

    kind: str
    severity: Severity
    settings: RuleSettings
    parts: tuple[str, ...] = PHASES
    ruled_out: tuple[str, ...] = ()
    stakes: bool = False  # whether energy may be lost
    clear_readings: int | None = None  # as many as for the trigger if None


class Verdicts:
    """What the rules of a family make of some rows: matrices of lane × row."""

    def __init__(self, lanes: Mapping[str, slice], delay_ms: Floats, count: int, rows: int) -> None:
        self._lanes = lanes
        self.trigger = np.zeros((count, rows), np.bool_)
        self.clear = np.zeros((count, rows), np.bool_)
        self.known = np.zeros((count, rows), np.bool_)
        self.missing_kw = np.zeros((count, rows))  # what the meter does not see while the condition holds
        self.kwh = np.full((count, rows), np.nan)  # at stake so far, where that is known without adding up
        self.began = np.full((count, rows), np.nan)  # ms, where it began before the reading that shows it
        self.counts = np.ones((count, rows))  # what part of the time since the row before counts as held
        self.score = np.full((count, rows), 0.7)
        self.delay_ms = np.repeat(delay_ms, rows, axis=1)

    def put(self, kind: str, trigger: Mask, clear: Mask, known: Mask) -> slice:
        """The verdict of one rule; gives its lanes."""
        lanes = self._lanes[kind]
        self.trigger[lanes], self.clear[lanes], self.known[lanes] = trigger, clear, known
        return lanes


class Rules(ABC):
    """A family of rules over the same quantities."""

    name: str
    fields: tuple[str, ...] = ()
    exact = False

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """Judge by these rules."""
        self.rules = rules
        self._places = [(rule, part) for rule in rules for part in rule.parts]
        self.lanes = tuple(f"{rule.kind} {part}".strip() for rule, part in self._places)
        self.slices: dict[str, slice] = {}
        at = 0
        for rule in rules:
            self.slices[rule.kind] = slice(at, at + len(rule.parts))
            at += len(rule.parts)
        self._delay_ms = np.array([[1000.0 * rule.settings.delay] for rule, _ in self._places])
        self._readings = np.array([[float(rule.settings.readings)] for rule, _ in self._places])
        clear = [
            rule.settings.readings if rule.clear_readings is None else rule.clear_readings for rule, _ in self._places
        ]
        self._clear_readings = np.array([[float(readings)] for readings in clear])
        self._stakes = np.array([[rule.stakes] for rule, _ in self._places])

    @abstractmethod
    def concerns(self, frame: Frame) -> bool:
        """Whether the frame carries a quantity of the family."""

    @abstractmethod
    def screen(self, sight: Sight, pages: Pages) -> Mask:
        """Rows at which a trigger could be true; may be more, never less."""

    @abstractmethod
    def judge(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> None:
        """Put the verdict of every rule on some rows."""

    def facts(self, near: Sight, pages: Pages, kind: str, phase: int, i: int) -> Mapping[str, float | str]:
        """Figures that a sentence about column ``i`` needs."""
        del near, pages, kind, phase, i
        return {}

    def severity(self, rule: Rule, pages: Pages, row: int, phase: int) -> Severity:
        """How much a finding matters: by default what its rule says."""
        del pages, row, phase
        return rule.severity

    def energy(self, near: Sight, kind: str, phase: int, i: int, kwh: float) -> Energy:
        """The kWh at stake with their range: by default a fifth to each side [OURS]."""
        del near, kind, phase, i
        return Energy(0.8 * kwh, kwh, 1.2 * kwh)

    def remember(self, sight: Sight, pages: Pages, latched: Latched | None, change: Change) -> None:
        """Learn what is usual; by default nothing."""
        del sight, pages, latched, change

    def fresh(self, sight: Sight, pages: Pages) -> Mask:
        """Rows that are new to the family."""
        del pages
        return sight.fresh

    def elapsed_ms(self, near: Sight) -> Floats:
        """Since the row before."""
        return near.elapsed_ms

    def step(self, frame: Frame, fleet: Fleet, state: Pages) -> Step:
        """Screen every row; judge and latch the few that need it."""
        sight = Sight.of(frame, fleet)
        rows = np.flatnonzero((self.screen(sight, state) | state.at_work) & self.fresh(sight, state))
        change = Change()
        findings: tuple[Finding, ...] = ()
        latched = None
        if len(rows):
            near = sight.at_rows(rows)
            verdicts = Verdicts(self.slices, self._delay_ms, len(self.lanes), len(rows))
            self.judge(near, rows, state, verdicts)
            latched = self._latch(near, rows, state, verdicts)
            findings = tuple(self._findings(near, state, latched))
            change.rows, change.lanes = rows, latched.lanes
            change.at_work = np.logical_or.reduce(latched.advanced.at_work, axis=0)
            self._follow(near, state, latched, change)
        self.remember(sight, state, latched, change)
        return Step(change, findings)

    def _latch(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> Latched:
        lanes = pages.lanes(rows)
        elapsed_ms = self.elapsed_ms(near)
        kwh, score, told_at = lanes[_I["kwh"]], lanes[_I["score"]], lanes[_I["told_at"]]
        was_open = ~np.isnan(lanes[_I["opened_at"]])
        advanced = advance(
            lanes,
            np.where(np.isnan(verdicts.began), near.at, verdicts.began),
            elapsed_ms * verdicts.counts,
            (verdicts.trigger, verdicts.clear, verdicts.known),
            verdicts.delay_ms,
            (self._readings, self._clear_readings),
        )
        zero_where_unknown(kwh)
        hours = np.where(elapsed_ms <= _LONGEST_MS, elapsed_ms, 0.0) / _MS_PER_HOUR
        counts = verdicts.known & ~verdicts.clear & (was_open | verdicts.trigger) & (verdicts.missing_kw > 0)
        np.add(kwh, verdicts.missing_kw * hours, out=kwh, where=counts)
        np.copyto(kwh, verdicts.kwh, where=~np.isnan(verdicts.kwh))
        whole_days = np.floor((near.at - told_at) / _DAY_MS)
        updated = was_open & ~advanced.closed & verdicts.known & self._stakes & (whole_days >= 1)
        if advanced.opened.any() or advanced.closed.any() or updated.any():
            np.copyto(score, verdicts.score, where=advanced.opened)
            np.copyto(told_at, near.at, where=advanced.opened)
            np.copyto(told_at, told_at + whole_days * _DAY_MS, where=updated)
        told, scores = kwh.copy(), score.copy()
        lanes[_I["kwh"] :, ~advanced.at_work] = np.nan
        return Latched(rows, lanes, advanced, updated, verdicts, told, scores)

    def _findings(self, near: Sight, pages: Pages, latched: Latched) -> list[Finding]:
        advanced = latched.advanced
        changed = advanced.opened | advanced.closed | latched.updated
        found = []
        for lane, i in np.argwhere(changed).tolist():
            rule, part = self._places[lane]
            phase = PHASES.index(part) if part else 0
            lifecycle: Lifecycle = (
                "opened" if advanced.opened[lane, i] else "closed" if advanced.closed[lane, i] else "updated"
            )
            started_at = float(latched.lanes[_I["opened_at"], lane, i])
            if lifecycle != "updated":
                started_at = float(advanced.started_at[lane, i])
            ended_at = float(advanced.ended_at[lane, i]) if lifecycle == "closed" else None
            row = near.row(i)
            since = started_at if ended_at is None else ended_at
            energy = None
            if rule.stakes:
                energy = self.energy(near, rule.kind, phase, i, float(latched.kwh[lane, i]))
            found.append(
                Finding(
                    row=row,
                    kind=rule.kind,
                    lifecycle=lifecycle,
                    part=part,
                    started_at=started_at,
                    at=float(near.at[i]),
                    severity=self.severity(rule, pages, row, phase),
                    score=float(np.clip(latched.score[lane, i], 0.05, 1.0)),
                    readings=near.reading(i),
                    limits=self._limits(rule, near, i, float(latched.verdicts.delay_ms[lane, i])),
                    facts=self.facts(near, pages, rule.kind, phase, i),
                    ruled_out=rule.ruled_out,
                    energy=energy,
                    ended_at=ended_at,
                    trail=tuple(one for one in pages.trail(row) if one[0] >= since),
                )
            )
        return found

    @staticmethod
    def _limits(rule: Rule, near: Sight, i: int, delay_ms: float) -> dict[str, float]:
        """The limits in force for one meter, with the ratings they are shares of."""
        found = {name: float(value) for name, value in rule.settings if name != "delay"}
        found["delay_s"] = delay_ms / 1000
        ratings = {name: float(near.rating(name)[i]) for name in _RATINGS}
        return found | {name: value for name, value in ratings.items() if not np.isnan(value)}

    def _follow(self, near: Sight, pages: Pages, latched: Latched, change: Change) -> None:
        """Keep the last readings of meters at which something is about to be decided."""
        pending = latched.lanes[_I["count"]] > 0
        for i in np.flatnonzero(pending.any(axis=0)).tolist():
            row = near.row(i)
            if (pending[:, i] & latched.verdicts.known[:, i]).any():
                trail: Trail = (*pages.trail(row), (float(near.at[i]), near.reading(i)))
                change.trails[row] = trail[-_TRAIL:]


class EveryRowRules(Rules):
    """Rules for which every new row counts, whatever it carries."""

    def fresh(self, sight: Sight, pages: Pages) -> Mask:
        """Rows that are new, whatever else they carry."""
        del pages
        found: Mask = ~np.isnan(sight.column("row_elapsed_ms"))
        return found

    def elapsed_ms(self, near: Sight) -> Floats:
        """Since the row before, of any kind."""
        return near.column("row_elapsed_ms")


@dataclass(frozen=True, slots=True)
class Latched:
    """Lanes after a step."""

    rows: Rows
    lanes: Floats
    advanced: Advanced
    updated: Mask
    verdicts: Verdicts
    kwh: Floats  # so far, also of what has just closed
    score: Floats
