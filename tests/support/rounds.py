"""Rounds for tests, written by hand or drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from metering.codec import encode_packed
from metering.message import Content, Envelope
from metering.packed_body import encode_body
from metering.round import Column, Origin, Round, pack

T0 = 1_781_712_000_000  # 2026-06-18T00:00+08:00
MINUTE = 60_000


def make_round(
    values: Mapping[str, Sequence[float | None]],
    *,
    meters: Sequence[str],
    at: int = T0,
    gateway: str = "gw-1",
    group: str = "main",
    period_ms: int = MINUTE,
    measured_at: Sequence[int] | None = None,
    quality: Sequence[int] | None = None,
    origin: Origin = Origin.LIVE,
) -> Round:
    """One round of the given values."""
    times = list(measured_at) if measured_at is not None else [at] * len(meters)
    return Round(
        gateway,
        group,
        origin,
        period_ms,
        at,
        tuple(meters),
        pack(times, "q"),
        pack(quality or [0] * len(meters), "I"),
        tuple(Column.of(name, column) for name, column in values.items()),
    )


def message(content: Content, seq: int, epoch: int = 1, held: int | None = None) -> bytes:
    """A packed message; by default its spool holds everything since 1."""
    return encode_packed(Envelope(epoch, seq, seq - 1 if held is None else held), encode_body(content))


def plausible(
    rng: random.Random, meters: Sequence[str], energy: dict[str, float], minutes: float = 1.0
) -> dict[str, list[float | None]]:
    """Honest three-phase readings whose registers follow their power."""
    columns: dict[str, list[float | None]] = {}

    def put(name: str, value: float) -> None:
        columns.setdefault(name, []).append(value)

    for meter in meters:
        currents = [rng.uniform(4, 12) for _ in range(3)]
        voltages = [rng.gauss(230, 1.5) for _ in range(3)]
        power = sum(u * i for u, i in zip(voltages, currents, strict=True)) * 0.95 / 1000
        energy[meter] = energy.get(meter, rng.uniform(100, 9000)) + power * minutes / 60
        put("active_power", power)
        for phase, (u, i) in enumerate(zip(voltages, currents, strict=True), 1):
            put(f"voltage_l{phase}", u)
            put(f"current_l{phase}", i)
        put("power_factor", 0.95)
        put("reactive_power", power * 0.33)
        put("active_energy_import", energy[meter])
    return columns
