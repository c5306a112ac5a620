"""A line of simulated DL/T 645 meters that always show the same, behind each kind of bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import TypeAdapter

from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings
from metering.clock import Clock, SystemClock
from simulators.dlt645_meter import Dlt645Endpoint, Dlt645Meter
from simulators.faults import Fault, Wire
from simulators.paced_line import LineSpeed
from simulators.rtu_tcp_server import RtuTcpServer
from simulators.terminal_line import PtyLine
from tests.support.metered import Still

SPEED = LineSpeed(115200, 11)
KINDS = ("dlt645_tcp", "dlt645_serial")

_ADAPTER: TypeAdapter[Dlt645BusSettings] = TypeAdapter(Dlt645BusSettings)


def address(unit: int) -> str:
    return f"{unit:012d}"


def endpoint(
    units: Iterable[int] = (1, 2),
    faults: Iterable[Fault] = (),
    log: Mapping[int, Sequence[bytes]] | None = None,
    **other: object,
) -> Dlt645Endpoint:
    meters = {unit: Dlt645Meter(Still(), log=log or {}, **other) for unit in units}  # type: ignore[arg-type]
    return Dlt645Endpoint(meters, Wire(7, faults))


@asynccontextmanager
async def served(
    kind: str,
    behind: Dlt645Endpoint,
    folder: Path,
    speed: LineSpeed = SPEED,
    clock: Clock | None = None,
    **settings: object,
) -> AsyncIterator[tuple[Dlt645BusSettings, RtuTcpServer | PtyLine]]:
    """The settings of the bus and the server behind it."""
    clock = clock or SystemClock()
    document: dict[str, object] = {"id": "b", "type": kind, "baudrate": speed.baudrate, "turnaround": "1ms"} | settings
    server: RtuTcpServer | PtyLine
    if kind == "dlt645_serial":
        server = PtyLine(behind, clock, folder / "line-1", speed)
        document |= {"device": str(server.path), "parity": "none"}  # a pseudo-terminal has no parity
        await server.start()
    else:
        server = RtuTcpServer(behind, clock, speed=speed)
        await server.start()
        document |= {"host": "127.0.0.1", "port": server.port}
    try:
        yield _ADAPTER.validate_python(document), server
    finally:
        await server.stop()
