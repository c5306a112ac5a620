"""What one meter does wrong costs that meter: the others on its line keep their period."""

from __future__ import annotations

from pathlib import Path

from tests.support.hard_park import BUSES, hard_park
from tests.support.ticks import held, ticks_of
from tests.support.waiting import until

ROUNDS = 12  # of every tick one in time, and while the dead are still asked one of the late


async def test_a_dead_and_a_noisy_meter_on_every_line_cost_the_other_180_nothing(tmp_path: Path):
    async with hard_park(tmp_path, every="2s", patience="300ms") as park:
        await until(lambda: held(park.street.spool) >= ROUNDS, "a dozen rounds", 60)
        good, dead = ticks_of(park.street.spool, park.good), ticks_of(park.street.spool, park.dead)
        suspended = park.street.said("meter_suspended")

    assert len(park.good) == 180
    assert good.ticks >= ROUNDS // 2
    assert good.missed == 0
    assert dead.missed == dead.expected
    assert suspended >= BUSES
