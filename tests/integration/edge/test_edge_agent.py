"""The whole agent as its own process: meters in, rounds out, killed and started again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

from collector_script import collector_at
from edge_servers import Broker
from modbus_script import ModbusScript, floats, refusing, silent

from edge_agent.desk import door_beside
from metering.round import Quality, Round, unpack
from simulators.stack import free_port
from tests.support.waiting import until

METER = floats({0x0000: 230.5, 0x0034: 1234.0, 0x0048: 5678.9})


def gateway_yaml(folder: Path, broker_port: int, modbus_port: int, units: int = 2, every: str = "60s") -> Path:
    meters = "\n".join(f"  - {{id: m{u}, bus: b1, unit: {u}, profile: eastron_sdm630}}" for u in range(1, units + 1))
    file = folder / "gateway.yaml"
    file.write_text(
        f"""gateway: park-01
mqtt: {{port: {broker_port}}}
spool: {{path: spool.db, max_size_mb: 1}}
buses:
  - {{id: b1, type: modbus_tcp, host: 127.0.0.1, port: {modbus_port}, timeout: 50ms}}
meters:
{meters}
groups:
  - {{id: main, every: {every}, quantities: [active_power, voltage_l1, active_energy_import]}}
publish: {{resend_after: 1s}}
"""
    )
    return file


async def edge(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge_agent.cli",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def agent(config: Path, speed: int = 120, clock: str | None = None):
    clock = clock or f"2026-03-02T06:00:00+08:00/{speed}/{int(time.time() * 1000)}"
    process = await edge("run", "-c", str(config), "--simulated-clock", clock)
    try:
        yield process
    finally:  # also after a failure: an agent left over keeps its meters busy for ever
        if process.returncode is None:
            process.kill()
        await process.communicate()


def rounds(collector) -> list[Round]:
    return [m.content for m in collector.received if isinstance(m.content, Round)]


def quality_of(one: Round) -> dict[str, int]:
    return dict(zip(one.meters, unpack(one.quality, "I"), strict=True))


async def test_readings_arrive_in_our_units(tmp_path: Path, broker: Broker, endpoint: ModbusScript):
    endpoint.units = {1: METER, 2: silent}
    async with collector_at(broker.port, automatic=True) as collector:
        await collector.announce()
        async with agent(gateway_yaml(tmp_path, broker.port, endpoint.port)) as process:
            await collector.until(lambda: len(rounds(collector)) >= 3, 15)
            process.send_signal(signal.SIGTERM)
            _, said = await process.communicate()
        await collector.until(lambda: collector.statuses[-1].state == "offline")

    assert process.returncode == 0, said.decode()
    first, second = rounds(collector)[:2]
    assert first.meters == ("m1", "m2")
    assert {c.quantity: c.values(2) for c in first.columns} == {
        "active_energy_import": [5678.9, None],
        "active_power": [1.234, None],
        "voltage_l1": [230.5, None],
    }
    assert list(unpack(first.quality, "I")) == [0, Quality.NO_ANSWER]
    assert first.scheduled_at % 60_000 == 0
    assert second.scheduled_at > first.scheduled_at
    online = next(s for s in collector.statuses if s.failing)
    assert (online.meters, online.failing) == (2, ("m2",))


async def test_killed_and_started_again_it_loses_nothing(tmp_path: Path, broker: Broker, endpoint: ModbusScript):
    endpoint.units = {1: METER, 2: METER}
    config = gateway_yaml(tmp_path, broker.port, endpoint.port)
    async with collector_at(broker.port) as collector:
        await collector.announce()
        for target in (3, 6, 9):
            async with agent(config) as process:
                await collector.until(lambda n=target: collector.seqs and max(collector.seqs) >= n, 15)
                process.kill()
                await process.wait()

    assert len({m.envelope.epoch for m in collector.received}) == 1
    assert sorted(set(collector.seqs)) == list(range(1, max(collector.seqs) + 1))


async def test_a_second_agent_leaves_the_lines_to_the_first(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: METER, 2: METER}
    config = gateway_yaml(tmp_path, 1, endpoint.port)
    door = door_beside(tmp_path / "spool.db")
    async with agent(config) as first:
        await until(door.exists, "the first agent's door")
        async with agent(config) as second:
            _, said = await asyncio.wait_for(second.communicate(), 20)
        first.send_signal(signal.SIGTERM)
        await first.communicate()

    assert second.returncode == 1
    assert "systemctl stop wattline-edge" in said.decode()
    assert first.returncode == 0
    assert endpoint.calls <= 1


async def test_dead_meters_do_not_cost_the_others_their_period(tmp_path: Path, broker: Broker, endpoint: ModbusScript):
    endpoint.units = {1: silent, 2: silent, 3: silent, 4: METER}
    async with collector_at(broker.port, automatic=True) as collector:
        await collector.announce()
        async with agent(gateway_yaml(tmp_path, broker.port, endpoint.port, units=4)):
            await collector.until(lambda: len({r.scheduled_at for r in rounds(collector)}) >= 6, 15)

    instants = sorted({r.scheduled_at for r in rounds(collector)})
    good = {r.scheduled_at for r in rounds(collector) for m, q in quality_of(r).items() if m == "m4" and not q}
    assert good == set(instants)
    assert instants == list(range(instants[0], instants[-1] + 1, 60_000))


async def test_probe_and_live_check(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: METER, 2: refusing(2)}
    config = str(gateway_yaml(tmp_path, free_port(), endpoint.port))

    process = await edge("probe", "m1", "-c", config, "--json")
    out, _ = await process.communicate()
    probed = json.loads(out)
    assert process.returncode == 0
    assert (probed["meter"], probed["requests"]) == ("m1", 1)
    assert probed["values"]["active_power"] == {
        "value": 1.234,
        "unit": "kW",
        "quality": [],
        "measured_at": probed["values"]["active_power"]["measured_at"],
    }

    process = await edge("check", "--live", "-c", config, "--lang", "en")
    out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 1
    assert "active_power               1.234 kW" in text
    assert "m2: answers with exception 2 (illegal data address) → is this the right profile for the meter?" in text
    assert "1 of 2 meters answer" in text


async def test_status_reads_the_spool_of_a_running_agent(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: METER, 2: METER}
    config = gateway_yaml(tmp_path, free_port(), endpoint.port)
    process = await edge("status", "-c", str(config))
    _, said = await process.communicate()
    assert (process.returncode, b"Traceback" in said) == (1, False)

    clock = f"2026-03-02T06:00:00+08:00/120/{int(time.time() * 1000)}"
    async with agent(config, clock=clock):
        for _ in range(100):
            process = await edge("status", "-c", str(config), "--json", "--simulated-clock", clock)
            out, _ = await process.communicate()
            if process.returncode == 0 and json.loads(out)["unacknowledged"] >= 2:
                break
    state = json.loads(out)

    assert (state["oldest"], state["next_seq"]) == (1, state["unacknowledged"] + 1)
    assert state["oldest_unacknowledged_age_s"] is not None
    assert 0 < state["share"] < 1
    assert state["good"] is True
    assert {meter: one["share"] for meter, one in state["meters"].items()} == {"m1": 1.0, "m2": 1.0}
