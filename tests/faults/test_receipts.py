"""The rule: a receipt of the broker releases nothing that has to be stored, and everything that only has to be said.

Rounds: the receipt (PUBACK) comes although nobody has stored anything. A gateway that let go then would have lost its
rounds: this is the control of the design, and of the fault tests that rely on it.

Events: the store has them; the broker is given each at least once, also by a collector that is killed in between. What
the broker has taken leaves the outbox, and a consumer that is away misses it: whoever needs all of them asks the store.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml

from simulators.companions import registry
from tests.support.central import Central, central, times
from tests.support.chain import expected_of, outbox_left
from tests.support.ear import hearing
from tests.support.gateway import METERS, a_round, gateway_at
from tests.support.roadside import Roadside
from tests.support.rounds import MINUTE, T0, make_round
from tests.support.waiting import until

pytestmark = pytest.mark.servers

EVENTS = "wattline/v1/events/+/+"


async def test_a_gateway_that_let_go_at_the_brokers_receipt_would_have_lost_its_rounds(tmp_path):
    async with central(tmp_path) as centre:
        async with gateway_at(centre.broker.port) as gateway:
            gateway.hold(a_round(seq) for seq in range(1, 31))
            await gateway.send(*range(1, 11))
            await gateway.until_acknowledged(10)
            await centre.collector.kill()
            await gateway.send(*range(11, 31))  # every one gets its receipt
            centre.broker.kill()
            bodies = gateway.bodies
        await asyncio.to_thread(centre.broker.start)
        async with gateway_at(centre.broker.port) as gateway:
            await centre.start_collector()
            await gateway.until_acknowledged(10)  # what the collector says when it is back
            without = centre.stored()
            gateway.bodies = bodies  # a gateway that waited for the collector still has them
            await gateway.send(*range(11, 31))
            await gateway.until_acknowledged(30)
            stored = centre.stored()

    assert without == times([T0 + seq * MINUTE for seq in range(1, 11)], METERS)
    assert stored == times([T0 + seq * MINUTE for seq in range(1, 31)], METERS)


def overloaded(meters: list[str], kva: float, seq: int) -> object:
    """A round in which every meter draws more than its contract, by and by less than it again."""
    load = kva * (1.5 if seq <= 40 else 0.2)
    columns = {"active_power": [load] * len(meters), "apparent_power": [load] * len(meters)}
    return make_round(columns, meters=meters, at=T0 + seq * MINUTE)


def registered(centre: Central, folder: Path) -> list[str]:
    """Give the collector the registry of a park, and every meter of it the same contract; name the meters."""
    park = registry(Roadside(folder / "park", centre.broker.port).park)
    for meter in park["meters"]:
        meter["contract_kva"] = 20.0
    (folder / "registry.yaml").write_text(yaml.safe_dump(park, default_flow_style=None))
    document = yaml.safe_load(centre.config.read_text()) | {"registry": "registry.yaml"}
    centre.config.write_text(yaml.safe_dump(document))
    return [meter["id"] for meter in park["meters"]]


async def test_events_reach_the_broker_at_least_once_and_the_store_always(tmp_path):
    async with central(tmp_path) as centre:
        await centre.collector.stop()
        meters = registered(centre, tmp_path)
        contents = [overloaded(meters, 20.0, seq) for seq in range(1, 101)]
        expected = expected_of(contents, centre.config).events
        async with hearing(centre.broker.port, EVENTS) as ear, gateway_at(centre.broker.port) as gateway:
            await centre.start_collector()
            gateway.hold(contents)
            for first in range(1, 101, 20):
                await gateway.send(*range(first, first + 20))
                await until(lambda: gateway.last and gateway.last.seq, "it works")
                await centre.collector.kill()  # with events in the outbox, or on their way, or not yet thought of
                await centre.start_collector()
                await gateway.send(*range(first, first + 20))
                await gateway.until_acknowledged(first + 19)
            await until(lambda: not outbox_left(centre.state), "the outbox is empty")
            await until(lambda: {json.loads(one)["id"] for _, one in ear.heard} >= set(expected), "all are heard", 10)
        stored = {one["id"]: one for one in await centre.json("query", "events")}

    assert len(expected) >= 2 * len(meters)
    assert {name: json.loads(body) for name, body in expected.items()} == stored
    assert {(json.loads(one)["id"], one.decode()) for _, one in ear.heard} == set(expected.items())


async def test_an_event_that_the_broker_took_and_nobody_heard_is_in_the_store_only(tmp_path):
    async with central(tmp_path) as centre:
        await centre.collector.stop()
        meters = registered(centre, tmp_path)
        contents = [overloaded(meters, 20.0, seq) for seq in range(1, 61)]
        async with gateway_at(centre.broker.port) as gateway:
            await centre.start_collector()
            gateway.hold(contents)
            await gateway.send(*range(1, 61))
            await gateway.until_acknowledged(60)
            await until(lambda: not outbox_left(centre.state), "the outbox is empty")
            async with hearing(centre.broker.port, EVENTS) as ear:
                await until(lambda: ear.connections, "somebody listens, too late")
                gateway.hold([a_round(61, meters=tuple(meters))], 61)
                await gateway.send(61)
                await gateway.until_acknowledged(61)
        stored = await centre.json("query", "events")

    assert len(stored) >= len(meters)
    assert ear.heard == []
