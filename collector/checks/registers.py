"""The rules on energy registers.

    register_fell     倒走 (310B)  the import register is lower than it was, by > 0.02 kWh, in two readings       [FW]
    register_stopped  停走 (310E)  it stands still while the power since it last moved makes 0.1 kWh             [TERM]
                                 or ten of its steps, in at least 15 min [FW] and 4 readings [OURS]
    register_sum      示值不平      | total - (t1 + … + t4) | > 0.1 kWh and five steps                            [OURS]

A fall is confirmed by a second reading, so a transient zero is none. A register that rolled over and one that a
registered exchange put in its place fell for a reason. The finding is about the fall: it ends with the first reading
that counts on from the new level. Higher levels are believed as ``register_difference`` believes them.

A step is the smallest rise the meter was seen to make. Power below half a per cent of base power counts as none: a
meter may stand still below its starting current (IEC 62053). ``register_stopped`` takes for every interval the lower of
the powers at its ends, as ``energy_mismatch`` gives it, and no uneven intervals.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.check import Energy
from collector.checks.register_difference import IMPORT
from collector.checks.rules import WHOLE, Latched, Rule, Rules, RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.book import Change, Pages
from collector.engine.fleet import Floats
from collector.engine.frame import Frame
from collector.registry.registry import milliseconds
from collector.store.table import Mask, Rows
from metering.settings import Duration

TARIFFS: Final = tuple(f"active_energy_import_t{i}" for i in (1, 2, 3, 4))

_ROLLS_AT: Final = tuple(10.0**digits for digits in range(4, 9))
_LEAST_STEP_KWH: Final = 0.0005
_LEAST_KW: Final = 0.02  # where no rating is known
_MS_PER_HOUR: Final = 3_600_000.0
_ROLLED: Final = 0.05  # share of its range that a register stands from either end when it rolls over


class RegisterFellSettings(RuleSettings):
    """Limits of ``register_fell``."""

    kwh: float = Field(0.02, gt=0, description="kWh it must be lower by: two steps of 0.01 kWh. [OURS]")
    delay: Duration = Field(0.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(2, ge=1, description="Readings that must agree. [FW]")


class RegisterStoppedSettings(RuleSettings):
    """Limits of ``register_stopped``."""

    kwh: float = Field(0.1, gt=0, description="kWh that the power makes meanwhile. [TERM]")
    steps: float = Field(10.0, gt=0, description="The same in steps of the register. [OURS]")
    starting: float = Field(0.005, gt=0, description="Share of base power that a meter may leave uncounted. [OURS]")
    at_least: int = Field(4, ge=1, description="Readings with power meanwhile. [OURS]")
    delay: Duration = Field(900.0, ge=0, description="How long it must stand still. [FW]")
    readings: int = Field(1, ge=1, description="Readings that must agree after that. [OURS]")


class RegisterSumSettings(RuleSettings):
    """Limits of ``register_sum``."""

    kwh: float = Field(0.1, gt=0, description="kWh that total and sum may differ by. [OURS]")
    steps: float = Field(5.0, gt=0, description="Steps of the register they may differ by: five are cut off. [OURS]")
    delay: Duration = Field(900.0, ge=0, description="How long it must hold. [OURS]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")


class Registers(Rules):
    """Rules on energy registers."""

    name = "registers"
    exact = True
    fields = ("read_at", "level_kwh", "moved_at", "still_kwh", "still_readings", "step_kwh")

    def __init__(
        self, fell: RegisterFellSettings, stopped: RegisterStoppedSettings, total: RegisterSumSettings
    ) -> None:
        """Judge by these limits."""
        super().__init__(
            (
                Rule(
                    "register_fell",
                    "inspect",
                    fell,
                    WHOLE,
                    ("transient_value", "rollover", "registered_exchange"),
                    stakes=True,
                    clear_readings=1,
                ),
                Rule(
                    "register_stopped",
                    "inspect",
                    stopped,
                    WHOLE,
                    ("resolution_of_the_register", "starting_current", "uneven_intervals"),
                    stakes=True,
                    clear_readings=1,
                ),
                Rule("register_sum", "inspect", total, WHOLE, ("resolution_of_the_register",), stakes=True),
            )
        )
        self._fell, self._stopped, self._sum = fell, stopped, total
        self._delay_ms[self.slices["register_stopped"]] = 0.0  # measured from when it last moved

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry the import register, or power to hold against it."""
        return "row_elapsed_ms" in frame.columns and (IMPORT.quantity in frame.columns or "least_kwh" in frame.columns)

    def fresh(self, sight: Sight, pages: Pages) -> Mask:
        """Rows whose register or power is new."""
        return _read(sight, pages, slice(None)) | ~np.isnan(sight.column("least_ms"))

    def elapsed_ms(self, near: Sight) -> Floats:
        """Since the row before, of any kind."""
        return np.nan_to_num(near.column("row_elapsed_ms"))

    def screen(self, sight: Sight, pages: Pages) -> Mask:
        """A register that is lower, one that should have moved, or five that do not add up."""
        register, level = sight.column(IMPORT.quantity), pages.learnt("level_kwh")
        found: Mask = register <= level
        if found.any():
            still_kwh = pages.learnt("still_kwh") + np.nan_to_num(sight.column("least_kwh"))
            found &= (register < level - self._fell.kwh) | (still_kwh >= self._stopped.kwh)
        if all(name in sight.frame.columns for name in TARIFFS):
            found |= np.abs(_excess(sight)) > self._sum.kwh
        return found

    def judge(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> None:
        """All rules."""
        level, step = pages.learnt("level_kwh")[rows], pages.learnt("step_kwh")[rows]
        register, read = near.column(IMPORT.quantity), _read(near, pages, rows)
        fell = read & (register < level - self._fell.kwh)
        for i in np.flatnonzero(fell).tolist():
            fell[i] = not self._explained(near, pages, int(rows[i]), i)
        lane = verdicts.put("register_fell", fell[None], (register >= level)[None], read[None])
        verdicts.kwh[lane] = np.where(fell, level - register, np.nan)
        still_kwh, still_readings = self._still(near, pages, rows)
        limits = self._stopped
        enough = still_kwh >= np.fmax(limits.kwh, limits.steps * step)
        moved_at = pages.learnt("moved_at")[rows]
        long = near.at - moved_at >= 1000 * limits.delay
        moved = read & (register > level)
        stands = (
            read
            & (np.abs(register - level) <= self._fell.kwh)
            & ~moved
            & enough
            & long
            & (still_readings >= limits.at_least)
            & ~np.isnan(step)
        )
        lane = verdicts.put("register_stopped", stands[None], moved[None], (stands | moved)[None])
        verdicts.score[lane] = 0.8
        verdicts.kwh[lane] = np.where(stands, still_kwh, np.nan)
        verdicts.began[lane] = np.where(stands, moved_at, np.nan)
        away = np.abs(_excess(near))
        tolerance = np.fmax(self._sum.kwh, self._sum.steps * step)
        lane = verdicts.put(
            "register_sum", (away > tolerance)[None], (away <= tolerance)[None], (read & ~np.isnan(away))[None]
        )
        verdicts.score[lane] = 0.7 + 0.3 * np.clip(away / np.maximum(register, 1.0), 0.0, 1.0)
        verdicts.kwh[lane] = away

    def facts(self, near: Sight, pages: Pages, kind: str, phase: int, i: int) -> dict[str, float | str]:
        """Both registers, or register and power."""
        del phase
        row = np.array([near.row(i)])
        register, before = float(near.column(IMPORT.quantity)[i]), float(pages.learnt("level_kwh")[row[0]])
        if kind == "register_sum":
            parts = sum(float(near.column(name)[i]) for name in TARIFFS)
            return {"register_kwh": register, "sum_kwh": parts, "difference_kwh": register - parts}
        if kind == "register_fell":
            return {"before_kwh": before, "after_kwh": register}
        still_kwh = float(pages.learnt("still_kwh")[row[0]]) + float(np.nan_to_num(near.column("least_kwh")[i]))
        return {"register_kwh": register, "expected_kwh": still_kwh}

    def energy(self, near: Sight, kind: str, phase: int, i: int, kwh: float) -> Energy:
        """What lies between two registers is exact; what a still register missed comes from sampled power."""
        del near, phase, i
        spread = 0.1 if kind == "register_stopped" else 0.0
        return Energy((1 - spread) * kwh, kwh, (1 + spread) * kwh)

    def remember(self, sight: Sight, pages: Pages, latched: Latched | None, change: Change) -> None:
        """Level, step and what power has made since the register moved."""
        every = slice(None)
        register, read = sight.column(IMPORT.quantity), _read(sight, pages, every)
        level, step = pages.learnt("level_kwh"), pages.learnt("step_kwh")
        rise = register - level
        believed = read & (sight.column("import_kwh") >= 0)
        moves = (believed & (rise > 0)) | (read & np.isnan(level))
        rebased = np.zeros(len(read), np.bool_)
        if latched is not None:
            lane = self.slices["register_fell"].start
            rebased[latched.rows] = latched.advanced.opened[lane]
            lower = np.flatnonzero(believed & (rise < -self._fell.kwh) & ~rebased)
            rebased[lower] = [self._explained(sight, pages, int(row), int(row)) for row in lower]
        anew = moves | rebased
        if anew.all():  # as nearly always where a reading is rarer than a step
            news = (sight.at, register, sight.at, np.zeros(len(read)), np.zeros(len(read)))
        else:
            still_kwh, still_readings = self._still(sight, pages, every)
            news = (
                np.where(read, sight.at, pages.learnt("read_at")),
                np.where(anew, register, level),
                np.where(anew, sight.at, pages.learnt("moved_at")),
                np.where(anew, 0.0, still_kwh),
                np.where(anew, 0.0, still_readings),
            )
        change.learnt += [(name, every, values) for name, values in zip(self.fields[:-1], news, strict=True)]
        smaller = moves & (rise > _LEAST_STEP_KWH) & ~(step <= rise)
        if smaller.any():
            change.learnt.append(("step_kwh", every, np.where(smaller, rise, step)))

    def _still(self, sight: Sight, pages: Pages, rows: Rows | slice) -> tuple[Floats, Floats]:
        """kWh and readings of power since the register last moved, this row included."""
        kwh, span_ms = sight.column("least_kwh"), sight.column("least_ms")
        starting_kw = self._stopped.starting * sight.base_a * sight.nominal_v * sight.rating("phases") / 1000
        counts = kwh * _MS_PER_HOUR > np.fmax(starting_kw, _LEAST_KW) * span_ms
        still_kwh = pages.learnt("still_kwh")[rows] + np.where(counts, kwh, 0.0)
        return still_kwh, pages.learnt("still_readings")[rows] + counts

    @staticmethod
    def _explained(sight: Sight, pages: Pages, row: int, i: int) -> bool:
        """Whether a fall is that of a register that rolled over, or of another device in its place."""
        level, register = float(pages.learnt("level_kwh")[row]), float(sight.column(IMPORT.quantity)[i])
        if any(level > (1 - _ROLLED) * end and level < end and register < _ROLLED * end for end in _ROLLS_AT):
            return True
        fleet = sight.fleet
        meter = fleet.series[int(sight.frame.slots[row])].meter
        before, at = float(pages.learnt("read_at")[row]), float(sight.at[i])
        return any(
            order.kind == "exchange" and milliseconds(order.starts_at) <= at and milliseconds(order.ends_at) >= before
            for order in fleet.registry.work_orders_of(meter)
        )


def _read(sight: Sight, pages: Pages, rows: Rows | slice) -> Mask:
    """Rows with a new import register."""
    found: Mask = ~(sight.at <= pages.learnt("read_at")[rows]) & ~np.isnan(sight.column(IMPORT.quantity))
    return found


def _excess(sight: Sight) -> Floats:
    """The total less its four parts, NaN where the five were not read together."""
    found: Floats = sight.column(IMPORT.quantity) - sum(sight.column(name) for name in TARIFFS)
    return found
