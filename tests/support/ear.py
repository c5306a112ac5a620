"""A subscriber that comes back whenever the broker does, and remembers everything it heard in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiomqtt

from metering.ending import end

_RETRY_S = 0.05


@dataclass
class Ear:
    """What was heard, in order."""

    port: int
    topics: Sequence[str]
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    connections: int = 0

    async def listen(self) -> None:
        """Listen for ever; cancel to stop."""
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
                    await client.subscribe([(topic, 1) for topic in self.topics])
                    self.connections += 1
                    async for message in client.messages:
                        self.heard.append((message.topic.value, bytes(message.payload)))
            await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def hearing(port: int, *topics: str) -> AsyncIterator[Ear]:
    """An ear that listens for the length of the block."""
    ear = Ear(port, topics)
    listening = asyncio.create_task(ear.listen())
    try:
        yield ear
    finally:
        await end([listening])
