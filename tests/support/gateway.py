"""A gateway that a test plays by hand, over a real broker: it publishes what it is told to, and hears the answers.

It holds messages as a spool does (nothing is let go before the collector has acknowledged it), but it never sends by
itself: what is sent, in which order and how damaged, is the test's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiomqtt

from metering.codec import encode_packed
from metering.control import Ack, CollectorStatus, decode_control
from metering.ending import end
from metering.message import Envelope, epoch_text
from metering.packed_body import encode_body
from metering.round import Gap, Round
from metering.topics import Topics
from tests.support.rounds import MINUTE, T0, make_round
from tests.support.waiting import until

TOPICS = Topics()
METERS = ("m-1", "m-2", "m-3")


def a_round(seq: int, *, gateway: str = "gw-1", meters: tuple[str, ...] = METERS, at: int = T0) -> Round:
    """The round of number ``seq``: read at an instant of its own, with values of its own."""
    values = {"active_power": [seq + i / 10 for i in range(len(meters))]}
    return make_round(values, meters=meters, gateway=gateway, at=at + seq * MINUTE)


@dataclass
class ScriptedGateway:
    """One gateway with one epoch."""

    client: aiomqtt.Client
    name: str = "gw-1"
    epoch: int = 1
    oldest: int = 1  # what its spool says it still holds
    bodies: dict[int, bytes] = field(default_factory=dict)
    acks: list[Ack] = field(default_factory=list)
    collector: list[str] = field(default_factory=list)  # the states it has announced

    def hold(self, contents: Iterable[Round | Gap], first: int = 1) -> None:
        """Number some rounds and keep them; a gap takes its own last number."""
        seq = first
        for content in contents:
            seq = content.last if isinstance(content, Gap) else seq
            self.bodies[seq] = encode_body(content)
            seq += 1

    def message(self, seq: int) -> bytes:
        """The message of a number that is held."""
        return encode_packed(self.envelope(seq), self.bodies[seq])

    def envelope(self, seq: int) -> Envelope:
        """Where a number stands."""
        return Envelope(self.epoch, seq, max(seq - self.oldest, 0))

    async def send(self, *seqs: int) -> None:
        """Publish messages that are held; the broker's receipt (PUBACK) is waited for."""
        for seq in seqs:
            await self.publish(self.message(seq))

    async def publish(self, payload: bytes) -> None:
        """Publish any bytes as data."""
        await self.client.publish(TOPICS.up("00", self.name, "data"), payload, qos=1)

    @property
    def last(self) -> Ack | None:
        """The newest acknowledgement of our epoch."""
        return next((ack for ack in reversed(self.acks) if ack.epoch == epoch_text(self.epoch)), None)

    async def until_acknowledged(self, seq: int, within_s: float = 30.0) -> None:
        """Wait until exactly this number is acknowledged."""
        await until(lambda: self.last and self.last.seq == seq, f"{seq} is acknowledged ({self.name})", within_s)

    async def until_answered(self, answers: int, within_s: float = 30.0) -> Ack:
        """Wait until this many acknowledgements have come in all; give the newest."""
        await until(lambda: len(self.acks) >= answers, f"{answers} acknowledgements ({self.name})", within_s)
        return self.acks[-1]

    async def listen(self) -> None:
        """Hear the collector until the connection ends."""
        with suppress(aiomqtt.MqttError):
            async for message in self.client.messages:
                payload = bytes(message.payload)
                if message.topic.value == TOPICS.ack(self.name):
                    self.acks.append(decode_control(payload, Ack))
                elif message.topic.value == TOPICS.collector_status("00"):
                    self.collector.append(decode_control(payload, CollectorStatus).state)


@asynccontextmanager
async def gateway_at(port: int, name: str = "gw-1", **options: int) -> AsyncIterator[ScriptedGateway]:
    """A gateway that is connected for the length of the block."""
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        gateway = ScriptedGateway(client, name, **options)
        await client.subscribe([(TOPICS.ack(name), 1), (TOPICS.collector_status("00"), 1)])
        listening = asyncio.create_task(gateway.listen())
        try:
            yield gateway
        finally:
            await end([listening])
