"""One meter, read now: a command to its gateway over the broker, and the reply.

The gateway reads between two polls, so nothing of the schedule is lost. The reply is shown and not stored. A gateway
that was just connecting does not hear a command, so it is said again; one that answers already takes it once.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Final

from metering.control import ReadCommand, ReadReply, decode_control, encode_control
from metering.errors import DecodeError, LinkLost
from metering.mqtt_link import MqttConnection, MqttLink
from metering.mqtt_settings import MqttSettings
from metering.topics import Topics

_AGAIN_S: Final = 3.0


async def ask(settings: MqttSettings, gateway: str, meter: str, within_s: float) -> ReadReply:
    """Ask a gateway for one meter.

    Raises:
        LinkLost: the broker is away, or no reply came in time.
        AccessRefused: the broker does not want us.
        StopAndFix: a certificate or the password file cannot be used.
    """
    number = secrets.token_hex(8)
    link = MqttLink(settings, f"wattline-inquiry-{number}")
    topics = Topics(settings.prefix)
    command = ReadCommand(number, meter)
    try:
        async with asyncio.timeout(within_s), link.connected() as connection:
            await connection.subscribe([topics.up("+", gateway, "reply")])
            asking = asyncio.create_task(_ask_again(connection, topics.command(gateway), encode_control(command)))
            try:
                return await _reply(connection, number)
            finally:
                asking.cancel()
    except LinkLost as error:
        raise LinkLost(
            f"broker {settings.host}:{settings.port}: {error} → is it there? does it take us for the running collector?"
        ) from None
    except TimeoutError:
        raise LinkLost(f"{gateway}: no reply within {within_s:g} s; is it online, is that its name?") from None


async def _ask_again(connection: MqttConnection, topic: str, command: bytes) -> None:
    with suppress(LinkLost):  # whoever waits for the reply hears of it
        while True:
            await connection.publish(topic, command)
            await asyncio.sleep(_AGAIN_S)


async def _reply(connection: MqttConnection, number: str) -> ReadReply:
    async for _, payload in connection.messages():
        try:
            reply = decode_control(payload, ReadReply)
        except DecodeError:
            continue  # another's question, or a newer gateway's answer to it
        if reply.id == number:
            return reply
    raise LinkLost("the connection to the broker ended before the reply")
