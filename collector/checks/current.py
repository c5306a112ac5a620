"""The rules on phase currents, judged together because they share what is usual for the phases.

    current_loss, current_shunt, current_imbalance, severe_current_imbalance: in files of their own
    over_current      过流 (3005)  I > 1.2 Imax on a phase                                  recover: < 1.1 Imax    [FW]
    neutral_mismatch  one phase: | In - I | > 15 % of the larger and > 0.3 A, 4 readings, recover: < 10 % or < 0.2 A

Recover limits are [OURS]. A neutral that carries something else than its phase has a second way for the current
beside the meter: a bypass, a neutral shared with a neighbour, a leak to earth. The limits are [OURS], and so is the
quarter of an hour it has to hold: an earth fault trips its breaker sooner.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks import current_imbalance, current_loss, current_shunt, phase_usual
from collector.checks.check import Energy, Severity
from collector.checks.current_imbalance import CurrentImbalanceSettings, SevereCurrentImbalanceSettings
from collector.checks.current_loss import CurrentLossSettings
from collector.checks.current_shunt import CurrentShuntSettings
from collector.checks.rules import WHOLE, Latched, Rule, Rules, RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.book import Change, Pages
from collector.engine.fleet import Floats
from collector.engine.frame import Frame
from collector.store.table import Mask, Rows
from collector.tariff.calendar import BLOCK_MS
from metering.settings import Duration

_LEARNT_LANES: Final = 6  # of current_loss and current_shunt, the first of all: while one is at work nothing is learnt


class OverCurrentSettings(RuleSettings):
    """Limits of ``over_current``."""

    maximum: float = Field(1.2, gt=0, description="Multiple of the maximum current it must exceed. [FW]")
    clear_maximum: float = Field(1.1, gt=0, description="Multiple below which the finding ends. [OURS]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class NeutralMismatchSettings(RuleSettings):
    """Limits of ``neutral_mismatch``."""

    share: float = Field(0.15, gt=0, lt=1, description="Share of the larger current they may differ by. [OURS]")
    clear_share: float = Field(0.10, gt=0, lt=1, description="Share below which the finding ends. [OURS]")
    current_a: float = Field(0.3, gt=0, description="A they may differ by. [OURS]")
    clear_current_a: float = Field(0.2, gt=0, description="A below which the finding ends. [OURS]")
    delay: Duration = Field(900.0, ge=0, description="How long it must hold. [OURS]")
    readings: int = Field(4, ge=1, description="Readings that must agree. [OURS]")


class Current(Rules):
    """Rules on phase currents."""

    name = "current"
    fields = ("quarter", *phase_usual.FIELDS, *phase_usual.KEPT, *current_imbalance.FIELDS)

    def __init__(
        self,
        loss: CurrentLossSettings,
        shunt: CurrentShuntSettings,
        imbalance: CurrentImbalanceSettings,
        severe: SevereCurrentImbalanceSettings,
        over: OverCurrentSettings,
        neutral: NeutralMismatchSettings,
    ) -> None:
        """Judge by these limits."""
        changed = ("usual_imbalance", "current_loss", "low_load")
        super().__init__(
            (
                Rule(
                    current_loss.KIND,
                    "inspect",
                    loss,
                    ruled_out=("outage", "phase_never_loaded", "low_load", "usual_idle_time"),
                    stakes=True,
                ),
                Rule(
                    current_shunt.KIND,
                    "inspect",
                    shunt,
                    ruled_out=("outage", "phase_never_kept_up", "low_load", "usual_low_time"),
                    stakes=True,
                ),
                Rule(current_imbalance.KIND, "info", imbalance, WHOLE, changed),
                Rule(current_imbalance.SEVERE, "look", severe, WHOLE, changed),
                Rule("over_current", "look", over),
                Rule("neutral_mismatch", "inspect", neutral, WHOLE, ("low_load",), stakes=True),
            )
        )
        self._loss, self._shunt, self._imbalance, self._severe = loss, shunt, imbalance, severe
        self._over, self._neutral = over, neutral

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry a phase current."""
        return "elapsed_ms" in frame.columns and frame.phases("current") is not None

    def screen(self, sight: Sight, pages: Pages) -> Mask:
        """A current that is too high, or low beside the others; a quarter of an hour that ends an unusual day."""
        found: Mask = sight.highest_a > self._over.maximum * sight.rating("maximum_current_a")
        if sight.frame.phases("voltage") is not None:
            found |= current_loss.could_be(self._loss, sight)
            found |= current_shunt.could_be(self._shunt, sight, pages.learnt_of("share_l1", 3))
        if "current_n" in sight.frame.columns:
            found |= (sight.rating("phases") == 1) & ~np.isnan(sight.column("current_n"))
        due = _due(sight, pages)
        if due.any():
            found |= due & current_imbalance.could_be(self._imbalance, self._severe, _imbalance_of(pages, slice(None)))
        return found

    def judge(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> None:
        """All rules."""
        complete = near.three_phase & ~np.isnan(near.total_a) & ~np.isnan(near.voltage).any(axis=0)
        usual = phase_usual.usual_of(pages, rows)
        verdicts.counts[:_LEARNT_LANES] = np.tile(phase_usual.counts(pages, rows, near.at), (2, 1))
        own = self.slices[current_loss.KIND]
        current_loss.judge(self._loss, near, usual, complete, self._delay_ms[own], verdicts)
        own = self.slices[current_shunt.KIND]
        current_shunt.judge(self._shunt, near, usual, complete, self._delay_ms[own], verdicts)
        quarter = _due(near, pages) & near.three_phase & ~np.isnan(near.total_a)
        if quarter.any():
            current_imbalance.judge(self._imbalance, self._severe, _imbalance_of(pages, rows), quarter, verdicts)
        over, maximum_a = self._over, near.rating("maximum_current_a")
        known = near.connected & ~np.isnan(near.current)
        verdicts.put(
            "over_current",
            near.current > over.maximum * maximum_a,
            near.current < over.clear_maximum * maximum_a,
            known,
        )
        if "current_n" in near.frame.columns:
            self._judge_neutral(near, verdicts)

    def _judge_neutral(self, near: Sight, verdicts: Verdicts) -> None:
        limits = self._neutral
        neutral_a, phase_a = np.abs(near.column("current_n")), near.current[0]
        larger, difference = np.maximum(neutral_a, phase_a), np.abs(neutral_a - phase_a)
        lane = verdicts.put(
            "neutral_mismatch",
            ((difference > limits.share * larger) & (difference > limits.current_a))[None],
            ((difference < limits.clear_share * larger) | (difference < limits.clear_current_a))[None],
            ((near.rating("phases") == 1) & ~np.isnan(difference))[None],
        )
        volts = np.where(np.isnan(near.voltage[0]), near.nominal_v, near.voltage[0])
        verdicts.missing_kw[lane] = volts * np.maximum(neutral_a - phase_a, 0.0) * near.power_factor / 1000
        verdicts.score[lane] = 0.7 + 0.3 * difference / np.maximum(larger, 0.001)

    def facts(self, near: Sight, pages: Pages, kind: str, phase: int, i: int) -> dict[str, float | str]:
        """The phase's current, that of the others, and what is usual for them."""
        row = np.array([near.row(i)])
        if kind in (current_imbalance.KIND, current_imbalance.SEVERE):
            short, long, _, _ = _imbalance_of(pages, row)[:, 0].tolist()
            return {"imbalance_percent": 100 * short, "usual_percent": 100 * long}
        currents = near.current[:, i]
        if kind == "neutral_mismatch":
            return {"phase_a": float(currents[0]), "neutral_a": abs(float(near.column("current_n")[i]))}
        found: dict[str, float | str] = {"current_a": float(currents[phase])}
        usual = phase_usual.usual_of(pages, row)
        if kind == current_loss.KIND:
            found["codes"] = "3004, 3006"
            found["others_a"] = float(np.delete(currents, phase).mean())
            found["usual_others_a"] = float(usual.others[phase, 0])
        elif kind == current_shunt.KIND:
            found["others_a"] = float(np.delete(currents, phase).mean())
            found["share_percent"] = 100 * float(currents[phase] / near.median_a[i])
            found["usual_percent"] = 100 * float(usual.share[phase, 0])
        else:
            found["maximum_a"] = float(near.rating("maximum_current_a")[i])
        return found

    def severity(self, rule: Rule, pages: Pages, row: int, phase: int) -> Severity:
        """A phase without a past is looked at before it is inspected."""
        if rule.kind in (current_loss.KIND, current_shunt.KIND):
            quarters = pages.learnt(f"quarters_l{phase + 1}")[row]
            return rule.severity if quarters >= phase_usual.KNOWN_QUARTERS else "look"
        return rule.severity

    def energy(self, near: Sight, kind: str, phase: int, i: int, kwh: float) -> Energy:
        """An estimate took the mean of the other phases; its range goes from their lower to their higher current."""
        others = np.delete(near.current[:, i], phase)
        mean = float(others.mean())
        if kind == "neutral_mismatch" or not mean > 0:
            return super().energy(near, kind, phase, i, kwh)
        return Energy(kwh * float(others.min()) / mean, kwh, kwh * float(others.max()) / mean)

    def remember(self, sight: Sight, pages: Pages, latched: Latched | None, change: Change) -> None:
        """Idle times that ended; and once a quarter of an hour what is usual."""
        due = _due(sight, pages)
        if due.any():
            self._learn(sight, pages, latched, np.flatnonzero(due), change)
        if latched is not None and latched.advanced.relapsed[:_LEARNT_LANES].any():
            self._note_relapse(pages, latched, change)

    @staticmethod
    def _learn(sight: Sight, pages: Pages, latched: Latched | None, rows: Rows, change: Change) -> None:
        suspected = np.zeros(len(sight.frame), np.bool_)
        if latched is not None:
            suspected[latched.rows] = latched.advanced.at_work[:_LEARNT_LANES].any(axis=0)
        whole = len(rows) == len(sight.frame)
        near = sight if whole else sight.at_rows(rows)
        where: Rows | slice = slice(None) if whole else rows
        teaches = near.three_phase & ~suspected[rows]
        usual = phase_usual.usual_of(pages, where)
        learnt = phase_usual.learn(near, usual, teaches)
        change.learnt.append((phase_usual.FIELDS[0], where, learnt))
        eighths = phase_usual.eighth_of(near.at)
        for eighth in np.unique(eighths).tolist():
            which = np.flatnonzero(eighths == eighth)
            some = near if len(which) == len(rows) else sight.at_rows(rows[which])
            names = phase_usual.KEPT[3 * eighth : 3 * eighth + 3]
            kept = pages.learnt_of(names[0], 3)[:, rows[which]].astype(np.float64)
            dips, kept = phase_usual.learn_steadiness(
                some, learnt[3:6, which], usual.dips[:, which], kept, teaches[which]
            )
            some_rows: Rows | slice = slice(None) if whole and some is near else rows[which]
            change.learnt += [("dips_l1", some_rows, dips), (names[0], some_rows, kept)]
        imbalance = current_imbalance.learn(near, _imbalance_of(pages, where), teaches)
        change.learnt.append((current_imbalance.FIELDS[0], where, imbalance))
        change.learnt.append(("quarter", where, np.floor(near.at / BLOCK_MS)))

    def _note_relapse(self, pages: Pages, latched: Latched, change: Change) -> None:
        usual = phase_usual.usual_of(pages, latched.rows)
        for name, kind, before_ms in (
            ("idle_ms", current_loss.KIND, usual.idle_ms),
            ("low_ms", current_shunt.KIND, usual.low_ms),
        ):
            own = self.slices[kind]
            relapsed, held_ms = latched.advanced.relapsed[own], latched.advanced.held_ms[own]
            phase_usual.note_relapse(change, name, latched.rows, usual, before_ms, relapsed, held_ms)


def _due(sight: Sight, pages: Pages) -> Mask:
    """The first row with a current in each quarter of an hour."""

    def make(whole: Sight) -> Mask:
        found: Mask = ~(whole.at / BLOCK_MS < pages.learnt("quarter") + 1.0)
        if found.any():  # as once in a quarter of an hour
            found &= ~np.isnan(whole.highest_a) & whole.fresh
        return found

    return sight.shared("current due", make)


def _imbalance_of(pages: Pages, rows: Rows | slice) -> Floats:
    learnt: Floats = pages.learnt_of(current_imbalance.FIELDS[0], len(current_imbalance.FIELDS))[:, rows]
    return learnt.astype(np.float64)
