"""Temporary capacity that is approved while the collector runs, through a real broker and over a restart."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from metering.mqtt_link import MqttLink
from metering.mqtt_settings import MqttSettings
from metering.topics import Topics
from tests.support.central import Central, central
from tests.support.waiting import until

APPROVAL = {"id": "a-1", "from": "2026-06-18T10:00:00+08:00", "to": "2026-06-18T12:00:00+08:00", "kva": 40}
REGISTRY = {
    "sites": [{"id": "park"}],
    "meters": [{"id": "m-1", "site": "park", "contract_kva": 30}, {"id": "m-2", "site": "park"}],
}


async def say(one: Central, meter: str, payload: bytes) -> None:
    settings = MqttSettings.model_validate({"port": one.broker.port})
    async with MqttLink(settings, "utility").connected() as connection:
        await connection.publish(Topics().approvals(meter), payload, retain=True)


def know_the_meters(one: Central) -> None:
    (one.folder / "registry.yaml").write_text(yaml.safe_dump(REGISTRY))
    settings = yaml.safe_load(one.config.read_text())
    one.config.write_text(yaml.safe_dump(settings | {"registry": "registry.yaml"}))


async def test_an_approval_is_kept_over_a_restart_and_a_wrong_one_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with central(tmp_path) as one:
        know_the_meters(one)
        await one.collector.stop()
        await one.start_collector()

        await say(one, "m-1", json.dumps([APPROVAL]).encode())
        await until(lambda: one.said("approvals taken") == 1, "the approval is taken")
        await say(one, "m-2", json.dumps([{**APPROVAL, "kva": -1}]).encode())
        await until(lambda: one.said("approvals refused") == 1, "the wrong one is refused")
        await one.collector.stop()
        await one.start_collector()
        await until(lambda: one.said("approvals refused") == 2, "the retained messages came again")

        refused = [line for line in one.log() if line["event"] == "approvals refused"]
        assert {line["meter"] for line in refused} == {"m-2"}
        assert "[0].kva" in refused[0]["why"]
        assert one.said("approvals taken") == 1  # what was kept is nothing new
