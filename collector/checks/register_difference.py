"""Energy between two readings of a register, or nothing if the register cannot be believed.

A register counts up. A fall, and a rise beyond what the meter's rating can carry, are not believed until a second
reading confirms the new level; then counting goes on from there, and the energy in between is unknown. A transient
zero or garbage is thus skipped without a spike and without a lost kWh. Two things are explicit: a register that
passed its highest number (rollover) counts on over it once a second reading confirms the low level, and an exchange
that the registry announces needs no second reading. What the gateway doubted (``REGISTER_DOUBTED``) is not read at all.

A load profile is stamped by the meter's clock, live readings by the gateway's. Where one follows the other the two may
stand in the wrong order, and a register that counts seems to fall a little, or to rise too fast. Within five minutes
of the seam, and by no more than the meter can carry in them, that is no fall and no jump: the level stays until the
later readings have reached it, so that no kWh is counted twice, and other rules take the row for unread.

Later checks of the frame find three columns a register, NaN where there is no difference: the energy, the time of the
earlier reading (ms), and whether the two lie further apart than a few usual intervals (1.0: a gap).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.checks.check import Step
from collector.checks.interval import USUAL, is_gap, learn
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.registry.registry import milliseconds
from collector.store.table import Mask
from metering.round import REGISTER_DOUBTED, Origin


@dataclass(frozen=True, slots=True)
class Register:
    """One register, and the columns its differences become."""

    quantity: str
    energy: str  # kWh or kvarh since the earlier reading
    since: str  # ms: the earlier reading
    gap: str  # 1.0: the two lie further apart than usual


IMPORT: Final = Register("active_energy_import", "import_kwh", "import_since", "import_gap")
EXPORT: Final = Register("active_energy_export", "export_kwh", "export_since", "export_gap")
KVARH: Final = Register("reactive_energy_import", "import_kvarh", "kvarh_since", "kvarh_gap")
REGISTERS: Final = (IMPORT, EXPORT, KVARH)
JUMP: Final = "import_jump_kwh"
"""Column of frames in which a higher level of the import register was confirmed: by how much it jumped."""

_MARGIN: Final = 1.2  # of the rating: meters carry short overloads  [OURS]
_RESOLUTION_KWH: Final = 0.02  # two steps of a register with 0.01 kWh  [OURS]
_CLOCK_MS: Final = 300_000.0  # a meter's clock that is off by no more is not wrong  [FW, 3105]
_MS_PER_HOUR: Final = 3_600_000.0
_FEWEST_DIGITS: Final = 4  # registers that wrap earlier are not in use


class RegisterDifference:
    """Differences of one register.

    The level in force is ``last``; ``suspect`` is one that waits for its second reading. Where a load profile and live
    readings meet there is no suspect, and ``suspect_at`` says when the level was read.
    """

    fields = ("last_at", "last", "suspect_at", "suspect", *USUAL)

    def __init__(self, register: Register) -> None:
        """Watch this register."""
        self._register = register
        self.name = f"difference_{register.energy}"

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry the register."""
        return self._register.quantity in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Derive the three columns."""
        last_at, last, suspect_at, suspect = state[:4]
        at, reading = frame.at, frame.columns[self._register.quantity]
        first = np.isnan(last_at)
        elapsed = at - last_at
        usable = ~np.isnan(reading) & (first | (elapsed > 0))
        if frame.quality.any():
            usable &= (frame.quality & np.uint32(REGISTER_DOUBTED)) == 0
        difference = reading - last
        carries_kw = _carries_kw(fleet, frame)
        bad = usable & ~first & _unbelievable(difference, elapsed, carries_kw)
        profiled = frame.origin is Origin.BACKFILL
        unknown = np.full(len(frame), np.nan)
        stamp: Floats = at if profiled else unknown
        held: Mask | None = None
        jumped: Floats | None = None
        if not bad.any():  # as nearly always
            good = usable & ~first
            register = np.stack([at, reading, stamp, unknown])
            if not usable.all():
                register = np.where(usable, register, state[:4])
        else:
            read_at = np.where(np.isnan(suspect), suspect_at, np.nan)
            if profiled:
                read_at = np.where(np.isnan(read_at), last_at, read_at)
            held, moved = _out_of_order(bad & (at - read_at <= _CLOCK_MS), difference, elapsed, carries_kw)
            bad &= ~(held | moved)
            stamp = np.where(held, read_at, stamp)
            difference = np.where(held, 0.0, difference)
            level = np.where(held, last, reading)
            confirmed = bad & ~np.isnan(suspect) & ~_unbelievable(reading - suspect, at - suspect_at, carries_kw)
            wrapped = _over_the_top(difference, last)
            rolled = confirmed & (difference < 0) & ~_unbelievable(wrapped, elapsed, carries_kw) & ~np.isnan(carries_kw)
            difference = np.where(rolled, wrapped, difference)
            exchanged = _exchanged(frame, fleet, bad, last_at)
            taken = usable & (~bad | confirmed | exchanged)
            up = confirmed & ~rolled & ~exchanged & (difference > 0)
            jumped = np.where(up, difference, np.nan) if up.any() else None
            good = usable & ~first & (~bad | rolled)
            doubted = usable & ~taken
            register = np.stack(
                [
                    np.where(taken, at, last_at),
                    np.where(taken, level, last),
                    np.where(taken, stamp, np.where(doubted, at, suspect_at)),
                    np.where(taken, np.nan, np.where(doubted, reading, suspect)),
                ]
            )
        gap = is_gap(elapsed, state[4:]).astype(np.float64)
        every = bool(good.all())
        names = self._register
        derived = {
            names.energy: difference if every else np.where(good, difference, np.nan),
            names.since: last_at if every else np.where(good, last_at, np.nan),
            names.gap: gap if every else np.where(good, gap, np.nan),
        }
        if held is not None and held.any():
            derived[names.quantity] = np.where(held, np.nan, reading)
        if jumped is not None and names is IMPORT:
            derived[JUMP] = jumped
        return Step(np.concatenate([register, learn(elapsed, state[4:], good)]), derived=derived)


def _carries_kw(fleet: Fleet, frame: Frame) -> Floats:
    """The highest power a meter can carry, NaN if its rating is unknown."""
    slots = frame.chosen
    amperes = fleet.limits("maximum_current_a", slots) * fleet.limits("phases", slots)
    kilowatts: Floats = amperes * fleet.limits("nominal_voltage_v", slots) * (_MARGIN / 1000)
    return kilowatts


def _unbelievable(difference: Floats, elapsed_ms: Floats, carries_kw: Floats) -> Mask:
    bound = carries_kw * elapsed_ms / _MS_PER_HOUR + _RESOLUTION_KWH
    return (difference < 0) | (difference > bound)


def _out_of_order(seam: Mask, difference: Floats, elapsed_ms: Floats, carries_kw: Floats) -> tuple[Mask, Mask]:
    """Falls, and rises, that two clocks explain: of readings at a seam, by what the meter can carry meanwhile."""
    fell = seam & (difference < 0) & ~_unbelievable(-difference, np.full(len(seam), _CLOCK_MS), carries_kw)
    rose = seam & (difference > 0) & ~_unbelievable(difference, elapsed_ms + _CLOCK_MS, carries_kw)
    return fell, rose


def _over_the_top(difference: Floats, last: Floats) -> Floats:
    """The difference if the register went on from its highest number to zero."""
    digits = np.maximum(np.floor(np.log10(np.maximum(last, 1.0))) + 1, _FEWEST_DIGITS)
    wrapped: Floats = difference + 10.0**digits
    return wrapped


def _exchanged(frame: Frame, fleet: Fleet, bad: Mask, last_at: Floats) -> Mask:
    """Where an exchange of the meter was announced for some time between the two readings."""
    found = np.zeros(len(frame), np.bool_)
    for row in np.flatnonzero(bad).tolist():
        for order in fleet.registry.work_orders_of(fleet.series[int(frame.slots[row])].meter):
            if order.kind == "exchange":
                starts, ends = milliseconds(order.starts_at), milliseconds(order.ends_at)
                found[row] |= starts <= frame.at[row] and last_at[row] < ends
    return found
