"""Hears what passes over the broker: rounds, acknowledgements, events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from metering.mqtt_link import MqttLink
from metering.mqtt_settings import MqttSettings
from simulators.companions import Services


@asynccontextmanager
async def listening(services: Services, topics: Sequence[str]) -> AsyncIterator[AsyncIterator[tuple[str, bytes]]]:
    """Topic and payload of everything under ``topics``.

    Raises:
        BackOff: the broker is away.
        AccessRefused: the broker does not want us.
    """
    settings = MqttSettings.model_validate(
        {"host": services.mqtt_host, "port": services.mqtt_port, "protocol": services.protocol}
    )
    async with MqttLink(settings, "wattline-listener").connected() as connection:
        await connection.subscribe(topics)
        yield connection.messages()
