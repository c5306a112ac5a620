"""What the registers counted before a restart is known again, whatever else the spool holds."""

from __future__ import annotations

from pathlib import Path

from edge_agent.drivers.memory import IntervalRow
from edge_agent.polling.backfill import round_of
from edge_agent.polling.memory import remember
from edge_agent.polling.register_truth import RegisterTruth
from edge_agent.spool.spool import Spool
from metering.meter_event import MeterEvent, MeterEvents
from metering.round import Column, Origin, Quality, Round, pack

T0 = 1_772_400_000_000
MINUTE = 60_000
IMPORT = "active_energy_import"


def live(at: int, quantity: str, value: float) -> Round:
    column = Column.of(quantity, (value,))
    return Round("g", "main", Origin.LIVE, MINUTE, at, ("m1",), pack((at,), "q"), pack((0,), "I"), (column,))


def test_histories_logs_and_clocks_do_not_hide_what_was_read_last(tmp_path: Path):
    spool = Spool(tmp_path / "spool.db", "g", 8 << 20, 0)
    try:
        for n in range(3):
            spool.append(live(T0 + n * MINUTE, IMPORT, 100.0 + n), T0)
        for n in range(80):
            old = [IntervalRow(T0 - n * MINUTE, {IMPORT: 50.0 - n / 10})]
            spool.append(round_of("g", "m1", MINUTE, old, Quality(0)), T0)
            spool.append(live(T0 + n * MINUTE, "clock_offset", 1.0), T0)
            spool.append(MeterEvents.of("g", [("m1", T0 + n, MeterEvent.COVER_OPENED, Quality(0))]), T0)
        truth = RegisterTruth()

        remember(spool, truth)
    finally:
        spool.close()

    assert truth.notes == ()
    assert truth.judge("m1", T0 + 10 * MINUTE, {IMPORT: 60.0}) == Quality.REGISTER_FELL
    assert truth.judge("m1", T0 + 11 * MINUTE, {IMPORT: 102.5}) == Quality(0)
