"""The centre reads a meter now, through the agent that polls it; by the command line, as operations would."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from edge_servers import Broker

from tests.support.roadside import Roadside, roadside
from tests.support.ticks import held
from tests.support.waiting import until


async def read(street: Roadside, *words: str, within: str = "20") -> tuple[int | None, str, str]:
    """Exit status, output and complaint of ``wattline-collector read``."""
    config = str(street.stack.folder / "collector.yaml")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collector.cli", "read", *words, "-c", config, "--within", within,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_operations_read_one_meter_now_and_are_told_why_another_does_not_answer(tmp_path: Path, broker: Broker):
    faults = [{"fault": "silent", "meters": ["shop-102"]}]
    async with roadside(tmp_path, broker.port, faults=faults) as street:
        await street.poll()
        await until(lambda: held(street.spool), "a round")
        good, shop, _ = await read(street, "park-01", "shop-101", "--json")
        dead, _, why = await read(street, "park-01", "shop-102")
        unknown, _, which = await read(street, "park-01", "shop-999")
        nobody, _, where = await read(street, "park-99", "shop-101", within="3")

    assert good == 0
    assert json.loads(shop)["values"]["voltage_l1"] > 200
    assert (dead, unknown, nobody) == (1, 1, 1)
    assert "silent" in why
    assert "not_polled" in which
    assert "no reply" in where
