"""A meter whose clock is wrong: found, told, and set right by a technician beside the running agent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from simulators.stack import script
from tests.support.roadside import Roadside, roadside
from tests.support.servers import free_port
from tests.support.waiting import until

SPEED = 60
LINES = [{"line": "dlms_tcp"}, {"line": "dlt645_tcp", "baudrate": 9600}]
CLOCKS = [{"meter": "shop-102", "ahead": "20min"}, {"meter": "kitchen-301", "behind": "1d"}]


async def edge(street: Roadside, *words: str) -> tuple[int, str]:
    """One command of the technician beside the agent."""
    process = await asyncio.create_subprocess_exec(
        script("wattline-edge"), *words, "-c", str(street.config), "--lang", "en", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def status(street: Roadside) -> dict[str, Any]:
    _, out = await edge(street, "status", "--json", "--simulated-clock", str(street.clock))
    found: dict[str, Any] = json.loads(out)
    return found


async def off(street: Roadside) -> set[str]:
    """The meters whose clocks are off, as ``status`` says."""
    return {meter for meter, found in (await status(street))["meters"].items() if found["clock_off"]}


async def test_clocks_that_are_off_are_told_and_one_is_set_beside_the_agent(tmp_path: Path) -> None:
    park: dict[str, object] = {"trades": {"retail": 2, "catering": 2}, "meters_per_endpoint": 2, "every": "2min"}
    async with roadside(tmp_path / "street", free_port(), SPEED, **park, lines=LINES, clocks=CLOCKS) as street:
        await street.poll()
        await until(lambda: street.said("meter_clock_off") == 2, "both are found")
        async with asyncio.timeout(60):
            while await off(street) != {"shop-102", "kitchen-301"}:
                await asyncio.sleep(0.2)
        _, told = await edge(street, "status", "--simulated-clock", str(street.clock))
        set_code, set_out = await edge(street, "clock", "shop-102", "--set", "--yes", "--json")
        refused_code, refused = await edge(street, "clock", "kitchen-301", "--set", "--yes")
        async with asyncio.timeout(60):
            while await off(street) != {"kitchen-301"}:
                await asyncio.sleep(0.2)

    assert "look at: clocks off: shop-102, kitchen-301 → wattline-edge clock shop-102" in told.splitlines()
    outcome = json.loads(set_out)
    assert (set_code, outcome["set"]) == (0, True)
    assert outcome["before_s"] == pytest.approx(1200, abs=60)
    assert outcome["after_s"] == pytest.approx(0, abs=60)
    assert refused_code == 1
    assert "86" in refused  # it is told how far, and that nothing is ever written to such a meter
