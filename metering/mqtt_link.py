"""The wall around aiomqtt and paho: ``LinkLost`` and ``AccessRefused`` come out, nothing else.

Every connection takes a fresh client (a used one may report a refused connection as good) and a clean
session: what counts is in the spools, the broker need not remember anything of us.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.reasoncodes import ReasonCode

from metering.ending import give_way, heeding
from metering.errors import AccessRefused, LinkLost, StopAndFix
from metering.mqtt_settings import MqttSettings
from metering.secret_file import read_secret

_IN_FLIGHT: Final = 100
_NOT_WELCOME: Final = {4, 5, 134, 135, 138}  # 3.1.1: bad password, not authorised; 5: the same, banned


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone; retained."""

    topic: str
    payload: bytes


class MqttConnection:
    """A connection that stands, or did a moment ago."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe with QoS 1.

        Raises:
            LinkLost: the connection broke.
        """
        try:
            await heeding(self._client.subscribe([(topic, 1) for topic in topics]))
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from error

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the broker's receipt, which proves nothing about storage.

        Raises:
            LinkLost: the connection broke, or the broker keeps the receipt back.
        """
        try:
            await heeding(self._client.publish(topic, payload, qos=1, retain=retain))
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from error

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """Topic and payload of everything subscribed to, for ever.

        Raises:
            LinkLost: the connection broke.
        """
        try:
            async for message in self._client.messages:
                yield str(message.topic), bytes(message.payload)
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from error


class MqttLink:
    """How to reach the broker."""

    def __init__(self, settings: MqttSettings, identifier: str, will: Will | None = None) -> None:
        """Read the secrets and certificates.

        Raises:
            StopAndFix: one of their files is missing or unusable.
        """
        self._settings = settings
        self._identifier = identifier
        self._will = will
        self._tls = _tls(settings)
        self._password = read_secret(settings.password_file) if settings.password_file else None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[MqttConnection]:
        """One connection, from CONNECT to DISCONNECT.

        Raises:
            LinkLost: the broker is away, or went away.
            AccessRefused: the broker does not want us.
        """
        try:
            async with self._client() as client:
                give_way()
                client.pending_calls_threshold = 10 * _IN_FLIGHT  # below it only logs noise
                yield MqttConnection(client)
        except MqttConnectError as error:
            code = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
            raise (AccessRefused if code in _NOT_WELCOME else LinkLost)(str(error)) from error
        except (aiomqtt.MqttError, OSError, UnicodeError) as error:  # the last of a host that can be no name: 10.0..5
            raise LinkLost(str(error)) from error

    def _client(self) -> aiomqtt.Client:
        settings, five, will = self._settings, self._settings.protocol == "5", self._will
        return aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=self._identifier,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else True,
            clean_start=True if five else MQTT_CLEAN_START_FIRST_ONLY,  # paho's word for "not 5"
            username=settings.username,
            password=self._password,
            keepalive=round(settings.keepalive),
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will else None,
            max_inflight_messages=_IN_FLIGHT,
            tls_context=self._tls,
        )


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    if settings.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise StopAndFix(f"mqtt: cannot use the certificates: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
