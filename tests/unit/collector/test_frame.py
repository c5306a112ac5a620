"""Rounds stand side by side in blocks, wave by wave, and nothing of them is lost or mixed up."""

from __future__ import annotations

import numpy as np

from collector.engine.fleet import Fleet
from collector.engine.frame import blocks_of
from collector.registry.registry import Registry
from metering.round import LARGEST, Origin
from tests.support.rounds import MINUTE, T0, make_round


def test_each_wave_holds_at_most_one_round_of_a_gateway_in_its_order() -> None:
    fleet = Fleet(Registry.empty(), {})
    rounds = [
        make_round({"active_power": [float(seq)]}, meters=[f"{gateway}-m"], gateway=gateway, at=T0 + seq * MINUTE)
        for seq in range(3)
        for gateway in ("b", "a")
    ]

    (block,) = blocks_of(fleet, rounds)

    waves = [(wave, frame.slots.tolist(), frame.columns["active_power"].tolist()) for wave, frame in block.frames()]
    assert waves == [(0, [0, 1], [0.0, 0.0]), (1, [0, 1], [1.0, 1.0]), (2, [0, 1], [2.0, 2.0])]


def test_columns_of_different_width_stand_in_one_block_with_their_nulls() -> None:
    fleet = Fleet(Registry.empty(), {})
    wide = LARGEST / 1000
    rounds = [
        make_round({"active_energy_import": [1.5, None]}, meters=["m-1", "m-2"]),
        make_round({"active_energy_import": [wide, None]}, meters=["m-1", "m-2"], at=T0 + MINUTE),
    ]

    (block,) = blocks_of(fleet, rounds)

    values = np.concatenate([frame.columns["active_energy_import"] for _, frame in block.frames()])
    assert values[[0, 2]].tolist() == [1.5, wide]
    assert np.isnan(values[[1, 3]]).all()


def test_a_backfill_is_stored_and_not_judged() -> None:
    fleet = Fleet(Registry.empty(), {})
    live = make_round({"active_power": [1.0]}, meters=["m-1"])
    backfill = make_round(
        {"active_power": [2.0, 3.0]},
        meters=["m-1", "m-1"],
        measured_at=[T0 - 2 * MINUTE, T0 - MINUTE],
        origin=Origin.BACKFILL,
    )

    blocks = blocks_of(fleet, [live, backfill])

    assert sorted(len(block.table(fleet)) for block in blocks) == [1, 2]
    assert [frame.columns["active_power"].tolist() for block in blocks for _, frame in block.frames()] == [[1.0]]
