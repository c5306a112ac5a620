"""The shipped access list confines each gateway to its own topics, on a real mosquitto.

Names come from passwords here; from certificates they come the same way (``use_identity_as_username``).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from collector.inquiry import ask
from metering.control import ReadCommand, ReadReply, decode_control, encode_control
from metering.errors import LinkLost
from metering.mqtt_link import MqttConnection, MqttLink
from metering.mqtt_settings import MqttSettings
from metering.topics import Topics
from tests.support.servers import Mosquitto, program

ACL = Path(__file__).parents[3] / "config" / "mosquitto" / "acl"
TOPICS = Topics()


class Guarded(Mosquitto):
    """A broker with the shipped access list and a password a name."""

    def command(self) -> list[str]:
        passwords = self.folder / "passwords"
        passwords.touch()
        for name in ("gw-a", "gw-b", "wattline-collector-00", "wattline-operations"):
            subprocess.run([program("mosquitto_passwd"), "-b", str(passwords), name, name], check=True)
        rules = self.folder / "acl"
        rules.write_text(ACL.read_text())
        user = "user root\n" if os.geteuid() == 0 else ""  # else it could not enter the folder
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"{user}listener {self.port} 127.0.0.1\npersistence false\nallow_anonymous false\n"
            f"use_username_as_clientid true\npassword_file {passwords}\nacl_file {rules}\n"
        )
        return [program("mosquitto"), "-c", str(config)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Guarded]:
    server = Guarded(tmp_path / "broker")
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def connected(broker: Guarded, name: str) -> AsyncIterator[MqttConnection]:
    async with MqttLink(settings_of(broker, name), name).connected() as connection:
        yield connection


def settings_of(broker: Guarded, name: str) -> MqttSettings:
    secret = broker.folder / f"{name}.password"
    secret.write_text(name)
    secret.chmod(0o600)
    return MqttSettings.model_validate({"port": broker.port, "username": name, "password_file": secret})


async def heard(connection: MqttConnection, until: str) -> list[str]:
    """Topics that arrive before the one that is known to be allowed."""
    topics = []
    async with asyncio.timeout(10):
        async for topic, _ in connection.messages():
            topics.append(topic)
            if topic == until:
                break
    return topics


async def test_a_gateway_writes_under_its_own_name_only(broker: Guarded) -> None:
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(connected(broker, "wattline-collector-00"))
        await collector.subscribe([TOPICS.up("+", "+", "data")])
        gateway = await stack.enter_async_context(connected(broker, "gw-a"))
        for shard, name in (("00", "gw-b"), ("07", "gw-b"), ("07", "gw-a"), ("00", "gw-a")):
            await gateway.publish(TOPICS.up(shard, name, "data"), b"x")

        topics = await heard(collector, TOPICS.up("00", "gw-a", "data"))

    assert topics == [TOPICS.up("07", "gw-a", "data"), TOPICS.up("00", "gw-a", "data")]


async def test_a_gateway_reads_its_own_acknowledgements_only_and_can_forge_none(broker: Guarded) -> None:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(connected(broker, "gw-a"))
        await gateway.subscribe([TOPICS.ack("gw-a"), TOPICS.ack("gw-b"), TOPICS.collector_status("00")])
        other = await stack.enter_async_context(connected(broker, "gw-b"))
        await other.publish(TOPICS.ack("gw-a"), b"forged")
        await other.publish(TOPICS.collector_status("00"), b"forged")
        collector = await stack.enter_async_context(connected(broker, "wattline-collector-00"))
        await collector.publish(TOPICS.ack("gw-b"), b"{}")
        await collector.publish(TOPICS.collector_status("00"), b"{}")
        await collector.publish(TOPICS.ack("gw-a"), b"{}")

        topics = await heard(gateway, TOPICS.ack("gw-a"))

    assert topics == [TOPICS.collector_status("00"), TOPICS.ack("gw-a")]


async def answer_one(gateway: MqttConnection) -> None:
    async for _, payload in gateway.messages():
        command = decode_control(payload, ReadCommand)
        reply = ReadReply(command.id, command.read, measured_at=1_772_400_000_000, values={"active_power": 1.5})
        await gateway.publish(TOPICS.up("00", "gw-a", "reply"), encode_control(reply))
        return


async def test_operations_read_a_meter_and_the_collector_keeps_its_place(broker: Guarded) -> None:
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(connected(broker, "wattline-collector-00"))
        await collector.subscribe([TOPICS.up("+", "+", "data")])
        gateway = await stack.enter_async_context(connected(broker, "gw-a"))
        await gateway.subscribe([TOPICS.command("gw-a")])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answer_one(gateway))
            reply = await ask(settings_of(broker, "wattline-operations"), "gw-a", "shop-101", 20)
        await gateway.publish(TOPICS.up("00", "gw-a", "data"), b"x")

        topics = await heard(collector, TOPICS.up("00", "gw-a", "data"))

    assert reply.values == {"active_power": 1.5}
    assert topics == [TOPICS.up("00", "gw-a", "data")]


async def test_operations_are_told_which_broker_does_not_answer(broker: Guarded) -> None:
    settings = settings_of(broker, "wattline-operations")
    broker.kill()
    with pytest.raises(LinkLost, match=rf"broker 127\.0\.0\.1:{broker.port}: .* → is it there"):
        await ask(settings, "gw-a", "shop-101", 20)
