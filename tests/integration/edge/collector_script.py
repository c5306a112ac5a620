"""A collector that says only what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiomqtt

from metering.codec import decode
from metering.control import Ack, CollectorStatus, EdgeStatus, decode_control, encode_control
from metering.ending import end
from metering.message import Message, epoch_text
from metering.topics import Topics

TOPICS = Topics()


@dataclass
class CollectorScript:
    client: aiomqtt.Client
    gateway: str
    window: int = 100
    automatic: bool = False
    received: list[Message] = field(default_factory=list)
    statuses: list[EdgeStatus] = field(default_factory=list)

    @property
    def seqs(self) -> list[int]:
        return [message.envelope.seq for message in self.received]

    async def announce(self, state: str = "online") -> None:
        status = encode_control(CollectorStatus(state))  # type: ignore[arg-type]
        await self.client.publish(TOPICS.collector_status("00"), status, qos=1, retain=True)

    async def ack(self, seq: int, epoch: int | None = None, *, resend: bool = False) -> None:
        own = self.received[-1].envelope.epoch if epoch is None else epoch
        ack = Ack(epoch_text(own), seq, self.window, resend)
        await self.client.publish(TOPICS.ack(self.gateway), encode_control(ack), qos=1, retain=True)

    async def until(self, condition, within_s: float = 8.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def listen(self) -> None:
        with suppress(aiomqtt.MqttError):
            async for message in self.client.messages:
                if message.topic.matches("+/v1/up/+/+/status"):
                    self.statuses.append(decode_control(bytes(message.payload), EdgeStatus))
                    continue
                self.received.append(decode(bytes(message.payload)))
                if self.automatic:
                    await self.ack(self.seqs[-1])


@asynccontextmanager
async def collector_at(port: int, gateway: str = "park-01", **options) -> AsyncIterator[CollectorScript]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        script = CollectorScript(client, gateway, **options)
        await client.subscribe([(TOPICS.up("+", gateway, "data"), 1), (TOPICS.up("+", gateway, "status"), 1)])
        listening = asyncio.create_task(script.listen())
        try:
            yield script
        finally:
            await end([listening])
