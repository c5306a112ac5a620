"""One shard's connection to the broker: rounds come in, acknowledgements and events go out.

The broker keeps nothing for us: sessions are clean, and what was not acknowledged is sent again. Gateways hold their
rounds while the retained status says "offline", which is also the last will.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

from collector.ingest.intake import Arrival, Intake
from metering.clock import SystemClock
from metering.control import Ack, CollectorStatus, encode_control
from metering.ending import give_way
from metering.errors import AccessRefused, LinkLost
from metering.log import log
from metering.mqtt_link import MqttConnection, MqttLink, Will
from metering.mqtt_settings import MqttSettings
from metering.topics import Topics

_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 10.0
_REFUSED_DELAY_S: Final = 30.0

Acks = Callable[[], Sequence[tuple[str, Ack]]]


class MqttSource:
    """The connection of one shard."""

    def __init__(
        self,
        settings: MqttSettings,
        shard: str,
        intake: Intake,
        acks: Acks,
        version: str,
        approvals: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """Feed ``intake``; ``acks`` says all acknowledgements of the shard when a connection is new.

        ``approvals`` takes the temporary capacity of meters, if this connection is the one that hears of it.

        Raises:
            StopAndFix: a file of the TLS or password settings is missing or unusable.
        """
        self.shard = shard
        self.connections = 0
        self._topics = Topics(settings.prefix)
        self._intake = intake
        self._acks = acks
        self._version = version
        self._approvals = approvals
        self._connection: MqttConnection | None = None
        will = Will(self._topics.collector_status(shard), encode_control(CollectorStatus("offline")))
        self._link = MqttLink(settings, f"wattline-collector-{shard}", will)

    async def run(self) -> None:
        """Connect, receive, reconnect, for ever; cancel to stop."""
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                async with self._link.connected() as connection:
                    await self._begin(connection)
                    delay_s = _FIRST_DELAY_S
                    async for topic, payload in connection.messages():
                        self._receive(topic, payload)
            except LinkLost as error:
                give_way()  # the loss may have taken the place of the end
                self._lost(str(error))
                await asyncio.sleep(random.uniform(delay_s / 2, delay_s))  # noqa: S311 - jitter
                delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
            except AccessRefused as error:
                give_way()
                log.error("the broker refuses us", shard=self.shard, why=str(error), retry_s=_REFUSED_DELAY_S)
                self._connection = None
                await asyncio.sleep(_REFUSED_DELAY_S)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publish if there is a connection; ``False`` if the broker has not taken it."""
        if self._connection is None:
            return False
        try:
            await self._connection.publish(topic, payload, retain=retain)
        except LinkLost:
            return False
        return True

    async def acknowledge(self, gateway: str, ack: Ack) -> None:
        """Say how far a gateway's rounds are safe; a lost connection says it again when it is back."""
        await self.publish(self._topics.ack(gateway), encode_control(ack), retain=True)

    async def say_goodbye(self) -> None:
        """Tell the gateways to hold their rounds."""
        status = CollectorStatus("offline", self._version, SystemClock().now_ms())
        await self.publish(self._topics.collector_status(self.shard), encode_control(status), retain=True)

    async def _begin(self, connection: MqttConnection) -> None:
        topics = [self._topics.up(self.shard, "+", "data")]
        if self._approvals is not None:
            topics.append(self._topics.approvals("+"))
        await connection.subscribe(topics)
        self._connection = connection
        self.connections += 1
        log.info("connected to the broker", shard=self.shard)
        for gateway, ack in self._acks():
            await connection.publish(self._topics.ack(gateway), encode_control(ack), retain=True)
        status = CollectorStatus("online", self._version, SystemClock().now_ms())
        await connection.publish(self._topics.collector_status(self.shard), encode_control(status), retain=True)

    def _receive(self, topic: str, payload: bytes) -> None:
        meter = self._topics.parse_approvals(topic) if self._approvals else None
        if self._approvals is not None and meter is not None:
            self._approvals(meter, payload)
            return
        parts = self._topics.parse_up(topic)
        if parts is None or parts.leaf != "data":
            return
        if not self._intake.offer(Arrival(parts.shard, parts.gateway, payload)):
            log.warning("no room for a message; the gateway will send it again", gateway=parts.gateway)

    def _lost(self, why: str) -> None:
        if self._connection is not None or self.connections == 0:
            log.warning("no connection to the broker", shard=self.shard, why=why)
        self._connection = None
