"""A serial server on a slow line: what comes in on one side goes out on the other at so many characters a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_BITS = 10  # of one character: start, eight, stop


@asynccontextmanager
async def paced(port: int, baudrate: int) -> AsyncIterator[int]:
    """The port of a relay to another port of this machine, one connection after the other."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        free_s = 0.0
        try:
            while octets := await reader.read(4096):
                free_s = max(free_s, loop.time()) + len(octets) * _BITS / baudrate
                await asyncio.sleep(free_s - loop.time())
                writer.write(octets)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        for ends in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(carry(*ends))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # for the loop to let go of the sockets
