"""A real edge agent in a folder of its own, in front of a real simulated park: run and read as a user would.

Simulated time runs fast; ``still`` starts the agent on a clock that stands, so that it only sends.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from metering.clock import SimulatedClock
from simulators.companions import Services, gateway
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings
from simulators.stack import Stack
from tests.support.servers import free_port

_STILL = 1e-6


class Roadside:
    """One park and the agent that polls it; the broker is somebody else's."""

    def __init__(self, folder: Path, mqtt_port: int, speed: float = 1200, **park: object) -> None:
        """Write the files; ``park`` says what differs from one dozen meters on two endpoints."""
        usual: dict[str, object] = {"start": "2026-06-18T06:00:00+08:00", "meters_per_endpoint": 6}
        usual |= {"trades": {"retail": 6, "catering": 6}, "every": "5min", "port": free_port(2)}
        self.park: Park = expand(ParkSettings.model_validate(usual | park), datetime.now(UTC))
        self.stack = Stack(folder, services=Services(mqtt_port=mqtt_port, keep_acknowledged="30d"))
        self.stack.write(self.park)
        self.clock = SimulatedClock(self.park.start_ms, speed, time.time_ns() // 1_000_000)
        self.spool = folder / "spool.db"

    @property
    def config(self) -> Path:
        """The file of the edge agent."""
        return self.stack.folder / "gateway.yaml"

    def change(self, **keys: object) -> None:
        """Write the agent's file again with other keys."""
        document = gateway(self.park, self.stack.services, self.stack.folder) | keys
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    async def poll(self) -> None:
        """Start the agent; the park has to run."""
        await self.stack.start_edge(str(self.clock))

    async def send_only(self) -> None:
        """End the polling and start the agent on a clock that stands still."""
        if "edge" in self.stack.programs:
            await self.stack.programs["edge"].stop()
        still = SimulatedClock(self.clock.now_ms(), _STILL, time.time_ns() // 1_000_000)
        await self.stack.start_edge(str(still))

    def log(self) -> list[dict[str, Any]]:
        """Every line the agent has logged."""
        path = self.stack.folder / "edge.log"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, event: str) -> int:
        """How often it has logged this."""
        return sum(line["event"] == event for line in self.log())


@asynccontextmanager
async def roadside(folder: Path, mqtt_port: int, speed: float = 1200, **park: object) -> AsyncIterator[Roadside]:
    """The park runs for the length of the block; the agent is started by the test."""
    one = Roadside(folder, mqtt_port, speed, **park)
    async with one.stack:
        await one.stack.start_park(str(one.clock))
        yield one
