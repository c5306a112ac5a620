"""Hears what passes over the broker: rounds, acknowledgements, events. The only file here that knows aiomqtt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt

from metering.errors import BackOff
from simulators.companions import Services

_QUEUE = 100_000  # a busy demo never loses a line


@asynccontextmanager
async def listening(services: Services, topics: list[str]) -> AsyncIterator[AsyncIterator[tuple[str, bytes]]]:
    """Topic and payload of everything under ``topics``.

    Raises:
        BackOff: the broker is away.
    """
    protocol = aiomqtt.ProtocolVersion.V5 if services.protocol == "5" else aiomqtt.ProtocolVersion.V311
    try:
        async with aiomqtt.Client(
            services.mqtt_host, services.mqtt_port, protocol=protocol, max_queued_incoming_messages=_QUEUE
        ) as client:
            for topic in topics:
                await client.subscribe(topic, qos=1)
            yield _messages(client)
    except aiomqtt.MqttError as error:
        raise BackOff(str(error)) from error


async def _messages(client: aiomqtt.Client) -> AsyncIterator[tuple[str, bytes]]:
    async for message in client.messages:
        if isinstance(message.payload, bytes):
            yield message.topic.value, message.payload
