"""From the spool to the broker: sends what the outbox allows, follows what the collector says.

Three tasks share one connection: one listens, one sends, one says how the gateway is. When the connection
breaks all three end, and after a pause they begin again; the spool has what was under way. The broker's
receipt (PUBACK) ends a call and nothing more: only an acknowledgement of the collector moves the outbox.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal

from pydantic import Field

from edge_agent.errors import DiskFull
from edge_agent.publishing.outbox import Outbox
from edge_agent.signals import Counters
from edge_agent.spool.spool import Spool, SpooledItem
from metering.codec import decode_body, encode_packed
from metering.control import Ack, CollectorStatus, EdgeStatus, ReadCommand, ReadReply, decode_control, encode_control
from metering.ending import end, give_way
from metering.errors import AccessRefused, DecodeError, LinkLost
from metering.log import log
from metering.message import Envelope
from metering.mqtt_link import MqttConnection, MqttLink
from metering.plain_message import encode_plain
from metering.settings import Duration, Settings
from metering.topics import Topics

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_STEADY_S: Final = 5.0  # a connection that held so long was a good one
_STATUS_EVERY_S: Final = 30.0
_LOOK_EVERY_S: Final = 1.0  # for stalls, and for changes worth a status
_GOODBYE_S: Final = 2.0
_BATCH: Final = 16  # messages read from the spool at once
_ANSWERS: Final = 8  # commands that are being answered at the same time


class PublishSettings(Settings):
    """How rounds go to the broker."""

    format: Literal["packed", "plain"] = Field("packed", description="packed = compact; plain = JSON for people.")
    window: int = Field(32, ge=1, le=1000, description="Most unacknowledged messages; the collector may ask for less.")
    resend_after: Duration = Field(10.0, ge=1, le=600, description="Without progress for so long, send again.")


class Publisher:
    """Keeps one gateway's rounds flowing."""

    def __init__(
        self,
        link: MqttLink,
        spool: Spool,
        settings: PublishSettings,
        topics: Topics,
        shard: str,
        gateway: str,
        status: Callable[[], Awaitable[EdgeStatus]],
        answer: Callable[[ReadCommand], Awaitable[ReadReply]],
        counters: Counters,
    ) -> None:
        self._link = link
        self._spool = spool
        self._settings = settings
        self._data = topics.up(shard, gateway, "data")
        self._status_topic = topics.up(shard, gateway, "status")
        self._ack = topics.ack(gateway)
        self._collector = topics.collector_status(shard)
        self._status = status
        self._command = topics.command(gateway)
        self._reply = topics.up(shard, gateway, "reply")
        self._answer = answer
        self._answering: dict[str, asyncio.Task[None]] = {}  # by the id of the command
        self._counters = counters
        self._wake = asyncio.Event()
        self.outbox = self._new_outbox()

    def wake(self) -> None:
        """Something new is in the spool."""
        self._wake.set()

    async def run(self) -> None:
        """Publish for ever. Cancelled, it says goodbye first if it can."""
        pause_s = _FIRST_PAUSE_S
        while True:
            started_s = time.monotonic()
            try:
                await self._one_connection()
            except LinkLost as lost:
                log.warning("broker_away", why=str(lost))
            except AccessRefused as refused:
                log.error("broker_refuses_us", why=str(refused))
                pause_s = _LONGEST_PAUSE_S
            except DiskFull as error:
                log.error("spool_unreadable", why=str(error))
                self.outbox = self._new_outbox()  # what it has noted may not have reached the disk
            give_way()  # the loss may have taken the place of the end
            self.outbox.disconnected()
            if time.monotonic() - started_s > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads a herd, keeps no secret
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _one_connection(self) -> None:
        async with self._link.connected() as connection:
            log.info("broker_connected")
            self._counters.connections += 1
            # No TaskGroup: in Python 3.11 the error of a task hides that we were asked to end at the same time.
            tasks = [asyncio.create_task(one(connection)) for one in (self._listen, self._send, self._report)]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                await end(tasks)
                await self._say_goodbye(connection)
                raise
            await end(tasks)
            for task in done:
                task.result()

    async def _say_goodbye(self, connection: MqttConnection) -> None:
        with suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await connection.publish(self._status_topic, encode_control(EdgeStatus("offline")), retain=True)

    async def _listen(self, connection: MqttConnection) -> None:
        await connection.subscribe([self._ack, self._collector, self._command])
        async for topic, payload in connection.messages():
            try:
                if topic == self._ack:
                    await self._on_ack(decode_control(payload, Ack))
                elif topic == self._collector:
                    self.outbox.on_collector(decode_control(payload, CollectorStatus).state == "online")
                elif topic == self._command:
                    self._begin_answer(connection, decode_control(payload, ReadCommand))
            except DecodeError as error:
                log.warning("control_message_unreadable", topic=topic, why=str(error))
            self._wake.set()

    def _begin_answer(self, connection: MqttConnection, command: ReadCommand) -> None:
        if command.id in self._answering:
            return  # asked again by somebody who does not know that we have heard
        if len(self._answering) >= _ANSWERS:
            log.warning("command_dropped", id=command.id, why=f"{_ANSWERS} are being answered")
            return
        task = asyncio.create_task(self._reply_to(connection, command))
        self._answering[command.id] = task
        task.add_done_callback(lambda _: self._answering.pop(command.id, None))

    async def _reply_to(self, connection: MqttConnection, command: ReadCommand) -> None:
        reply = await self._answer(command)
        with suppress(LinkLost):
            await connection.publish(self._reply, encode_control(reply))

    async def _on_ack(self, ack: Ack) -> None:
        if self.outbox.on_ack(ack, time.monotonic()):
            await asyncio.to_thread(self._spool.acknowledge, ack.seq, self.outbox.epoch)

    async def _send(self, connection: MqttConnection) -> None:
        while True:
            self._wake.clear()
            if self.outbox.epoch != self._spool.epoch:
                online, self.outbox = self.outbox.collector_online, self._new_outbox()
                self.outbox.on_collector(online)
            if self.outbox.on_time(time.monotonic()):
                log.warning("no_acknowledgement", resend_from=self.outbox.acknowledged + 1)
            if not await self._send_some(connection):
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _send_some(self, connection: MqttConnection) -> bool:
        outbox, after, limit = self.outbox, self.outbox.sent_up_to, min(self.outbox.room, _BATCH)
        if not limit:
            return False
        try:
            items = await asyncio.to_thread(self._spool.next_after, after, limit)
            oldest = await asyncio.to_thread(self._spool.oldest)
        except DiskFull as error:
            log.error("spool_unreadable", why=str(error))
            return False
        if outbox.sent_up_to != after or outbox.room < len(items) or outbox.epoch != self._spool.epoch:
            return True  # an acknowledgement came in between: look again
        if not items:
            return False
        messages = [self._message(item, outbox.epoch, oldest) for item in items]
        for item in items:
            outbox.sent(item.seq, time.monotonic())
        self._counters.messages_sent += len(items)
        await asyncio.gather(*(connection.publish(self._data, message) for message in messages))
        return True

    def _message(self, item: SpooledItem, epoch: int, oldest: int) -> bytes:
        # Between two reads of the spool the oldest may have gone; a message never says it holds less than itself.
        envelope = Envelope(epoch, item.seq, item.seq - min(oldest, item.first))
        packed = encode_packed(envelope, item.body)
        return packed if self._settings.format == "packed" else encode_plain(decode_body(envelope, packed))

    async def _report(self, connection: MqttConnection) -> None:
        said, said_at_s = None, 0.0
        while True:
            status = await self._status()
            notes = tuple((note.meter, note.quantity, note.what) for note in status.registers)
            worth = (status.epoch, status.failing, status.clock_synchronised, status.evicted_rows, notes)
            if worth != said or time.monotonic() - said_at_s >= _STATUS_EVERY_S:
                said, said_at_s = worth, time.monotonic()
                await connection.publish(self._status_topic, encode_control(status), retain=True)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _new_outbox(self) -> Outbox:
        settings = self._settings
        return Outbox(self._spool.epoch, self._spool.acknowledged, settings.window, settings.resend_after)
