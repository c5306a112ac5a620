"""A gateway that is renamed while it runs: its meters stay the same meters of their site, on that day and later."""

from __future__ import annotations

import random
from itertools import accumulate
from pathlib import Path

import numpy as np

from collector.days.day import decode_day
from collector.ingest.intake import Arrival
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from metering.round import Origin
from tests.support.pipelines import PipelineRoom
from tests.support.rounds import T0, make_round, message

QUARTER_MS = 900_000
RENAMED_AT = 96 + 40  # quarters: on the second day
LAST = 96 * 3 + 20
ON = {"a": "gw-1", "b": "gw-1", "m": "gw-2"}


def registry() -> Registry:
    document = {
        "sites": [{"id": "park"}],
        "feeders": [{"id": "feeder-1", "site": "park", "master": "m"}],
        "meters": [*({"id": name, "site": "park", "feeder": "feeder-1"} for name in "ab"), {"id": "m", "site": "park"}],
    }
    return Registry(RegistrySettings.model_validate(document), "test")


def registers() -> dict[str, list[float]]:
    """Import registers at the end of each quarter: two shops, and a master that counts both and a loss."""
    drawn = random.Random(5)
    kwh = {name: [(2.0 if 32 <= n % 96 < 76 else 0.5) * drawn.uniform(0.7, 1.3) for n in range(LAST)] for name in "ab"}
    kwh["m"] = [1.01 * (a + b) for a, b in zip(kwh["a"], kwh["b"], strict=True)]
    return {name: [round(1000 + one, 3) for one in accumulate(own)] for name, own in kwh.items()}


REGISTERS = registers()


class Site:
    """Three meters on two gateways, one of which gets another name."""

    def __init__(self, room: PipelineRoom) -> None:
        self.room = room
        self._sent: dict[str, int] = {}

    def gateway(self, meter: str, quarter: int) -> str:
        return "gw-9" if ON[meter] == "gw-1" and quarter >= RENAMED_AT else ON[meter]

    async def take(self, quarters: range, meters: str, origin: Origin = Origin.LIVE) -> None:
        arrivals = []
        for quarter in quarters:
            for meter in meters:
                gateway = self.gateway(meter, quarter)
                self._sent[gateway] = self._sent.get(gateway, 0) + 1
                content = make_round(
                    {"active_energy_import": [REGISTERS[meter][quarter]]},
                    meters=[meter],
                    at=T0 + quarter * QUARTER_MS,
                    gateway=gateway,
                    period_ms=QUARTER_MS,
                    origin=origin,
                )
                arrivals.append(Arrival("00", gateway, message(content, self._sent[gateway])))
        for n in range(0, len(arrivals), 60):
            await self.room.pipeline.commit(arrivals[n : n + 60])


async def test_a_gateway_may_be_renamed_on_a_feeder_with_a_master_and_be_late_after_that(tmp_path: Path) -> None:
    late = range(RENAMED_AT + 20, RENAMED_AT + 30)
    room = PipelineRoom(tmp_path, registry())
    await room.store.prepare()
    site = Site(room)
    await site.take(range(late.start), "abm")
    await site.take(late, "bm")
    await site.take(range(late.stop, LAST), "abm")

    def read() -> list[list[int]]:
        """By day and meter: the quarters that were measured."""
        days = [decode_day(body) for _, body in room.checkpoint.closed_days()]
        assert [day.meters for day in days] == [("a", "b", "m")] * 3
        return [np.isfinite(day.net).sum(axis=1).tolist() for day in days]

    # The quarter in which the name changed has no difference under either name.
    assert read() == [[96, 96, 96], [84, 95, 96], [96, 96, 96]]
    await site.take(late, "a", Origin.BACKFILL)
    await room.judge_late()
    assert read() == [[96, 96, 96], [95, 95, 96], [96, 96, 96]]
    assert not room.queries.events(0, 2**43)
    await room.store.close()
    room.checkpoint.close()
