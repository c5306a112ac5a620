"""The rules on phase voltages, U in shares of the nominal voltage, I of the base current.

    voltage_loss       失压 (3000)  U < 78 % and I > 0.5 %, another phase > 85 %            recover: U > 85 %      [FW]
    undervoltage       欠压 (3001)  60 % ≤ U < 78 %                                         recover: U > 82 %      [FW]
    overvoltage        过压 (3002)  U > 120 %                                               recover: U < 115 %     [FW]
    phase_loss         断相 (3003)  U < 60 % and I < 0.5 %, another phase ≥ 78 %            recover: U > 85 %      [FW]
    voltage_imbalance  (301D)      (max - min) / max > 30 %, every phase ≥ 60 %             recover: < 25 %        [FW]
    outage             停电 (3106)  every phase < 60 % (132 of 220 V) and no load           recover: one > 80 %    [FW]

Recover limits that the catalogue leaves open are [OURS], those of 过压 after CEPRI [TERM]. In an outage nothing else
is judged: it says why there is no voltage. The gates are [OURS]: a voltage that is low on all phases is a matter of
the network and no voltage loss, unless load flows without any voltage at all (all voltage links open, 全失压). Below
60 % a voltage is lost and no longer just low. Three readings must agree: a motor's start lasts one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.rules import OPENED_AT, WHOLE, Rule, Rules, RuleSettings, Verdicts
from collector.checks.sight import Sight, others_of
from collector.engine.book import Pages
from collector.engine.frame import Frame
from collector.store.table import Mask, Rows
from metering.settings import Duration

_CARRIES: Final = 0.05  # share of the base current that no meter shows without load  [FW, from 3004]


class VoltageLossSettings(RuleSettings):
    """Limits of ``voltage_loss``."""

    voltage: float = Field(0.78, gt=0, lt=1, description="Share of the nominal voltage below which it is lost. [FW]")
    clear_voltage: float = Field(0.85, gt=0, description="Share above which it is back; another phase has it. [FW]")
    current: float = Field(0.005, gt=0, description="Share of the base current above which the phase carries. [FW]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class UndervoltageSettings(RuleSettings):
    """Limits of ``undervoltage``."""

    voltage: float = Field(0.78, gt=0, lt=1, description="Share of the nominal voltage it must fall below. [FW]")
    clear_voltage: float = Field(0.82, gt=0, description="Share above which the finding ends. [OURS]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class OvervoltageSettings(RuleSettings):
    """Limits of ``overvoltage``."""

    voltage: float = Field(1.20, gt=1, description="Share of the nominal voltage it must exceed. [FW]")
    clear_voltage: float = Field(1.15, gt=1, description="Share below which the finding ends. [TERM]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class PhaseLossSettings(RuleSettings):
    """Limits of ``phase_loss``."""

    voltage: float = Field(0.60, gt=0, lt=1, description="Share of the nominal voltage below which it is lost. [FW]")
    clear_voltage: float = Field(0.85, gt=0, description="Share above which it is back. [OURS]")
    others: float = Field(0.78, gt=0, description="Share that another phase must have. [OURS]")
    current: float = Field(0.005, gt=0, description="Share of the base current below which there is none. [FW]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class VoltageImbalanceSettings(RuleSettings):
    """Limits of ``voltage_imbalance``."""

    share: float = Field(0.30, gt=0, lt=1, description="(max - min) / max that it must exceed. [FW]")
    clear_share: float = Field(0.25, gt=0, lt=1, description="Below this the finding ends. [OURS]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class OutageSettings(RuleSettings):
    """Limits of ``outage``."""

    voltage: float = Field(0.60, gt=0, lt=1, description="Share of the nominal voltage all phases are below. [FW]")
    clear_voltage: float = Field(0.80, gt=0, description="Share above which it is over. [FW]")
    delay: Duration = Field(60.0, ge=0, description="Shortest outage. [FW]")
    longest: Duration = Field(4320 * 60.0, gt=0, description="Longest that is believed to be an outage. [FW]")
    readings: int = Field(2, ge=1, description="Readings that must agree. [OURS]")


class Voltage(Rules):
    """Rules on phase voltages."""

    name = "voltage"

    def __init__(
        self,
        voltage_loss: VoltageLossSettings,
        undervoltage: UndervoltageSettings,
        overvoltage: OvervoltageSettings,
        phase_loss: PhaseLossSettings,
        voltage_imbalance: VoltageImbalanceSettings,
        outage: OutageSettings,
    ) -> None:
        """Judge by these limits."""
        no_outage = ("outage",)
        super().__init__(
            (
                Rule("voltage_loss", "inspect", voltage_loss, ruled_out=("outage", "network_sag"), stakes=True),
                Rule("undervoltage", "look", undervoltage, ruled_out=no_outage),
                Rule("overvoltage", "look", overvoltage),
                Rule("phase_loss", "look", phase_loss, ruled_out=no_outage),
                Rule("voltage_imbalance", "look", voltage_imbalance, WHOLE, ("outage", "phase_loss")),
                Rule("outage", "info", outage, WHOLE, ("load_without_voltage",), clear_readings=1),
            )
        )
        self._loss, self._under, self._over = voltage_loss, undervoltage, overvoltage
        self._phase, self._imbalance, self._outage = phase_loss, voltage_imbalance, outage

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry a phase voltage."""
        return "elapsed_ms" in frame.columns and frame.phases("voltage") is not None

    def screen(self, sight: Sight, pages: Pages) -> Mask:
        """A voltage far from the nominal one, or from another."""
        del pages
        lowest, highest, nominal = sight.lowest_v, sight.highest_v, sight.nominal_v
        low = max(self._loss.voltage, self._under.voltage, self._phase.voltage, self._outage.voltage)
        found: Mask = (
            (lowest < low * nominal)
            | (highest > self._over.voltage * nominal)
            | (lowest < (1 - self._imbalance.share) * highest)
        )
        return found

    def judge(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> None:
        """All rules; outage first, because it keeps the others quiet."""
        del rows, pages
        connected = near.connected
        share = np.where(connected, near.voltage / near.nominal_v, np.nan)
        read = ~np.isnan(share)
        current = np.where(connected, near.current / near.base_a, np.nan)
        highest = np.fmax(np.fmax(share[0], share[1]), share[2])
        lowest = np.fmin(np.fmin(share[0], share[1]), share[2])
        others = others_of(share, np.fmax)
        complete = np.logical_and.reduce(read | ~connected, axis=0) & connected[0]
        carries = current >= _CARRIES
        dead = complete & (highest < self._outage.voltage)
        without = dead & ~carries.any(axis=0)
        verdicts.put("outage", without, highest > self._outage.clear_voltage, complete)
        known = read & ~without
        loss = self._loss
        lost = (share < loss.voltage) & (current > loss.current)
        lanes = verdicts.put(
            "voltage_loss",
            lost & ((others > loss.clear_voltage) | (dead & carries)),
            share > loss.clear_voltage,
            known & ~np.isnan(current),
        )
        missing_v = np.maximum(near.nominal_v - near.voltage, 0.0)
        verdicts.missing_kw[lanes] = missing_v * near.current * near.power_factor / 1000
        verdicts.score[lanes] = 0.8 + 0.2 * (1 - share)
        under = self._under
        low = (share < under.voltage) & (share >= self._phase.voltage)
        verdicts.put("undervoltage", low, share > under.clear_voltage, known)
        over = self._over
        verdicts.put("overvoltage", share > over.voltage, share < over.clear_voltage, read)
        phase = self._phase
        idle = ~(current >= phase.current)
        gone = (share < phase.voltage) & idle & (others >= phase.others)
        verdicts.put("phase_loss", gone, share > phase.clear_voltage, known & near.three_phase)
        spread = (highest - lowest) / highest
        lane = verdicts.put(
            "voltage_imbalance",
            (spread > self._imbalance.share)[None],
            (spread < self._imbalance.clear_share)[None],
            (read.all(axis=0) & near.three_phase & (lowest >= phase.voltage))[None],
        )
        verdicts.score[lane] = 0.5

    def facts(self, near: Sight, pages: Pages, kind: str, phase: int, i: int) -> dict[str, float | str]:
        """Voltages in V, the current in A; of an outage also how long it lasted and whether that is credible."""
        voltages = near.voltage[:, i]
        found: dict[str, float | str] = {
            "nominal_v": float(near.nominal_v[i]),
            "voltage_v": float(voltages[phase]),
            "lowest_v": float(np.nanmin(voltages)),
            "highest_v": float(np.nanmax(voltages)),
        }
        current = float(near.current[phase, i])
        if not np.isnan(current):
            found["current_a"] = current
        if kind == "outage":
            opened_at = pages.lanes(np.array([near.row(i)]))[OPENED_AT, self.slices[kind].start, 0]
            if not np.isnan(opened_at):
                lasted_s = float(near.at[i] - opened_at) / 1000
                found["minutes"] = lasted_s / 60
                found["credible"] = "yes" if lasted_s <= self._outage.longest else "no"
        return found
