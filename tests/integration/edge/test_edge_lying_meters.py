"""What a meter says wrongly for a moment is stored, marked, and reaches no bill."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from edge_servers import Broker

from edge_agent.errors import NoSpool
from edge_agent.spool.look import rounds_after
from metering.round import REGISTER_DOUBTED, Quality, unpack
from tests.support.roadside import Roadside, roadside
from tests.support.waiting import until

HOURS = 4
QUARTER_MS = 900_000
SEEN = Quality.REGISTER_ZERO | Quality.REGISTER_JUMPED


async def load_blocks(street: Roadside, meter: str) -> list[dict[str, Any]]:
    """What ``wattline-collector query load-blocks`` says."""
    config = str(street.stack.folder / "collector.yaml")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collector.cli", "query", "load-blocks", meter, "--json", "-c", config,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    found: list[dict[str, Any]] = json.loads(out)
    return found


def start_ms(block: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(block["at"]).timestamp() * 1000)


def last_block_ms(blocks: list[dict[str, Any]]) -> int:
    return max(map(start_ms, blocks), default=0)


def first_round_ms(spool: Path) -> int:
    """When the first round was due; 0 while there is none, or not even a spool."""
    with suppress(NoSpool):
        return next((one.scheduled_at for _, one in rounds_after(spool, 0)), 0)
    return 0


async def test_zeros_and_spikes_are_marked_and_no_quarter_of_an_hour_is_billed_wrongly(tmp_path: Path, broker: Broker):
    lying = ["shop-101", "kitchen-302"]
    faults = [{"fault": "transient_zero", "meters": lying, "share": 0.06}]
    faults += [{"fault": "spike", "meters": lying, "share": 0.06}]
    async with roadside(tmp_path, broker.port, 900, faults=faults, every="1min") as street:
        await street.stack.start_collector()
        await street.poll()
        await until(lambda: first_round_ms(street.spool), "the first round", 60)
        end_ms = first_round_ms(street.spool) + HOURS * 3_600_000
        await until(lambda: street.clock.now_ms() > end_ms, "four hours", 60)
        await street.send_only()
        async with asyncio.timeout(60):
            while (
                last_block_ms(await load_blocks(street, "shop-102")) < end_ms - 2 * QUARTER_MS
            ):  # the last quarter may have no reading behind it
                await asyncio.sleep(0.2)
        blocks = {meter: await load_blocks(street, meter) for meter in [*lying, "shop-102"]}

    marked = Quality(0)
    for _, one in rounds_after(street.spool, 0):
        for meter, bits in zip(one.meters, unpack(one.quality, "I"), strict=True):
            if bits & REGISTER_DOUBTED:
                assert meter in lying
                marked |= Quality(bits)
    assert marked & SEEN == SEEN
    for meter, found in blocks.items():
        truth = next(one.meter for one in street.park.meters if one.meter.name == meter)
        assert len(found) >= 4 * (HOURS - 1)
        for block in found[1:-1]:
            at = start_ms(block)
            kwh = sum(truth.reading(at + QUARTER_MS).import_kwh) - sum(truth.reading(at).import_kwh)
            assert block["import_kwh"] == pytest.approx(kwh, abs=0.2)
