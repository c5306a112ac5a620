"""``run`` keeps the feeds: a process of its own beside it, back when it dies, gone when the collector goes.

One collector, one broker and one long story, because every program that starts costs seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from simulators.stack import script
from tests.support.central import Central
from tests.support.ear import Ear, hearing
from tests.support.feeds import TOKENS, desk, readings
from tests.support.gateway import gateway_at
from tests.support.servers import free_port, wait_for_port
from tests.support.waiting import until

pytestmark = pytest.mark.servers

METERS = ("shop-1", "shop-2")
APPROVAL = {"id": "ta-1", "from": "2026-07-01T00:00:00+08:00", "to": "2026-07-02T00:00:00+08:00", "kva": 60}


def ask(port: int, path: str, body: object | None = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKENS['all']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", data, headers), timeout=10) as answer:
        return json.loads(answer.read())


def answers(port: int) -> bool:
    try:
        return bool(ask(port, "/v1/health")["status"] == "ok")
    except (OSError, HTTPException):
        return False


def children(pid: int) -> list[int]:
    """The processes a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def told(ear: Ear) -> list[dict[str, Any]]:
    return [json.loads(body) for topic, body in ear.heard if "/feed/" in topic]


@asynccontextmanager
async def collector_with_feeds(folder: Path, port: int) -> AsyncIterator[Central]:
    one = Central(folder)
    tokens = folder / "feeds.tokens"
    tokens.write_text("".join(f"{name}:{token}:{name}\n" for name, token in TOKENS.items()))
    tokens.chmod(0o600)
    meters = [{"id": name, "site": "park", "account": f"A-{name}", "trade": "retail"} for name in METERS]
    ratings = {"contract_kva": 30, "base_current_a": 10, "maximum_current_a": 80}
    registry = {"sites": [{"id": "park"}], "meters": [one | ratings for one in meters]}
    (folder / "registry.yaml").write_text(yaml.safe_dump(registry))
    settings = yaml.safe_load(one.config.read_text())
    settings |= {"registry": "registry.yaml", "http": {"port": port, "tokens_file": "feeds.tokens"}}
    one.config.write_text(yaml.safe_dump(settings))
    try:
        await asyncio.to_thread(one.broker.start)
        await one.start_collector()
        yield one
    finally:
        await one.collector.stop()
        one.broker.kill()


async def test_the_feeds_live_with_the_collector_and_say_what_it_commits(tmp_path: Path) -> None:
    port = free_port()
    async with (
        collector_with_feeds(tmp_path / "one", port) as one,
        hearing(one.broker.port, "wattline/v1/feed/#") as ear,
    ):
        await until(lambda: answers(port) and ear.connections, "the feeds are served", 60)
        async with gateway_at(one.broker.port) as gateway:
            rounds = readings(2, METERS)
            gateway.hold(rounds)
            await gateway.send(*range(1, len(rounds) + 1))
            await gateway.until_acknowledged(len(rounds))

        # Over MQTT: both days of both meters, and the case.
        await until(lambda: len([one for one in told(ear) if ".day." in one["type"]]) == 4, "all days are told")
        days = ask(port, "/v1/pricing/days?since=2026-06-18&until=2026-06-20")["items"]
        assert sorted((day["meter"], day["day"]) for day in days) == [
            (meter, f"2026-06-{day}") for meter in METERS for day in (18, 19)
        ]
        heard = [one["data"] for one in told(ear) if ".day." in one["type"]]
        assert sorted(heard, key=lambda day: (day["meter"], day["day"])) == days
        (case,) = ask(port, "/v1/inspection/cases")["items"]
        assert {one["data"]["id"] for one in told(ear) if one["type"].startswith("wattline.case")} == {case["id"]}

        # A verdict given over HTTP is told over MQTT; approvals reach the collector.
        ask(port, f"/v1/inspection/cases/{case['id']}/verdict", {"verdict": "confirmed", "by": "team-3"})
        await until(lambda: told(ear)[-1]["type"] == "wattline.case.closed", "the verdict is told")
        assert told(ear)[-1]["data"]["verdict"]["by"] == "team-3"
        assert ask(port, "/v1/approvals", {"meter": "shop-1", "approvals": [APPROVAL]})["approvals"] == 1
        await until(lambda: one.said("approvals taken"), "the approvals are taken")
        assert (await one.ask("verify"))[0] == 0

        # The server dies: another takes its place, and nothing else has noticed.
        (server,) = children(one.collector.pid)
        os.kill(server, signal.SIGKILL)
        await until(lambda: one.said("the feeds ended; they are started again"), "its death is noticed")
        await until(lambda: answers(port), "the feeds are back", 60)
        assert one.collector.running

        # SIGTERM ends both.
        (server,) = children(one.collector.pid)
        await one.collector.stop()
        assert not alive(server)
        assert not answers(port)
        assert one.said("collector stopped") == 1


def test_a_collector_that_is_killed_takes_the_feeds_with_it(tmp_path: Path) -> None:
    one = desk(tmp_path)
    command = f"{script('wattline-collector')} feeds -c {one.config} --parent $$ & wait"
    with (tmp_path / "log").open("ab") as log:
        parent = subprocess.Popen(["sh", "-c", command], stdout=log, stderr=log)
    wait_for_port(one.port, 60.0)
    (server,) = children(parent.pid)

    parent.kill()
    parent.wait()

    deadline = time.monotonic() + 30
    while alive(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(server)
