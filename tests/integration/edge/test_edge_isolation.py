"""What one meter does wrong costs that meter: the others on its line keep their period."""

from __future__ import annotations

from pathlib import Path

from simulators.park import PREFIXES
from simulators.stack import free_port
from tests.support.roadside import roadside
from tests.support.ticks import held, ticks_of
from tests.support.waiting import until

BUSES, ON_EACH, TICKS = 10, 20, 6


async def test_a_dead_and_a_noisy_meter_on_every_line_cost_the_other_180_nothing(tmp_path: Path):
    trades = dict.fromkeys(PREFIXES, BUSES * ON_EACH // len(PREFIXES))
    names = [f"{prefix}{n + 1:02d}" for prefix in PREFIXES.values() for n in range(trades["retail"])]
    dead, noisy = names[3::ON_EACH], names[11::ON_EACH]
    faults = [{"fault": "silent", "meters": dead}, {"fault": "garbage", "meters": noisy, "share": 0.5}]
    port = free_port(BUSES)
    async with roadside(
        tmp_path, free_port(), 1, trades=trades, every="2s", port=port, meters_per_endpoint=ON_EACH, faults=faults
    ) as street:
        buses = [{"id": f"b{n + 1}", "type": "modbus_tcp", "host": "127.0.0.1", "port": port + n} for n in range(BUSES)]
        street.change(buses=[bus | {"timeout": "300ms"} for bus in buses])
        await street.poll()
        good = set(names) - {*dead, *noisy}
        assert len(good) == 180
        await until(lambda: held(street.spool) >= 2 * TICKS, "a dozen rounds", 60)  # one in time, one of the late

        assert ticks_of(street.spool, good).ticks >= TICKS // 2
        assert ticks_of(street.spool, good).missed == 0
        assert ticks_of(street.spool, dead).missed == ticks_of(street.spool, dead).expected
        assert street.said("meter_suspended") >= BUSES
