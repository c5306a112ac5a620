"""The edge agent as it is installed, on a simulated park of 200 meters with ten quantities, once a second.

Simulators, broker and agent are processes of their own; a collector in this one acknowledges every round. The CPU time
of the agent is all of its process: schedule, reads, decoding, spool, publishing. The peer reads the same registers
of the same park with the same library, one request a quantity, and does nothing else with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import aiomqtt
import yaml
from pymodbus.client import AsyncModbusTcpClient

from edge_agent.drivers.modbus.profile import Profile
from edge_agent.drivers.modbus.read_plan import plan
from edge_agent.drivers.registry import ProfileShelf
from metering.codec import decode, epoch_text
from metering.control import Ack, CollectorStatus, encode_control
from metering.round import Round
from metering.topics import Topics
from simulators.companions import Services, gateway
from simulators.park import expand
from simulators.stack import free_port
from tests.bench.measure import Figure
from tests.bench.readings import QUANTITIES, park
from tests.support.servers import Mosquitto, running, wait_for_port

TOPICS = Topics()
WARM_ROUNDS = 3
ROUNDS_A_TURN = 4
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def measure(turns: int) -> Iterator[Figure]:
    """Requests first, which need no process; then the process."""
    shelf = ProfileShelf()
    for name in shelf.names:
        profile = shelf.profile(name)
        everything, ten = _requests(profile, profile.quantities), _requests(profile, frozenset(QUANTITIES))
        yield Figure(f"edge.requests_ratio_to_one_per_quantity.{name}", everything, "times")
        yield Figure(f"edge.requests_ratio_to_one_per_quantity.{name}.ten_quantities", ten, "times")
    ratios = [_requests(shelf.profile(name), shelf.profile(name).quantities) for name in shelf.names]
    yield Figure("edge.requests_ratio_to_one_per_quantity", min(ratios), "times")
    yield from asyncio.run(_process(turns))


def _requests(profile: Profile, quantities: frozenset[str]) -> float:
    wanted = [register.span for register in profile.registers if register.quantity in quantities]
    return len(wanted) / len(plan(wanted, profile.limits))


async def _process(turns: int) -> list[Figure]:
    with TemporaryDirectory(prefix="wattline-bench-") as name:
        folder = Path(name)
        with running(Mosquitto(folder / "broker")) as broker:
            ports = _write_files(folder, broker.port)
            with _program("wattline-sim", "run", str(folder / "park.yaml")):
                for port in ports:
                    wait_for_port(port, 60)
                async with _collector(broker.port) as rounds:
                    with _program("wattline-edge", "run", "-c", str(folder / "gateway.yaml")) as agent:
                        return await _take_turns(turns, agent.pid, rounds, ports)


def _write_files(folder: Path, mqtt_port: int) -> list[int]:
    settings = park().settings.model_copy(update={"port": free_port(2), "meters_per_endpoint": 100, "start": None})
    served = expand(settings, park().settings.start)  # type: ignore[arg-type]
    asked = gateway(served, Services(mqtt_port=mqtt_port))
    asked["groups"] = [{"id": "main", "every": "1s", "quantities": list(QUANTITIES)}]
    document = settings.model_dump(mode="json", exclude_none=True)
    (folder / "park.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (folder / "gateway.yaml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    return served.ports


async def _take_turns(turns: int, pid: int, rounds: list[int], ports: Sequence[int]) -> list[Figure]:
    await _until(rounds, WARM_ROUNDS)
    ours, peers = [], []
    for _ in range(turns):
        seen, busy = len(rounds), _cpu_s(pid)
        await _until(rounds, seen + ROUNDS_A_TURN)
        values = sum(rounds[seen:]) * len(QUANTITIES)
        ours.append((_cpu_s(pid) - busy) / values)
        peers.append(await _one_request_a_quantity(ports))
    mine, peer = statistics.median(ours) * 1e6, statistics.median(peers) * 1e6
    return [
        Figure("edge.cpu_us_per_value", mine, "µs", peer, "a request a quantity", smaller_is_better=True),
        Figure("edge.rss_mib_200_meters", _rss_mib(pid), "MiB"),
    ]


async def _one_request_a_quantity(ports: Sequence[int]) -> float:
    """CPU seconds a value, connections not counted; 20 meters an endpoint are enough."""
    shelf, meters, values, spent = ProfileShelf(), park().meters, 0, 0.0
    for endpoint, port in enumerate(ports):
        client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
        await client.connect()
        started = time.process_time()
        for unit in range(1, 21):
            profile = shelf.profile(meters[endpoint * 100 + unit - 1].model)
            read = client.read_holding_registers if profile.function == 3 else client.read_input_registers
            for register in profile.registers:
                if register.quantity in QUANTITIES:
                    answer = await read(register.address, count=register.span.count, device_id=unit)
                    client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
                    values += 1
        spent += time.process_time() - started
        client.close()
    return spent / values


@contextlib.contextmanager
def _program(name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(Path(sys.executable).parent / name), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextlib.asynccontextmanager
async def _collector(port: int) -> AsyncIterator[list[int]]:
    """Acknowledges every round; the list holds how many readings each had."""
    rounds: list[int] = []
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.publish(TOPICS.collector_status("00"), encode_control(CollectorStatus("online")), 1, retain=True)
        await client.subscribe(TOPICS.up("+", "+", "data"), 1)

        async def listen() -> None:
            async for message in client.messages:
                one = decode(bytes(message.payload))
                if isinstance(one.content, Round):
                    rounds.append(one.content.readings)
                    ack = Ack(epoch_text(one.envelope.epoch), one.envelope.seq, 100)
                    await client.publish(TOPICS.ack(one.content.gateway), encode_control(ack), 1, retain=True)

        listening = asyncio.create_task(listen())
        yield rounds
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


async def _until(rounds: list[int], count: int) -> None:
    async with asyncio.timeout(60):
        while len(rounds) < count:
            await asyncio.sleep(0.05)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
