"""Real servers for the edge agent: a scripted Modbus endpoint and mosquitto on free ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from edge_servers import Broker
from modbus_script import ModbusScript

from simulators.stack import free_port


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    running = Broker(folder, free_port())
    await running.start()
    yield running
    await running.kill()


@pytest.fixture
async def endpoint() -> AsyncIterator[ModbusScript]:
    script = await ModbusScript().start()
    yield script
    await script.stop()
