"""The edge agent: how many requests it needs, what a value costs it, how large it is with two hundred meters.

A real ``wattline-edge run`` polls a real simulated park over Modbus TCP and publishes to a real broker and collector;
its CPU time is read from the kernel between two rounds. The peer reads the same meters with the same pymodbus client,
a request a quantity, and does nothing else: no schedule, no spool, no publishing.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import yaml
from pymodbus.client import AsyncModbusTcpClient

from edge_agent.drivers.modbus.bus_settings import ModbusTcpSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.modbus.profile import Profile
from edge_agent.drivers.registry import ProfileShelf
from metering.clock import SystemClock
from metering.codec import decode, encode_packed
from metering.message import Envelope
from metering.round import Round
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings
from simulators.stack import Stack, free_port
from tests.bench.figures import Figure, compared_cost
from tests.bench.readings import TEN

_TRADES: Final = dict.fromkeys(("retail", "manufacturing", "catering", "logistics", "ecommerce"), 40)
_EVERY_S: Final = 2
_WITHIN_S: Final = 30.0
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_READ_HOLDING: Final = 3
_ENDPOINTS: Final = 7
_PEER: Final = "one request a quantity"


def run(quick: bool) -> Iterator[Figure]:
    """Price the plans, then run the agent."""
    shelf = ProfileShelf()
    profiles = [shelf.profile(name) for name in shelf.names]
    for what, wanted, key in (
        ("all they offer", None, "edge.requests_ratio_to_one_per_quantity"),
        ("ten values", frozenset(TEN), "edge.requests_ratio_to_one_per_quantity.ten_values"),
    ):
        sets = [(profile, profile.quantities & (wanted or profile.quantities)) for profile in profiles]
        planned = sum(_planned(profile, quantities) for profile, quantities in sets)
        single = sum(len(quantities) for _, quantities in sets)
        ratio = single / planned
        yield Figure(
            f"edge requests, {len(profiles)} profiles, {what}", planned, "requests", {key: ratio}, single, _PEER, ratio
        )
    ours, theirs, mebibytes = asyncio.run(_live({name: shelf.profile(name) for name in shelf.names}, 2 if quick else 4))
    yield compared_cost("edge CPU", "edge.cpu_us_per_value", ours, "us/value", theirs, f"pymodbus, {_PEER}")
    yield Figure("edge memory, 200 meters", mebibytes, "MiB", {"edge.rss_mib_200_meters": mebibytes})


def _planned(profile: Profile, quantities: frozenset[str]) -> int:
    link = make_link(ModbusTcpSettings(id="b1", type="modbus_tcp", host="127.0.0.1"))
    driver = ModbusDriver(link, {"m": ModbusMeter(1, profile)}, SystemClock())
    return driver.cost("m", quantities).requests


async def _live(profiles: dict[str, Profile], repeats: int) -> tuple[float, float, float]:
    """Microseconds of CPU a value, of the agent and of the peer in turns; the agent's largest size in MiB."""
    settings = ParkSettings.model_validate(
        {"trades": _TRADES, "every": f"{_EVERY_S}s", "port": free_port(_ENDPOINTS), "meters_per_endpoint": 32}
    )
    park = expand(settings, datetime.now(UTC))
    with TemporaryDirectory(dir=".", prefix=".bench-") as name:
        folder = Path(name)
        async with Stack(folder) as stack:
            _write(stack, park)
            await stack.start_broker()
            await stack.start_collector()
            await stack.start_park()
            agent = await stack.start_edge()
            await _until_round(folder, 2)
            ours, theirs = [], []
            for _ in range(repeats):
                ours.append(await _agent_us(folder, agent.pid))
                theirs.append(await _peer_us(park, profiles))
            return median(ours), median(theirs), _largest_mib(agent.pid)


def _write(stack: Stack, park: Park) -> None:
    """The files of the park, with the ten quantities all subjects measure with."""
    stack.write(park)
    path = stack.folder / "gateway.yaml"
    gateway = yaml.safe_load(path.read_text(encoding="utf-8"))
    gateway["groups"] = [{"id": "main", "every": f"{_EVERY_S}s", "quantities": list(TEN)}]
    path.write_text(yaml.safe_dump(gateway), encoding="utf-8")


async def _agent_us(folder: Path, pid: int) -> float:
    """CPU of the agent a value, from the end of one round to the end of another two later."""
    first = await _until_round(folder, _rounds(folder) + 1)
    before = _cpu_s(pid)
    last = await _until_round(folder, first + 2)
    return (_cpu_s(pid) - before) * 1e6 / _values(folder, first, last)


async def _until_round(folder: Path, number: int) -> int:
    deadline_s = time.monotonic() + _WITHIN_S
    while (rounds := _rounds(folder)) < number:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"round {number} has not come: {(folder / 'edge.log').read_text(encoding='utf-8')}")
        await asyncio.sleep(0.02)
    return rounds


def _rounds(folder: Path) -> int:
    if not (folder / "spool.db").exists():
        return 0
    try:
        with closing(_spool(folder)) as spool:
            return int(spool.execute("SELECT coalesce(max(seq), 0) FROM item").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0


def _values(folder: Path, first: int, last: int) -> int:
    """How many values really came in the rounds after ``first`` up to ``last``."""
    with closing(_spool(folder)) as spool:
        found = spool.execute("SELECT seq, body FROM item WHERE seq > ? AND seq <= ?", (first, last)).fetchall()
    contents = [decode(encode_packed(Envelope(1, seq, 0), body)).content for seq, body in found]
    return sum(
        sum(value is not None for value in column.integers(content.rows))
        for content in contents
        if isinstance(content, Round)
        for column in content.columns
    )


def _spool(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{folder / 'spool.db'}?mode=ro", uri=True)


async def _peer_us(park: Park, profiles: dict[str, Profile]) -> float:
    """CPU of this process a value, while it reads every meter once."""
    values: dict[tuple[str, str], float] = {}
    used_s = 0.0
    for number, port in enumerate(park.ports):
        client = AsyncModbusTcpClient(park.settings.host, port=port, timeout=5, retries=0)
        await client.connect()
        started_s = time.process_time()
        for one in park.meters:
            if one.endpoint != number:
                continue
            profile = profiles[one.model]
            read = client.read_holding_registers if profile.function == _READ_HOLDING else client.read_input_registers
            for register in profile.registers:
                if register.quantity in TEN:
                    answer = await read(register.address, count=2, device_id=one.unit)
                    (raw,) = struct.unpack(">f", struct.pack(">2H", *answer.registers))
                    values[one.meter.name, register.quantity] = raw * register.scale
        used_s += time.process_time() - started_s
        client.close()
    return used_s * 1e6 / len(values)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _largest_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    (size,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(size) / 1024
