"""Serves a park: every endpoint listens, meters measure by one clock, until somebody asks to stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from metering.clock import Clock
from simulators.modbus_meter import ModbusServer
from simulators.park import Park


@asynccontextmanager
async def serving(park: Park, clock: Clock) -> AsyncIterator[list[ModbusServer]]:
    """The servers of a park, listening; closed at the end of the block.

    Raises:
        OSError: a port is taken or forbidden.
    """
    async with AsyncExitStack() as started:
        servers = []
        for endpoint, port in zip(park.endpoints(), park.ports, strict=True):
            server = ModbusServer(endpoint, clock, park.settings.host, port)
            await server.start()
            started.push_async_callback(server.stop)
            servers.append(server)
        yield servers
