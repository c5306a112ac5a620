"""The rules on power.

    reverse_flow      潮流反向 (3007)  P of a phase < -0.5 % of base power               recover: > +0.5 %         [FW]
    overload          过载 (3008)      U·I of a phase > 1.2 × Imax × Un                  recover: < 1.1            [FW]
    low_power_factor  (300C)          PF < 0.30                                          recover: > 0.40           [FW]
    demand_limit      需量超限 (3009)   demand > 1.2 × Imax × Un of all phases            recover: < 1.1            [FW]

Base power is base current times nominal voltage. Reverse flow is not judged where generation is registered [FW]; of a
meter that shows no powers of its phases the total is judged, and a single phase by ``vector_share``. Its gates are
[OURS]: a quarter of an hour, because lifts and motors brake; and half of the phase's U·I, because a device between
two phases (an old welder) turns the power of one of them slightly negative, and a current transformer put on
backwards turns it round. Recover limits are [OURS].

A low power factor means little at little load (a standby supply is below 0.3 and honest), or where a roof supplies the
power and the network the rest: it asks for a tenth of base power, no registered generation, and a quarter of an hour.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks import vector_share
from collector.checks.check import Energy
from collector.checks.rules import PHASES, WHOLE, Latched, Rule, Rules, RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.book import Change, Pages
from collector.engine.fleet import Floats
from collector.engine.frame import Frame
from collector.store.table import Mask, Rows
from collector.tariff.calendar import BLOCK_MS
from metering.settings import Duration

_DEMANDS: Final = ("demand", "maximum_demand")
_TOTALS: Final = ("active_power", "power_factor", *_DEMANDS)


class ReverseFlowSettings(RuleSettings):
    """Limits of ``reverse_flow``."""

    power: float = Field(0.005, gt=0, description="Share of the base power that must flow back. [FW]")
    angle: float = Field(0.5, ge=0, lt=1, description="Share of U·I that must flow back. [OURS]")
    delay: Duration = Field(900.0, ge=0, description="How long it must hold; the firmware says 60 s. [OURS]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class OverloadSettings(RuleSettings):
    """Limits of ``overload``."""

    maximum: float = Field(1.2, gt=0, description="Multiple of maximum current times nominal voltage. [FW]")
    clear_maximum: float = Field(1.1, gt=0, description="Multiple below which the finding ends. [OURS]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class LowPowerFactorSettings(RuleSettings):
    """Limits of ``low_power_factor``."""

    factor: float = Field(0.30, gt=0, lt=1, description="Power factor it must fall below. [FW]")
    clear_factor: float = Field(0.40, gt=0, lt=1, description="Power factor above which the finding ends. [OURS]")
    load: float = Field(0.10, gt=0, description="Share of the base power that must be drawn, in kVA. [OURS]")
    delay: Duration = Field(900.0, ge=0, description="How long it must hold; the firmware says 60 s. [OURS]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class DemandLimitSettings(RuleSettings):
    """Limits of ``demand_limit``."""

    maximum: float = Field(1.2, gt=0, description="Multiple of maximum current times nominal voltage. [FW]")
    clear_maximum: float = Field(1.1, gt=0, description="Multiple below which the finding ends. [OURS]")
    delay: Duration = Field(0.0, ge=0, description="How long it must hold: a demand is a mean already. [OURS]")
    readings: int = Field(2, ge=1, description="Readings that must agree. [OURS]")


class Power(Rules):
    """Rules on power."""

    name = "power"
    fields = vector_share.FIELDS

    def __init__(
        self,
        reverse_flow: ReverseFlowSettings,
        overload: OverloadSettings,
        low_power_factor: LowPowerFactorSettings,
        demand_limit: DemandLimitSettings,
    ) -> None:
        """Judge by these limits."""
        super().__init__(
            (
                Rule(
                    "reverse_flow",
                    "inspect",
                    reverse_flow,
                    (*PHASES, *WHOLE),
                    ("registered_generation", "phase_angle_of_the_load"),
                    stakes=True,
                ),
                Rule("overload", "look", overload),
                Rule("low_power_factor", "look", low_power_factor, WHOLE, ("low_load", "registered_generation")),
                Rule("demand_limit", "look", demand_limit, WHOLE),
            )
        )
        self._reverse, self._overload = reverse_flow, overload
        self._factor, self._demand = low_power_factor, demand_limit

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry a power, or what makes one."""
        if "elapsed_ms" not in frame.columns:
            return False
        phased = frame.phases("active_power") is not None or frame.phases("current") is not None
        return phased or any(name in frame.columns for name in _TOTALS)

    def fresh(self, sight: Sight, pages: Pages) -> Mask:
        """Rows of any kind: demands may come without any other electrical value."""
        del pages
        found: Mask = sight.fresh | ~np.isnan(sight.column("row_elapsed_ms"))
        return found

    def elapsed_ms(self, near: Sight) -> Floats:
        """Since the electrical row before; a demand by itself adds no time."""
        return np.nan_to_num(near.elapsed_ms)

    def screen(self, sight: Sight, pages: Pages) -> Mask:
        """Power that flows back, too much of it, or hardly any of what is drawn."""
        frame, rated_kva, base_kw = sight.frame, _rated_kva(sight), _base_kw(sight)
        found = np.zeros(len(frame), np.bool_)
        if frame.phases("voltage") is not None and frame.phases("current") is not None:
            found |= sight.highest_v * sight.highest_a > (1000 * self._overload.maximum) * rated_kva
            due = _due(sight, pages)
            if due.any():
                share, _ = vector_share.share_of(sight)
                found |= due & (share < pages.learnt("vector_share") - vector_share.FELL)
        if frame.phases("active_power") is not None:
            one, two, three = sight.power
            found |= np.fmin(np.fmin(one, two), three) < -self._reverse.power * base_kw
            found |= np.fmax(np.fmax(np.abs(one), np.abs(two)), np.abs(three)) > self._overload.maximum * rated_kva
        if "active_power" in frame.columns:
            found |= sight.column("active_power") < -self._reverse.power * base_kw
        found |= _factor(sight) < self._factor.factor
        for name in _DEMANDS:
            if name in frame.columns:
                limit = self._demand.maximum * rated_kva * sight.rating("phases")
                found |= sight.column(name) > limit
        return found

    def judge(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> None:
        """All rules."""
        rated_kva, base_kw, phases = _rated_kva(near), _base_kw(near), near.rating("phases")
        alone = near.rating("pv_kw") == 0
        lanes = self._judge_reverse(near, base_kw, alone, verdicts)
        usual, quarters = (pages.learnt(name)[rows].astype(np.float64) for name in vector_share.FIELDS[1:])
        by_total = vector_share.judge(near, usual, quarters)
        unread = np.isnan(near.power) & alone
        three = slice(lanes.start, lanes.start + 3)
        np.copyto(verdicts.trigger[three], by_total.trigger, where=unread)
        np.copyto(verdicts.clear[three], by_total.clear, where=unread)
        np.copyto(verdicts.known[three], by_total.known, where=unread)
        np.copyto(verdicts.missing_kw[three], by_total.missing_kw, where=unread)
        np.copyto(verdicts.delay_ms[three], np.maximum(verdicts.delay_ms[three], vector_share.DELAY_MS), where=unread)
        phase_kva = near.voltage * near.current / 1000
        phase_kva = np.where(np.isnan(phase_kva), np.abs(near.power), phase_kva)
        over = self._overload
        verdicts.put(
            "overload",
            phase_kva > over.maximum * rated_kva,
            phase_kva < over.clear_maximum * rated_kva,
            near.connected & ~np.isnan(phase_kva),
        )
        limits, factor = self._factor, _factor(near)
        loaded = _apparent_kva(near, factor) >= limits.load * base_kw * phases
        lane = verdicts.put(
            "low_power_factor",
            (factor < limits.factor)[None],
            (factor > limits.clear_factor)[None],
            (loaded & alone & ~np.isnan(factor))[None],
        )
        verdicts.score[lane] = 0.5
        demand, limit = _demand(near), self._demand
        verdicts.put(
            "demand_limit",
            (demand > limit.maximum * rated_kva * phases)[None],
            (demand < limit.clear_maximum * rated_kva * phases)[None],
            ~np.isnan(demand)[None],
        )

    def _judge_reverse(self, near: Sight, base_kw: Floats, alone: Mask, verdicts: Verdicts) -> slice:
        limits, total = self._reverse, near.column("active_power")
        phases = near.rating("phases")
        power = np.vstack([near.power, total])
        floor = limits.power * np.vstack([base_kw, base_kw, base_kw, base_kw * phases])
        drawn = near.voltage * near.current / 1000
        drawn = np.vstack([drawn, np.nansum(np.where(near.connected, drawn, np.nan), axis=0)])
        read = near.connected & ~np.isnan(near.power)
        by_phase = (read | ~near.connected).all(axis=0)
        known = np.vstack([read, ~by_phase & ~np.isnan(total)]) & alone
        trigger = (power < -floor) & ~(-power < limits.angle * drawn)
        lanes = verdicts.put("reverse_flow", trigger, power > floor, known)
        verdicts.missing_kw[lanes] = 2 * np.maximum(-power, 0.0)  # subtracted instead of added
        verdicts.score[lanes] = np.where(drawn > 0, 0.5 + 0.5 * -power / drawn, 0.7)
        np.copyto(verdicts.score[lanes], 0.7, where=np.isnan(power))
        return lanes

    def remember(self, sight: Sight, pages: Pages, latched: Latched | None, change: Change) -> None:
        """Once a quarter of an hour the usual vector share."""
        due = _due(sight, pages)
        if not due.any():
            return
        rows = np.flatnonzero(due)
        suspected = np.zeros(len(due), np.bool_)
        if latched is not None:
            suspected[latched.rows] = latched.advanced.at_work[self.slices["reverse_flow"]].any(axis=0)
        near = sight.at_rows(rows)
        usual, quarters = (pages.learnt(name)[rows].astype(np.float64) for name in vector_share.FIELDS[1:])
        learnt = vector_share.learn(near, usual, quarters, ~suspected[rows])
        values = (np.floor(near.at / BLOCK_MS), *learnt)
        change.learnt += [(name, rows, value) for name, value in zip(vector_share.FIELDS, values, strict=True)]

    def facts(self, near: Sight, pages: Pages, kind: str, phase: int, i: int) -> dict[str, float | str]:
        """The power that the sentence names, and what it is held against."""
        del pages
        rated_kva, phases = float(_rated_kva(near)[i]), float(near.rating("phases")[i])
        if kind == "overload":
            drawn = float(near.voltage[phase, i] * near.current[phase, i] / 1000)
            return {"rated_kva": rated_kva, "phase_kva": abs(float(near.power[phase, i])) if np.isnan(drawn) else drawn}
        if kind == "low_power_factor":
            factor = _factor(near)
            return {"factor": float(factor[i]), "apparent_kva": float(_apparent_kva(near, factor)[i])}
        if kind == "demand_limit":
            return {"demand_kw": float(_demand(near)[i]), "rated_kw": rated_kva * phases}
        power, total = float(near.power[phase, i]), float(near.column("active_power")[i])
        if not np.isnan(power):
            return {"power_kw": power, "by_zh": "", "by_en": ""}
        if total < 0:
            return {"power_kw": total, "by_zh": "", "by_en": ""}
        worked_out = -float(near.voltage[phase, i] * near.current[phase, i] * near.power_factor[i]) / 1000
        return {"power_kw": worked_out, "by_zh": "（由总功率推算）", "by_en": " (worked out from the totals)"}

    def energy(self, near: Sight, kind: str, phase: int, i: int, kwh: float) -> Energy:
        """What was counted backwards is known well."""
        del near, kind, phase, i
        return Energy(0.95 * kwh, kwh, 1.05 * kwh)


def _due(sight: Sight, pages: Pages) -> Mask:
    """The first row with P, Q, U and I in each quarter of an hour: from then on a suspicion is judged at every row."""
    found: Mask = ~(sight.at / BLOCK_MS < pages.learnt("vector_quarter") + 1.0)
    if found.any():
        read = sight.column("active_power") + sight.column("reactive_power") + sight.total_a
        found &= sight.fresh & ~np.isnan(read)
    return found


def _base_kw(sight: Sight) -> Floats:
    return sight.base_a * sight.nominal_v / 1000


def _rated_kva(sight: Sight) -> Floats:
    """What one phase can carry."""
    return sight.rating("maximum_current_a") * sight.nominal_v / 1000


def _demand(sight: Sight) -> Floats:
    now = sight.column("demand")
    return np.where(np.isnan(now), sight.column("maximum_demand"), now)


def _factor(sight: Sight) -> Floats:
    """|power factor| as the meter says, or P / S, NaN where neither is known."""
    said = np.abs(sight.column("power_factor"))
    if not np.isnan(said).any():
        return said
    power = np.abs(sight.column("active_power"))
    return np.where(np.isnan(said), power / _kva(sight), said)


def _kva(sight: Sight) -> Floats:
    apparent = np.abs(sight.column("apparent_power"))
    return np.where(
        np.isnan(apparent), np.hypot(sight.column("active_power"), sight.column("reactive_power")), apparent
    )


def _apparent_kva(sight: Sight, factor: Floats) -> Floats:
    """S as the meter says, from P and Q, from U·I, or from P and the factor; the first that is known."""
    found = _kva(sight)
    drawn = np.where(sight.connected, sight.voltage * sight.current, 0.0).sum(axis=0) / 1000
    found = np.where(np.isnan(found), drawn, found)
    power = np.abs(sight.column("active_power"))
    return np.where(np.isnan(found), power / np.maximum(factor, 0.01), found)
