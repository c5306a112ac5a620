"""A mistake at one meter is told with the meter's name, and never costs the others a round.

The mistakes are those of a commissioning day: a host where nobody listens, a meter that refuses what it is asked, one
that is silent, a profile that does not exist, one name for two meters. The real program, as a technician calls it,
against a real simulated park. There is no broker: what matters arrives in the spool.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from metering.clock import SimulatedClock
from metering.round import FAILED, Quality, Round, unpack
from simulators.companions import Services
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings
from simulators.stack import Stack, free_port, script
from tests.support.chain import rounds_in
from tests.support.waiting import until

GOOD = {"shop-101", "shop-104", "works-201", "works-202"}
SILENT, REFUSING, NOWHERE = "shop-102", "shop-103", "nobody-1"
SPEED = 120  # a one-minute round every half second


def a_park() -> Park:
    settings = {
        "park": "park-01",
        "start": datetime.fromisoformat("2026-06-18T08:00:00+08:00"),
        "port": free_port(2),
        "meters_per_endpoint": 3,
        "every": "60s",
        "trades": {"retail": 4, "manufacturing": 2},
        "faults": [
            {"fault": "silent", "meters": [SILENT]},
            {"fault": "exception", "meters": [REFUSING], "code": 2},
        ],
    }
    return expand(ParkSettings.model_validate(settings), datetime.now(UTC))


@asynccontextmanager
async def commissioned(folder: Path) -> AsyncIterator[tuple[Stack, str]]:
    """A park that is up, and a configuration with one meter more, on a host where nobody listens; and the clock."""
    park = a_park()
    async with Stack(folder, services=Services(mqtt_port=free_port(), keep_acknowledged="30d")) as stack:
        stack.write(park)
        change(folder, add_nobody)
        clock = str(SimulatedClock(park.start_ms, SPEED, time.time_ns() // 1_000_000))
        await stack.start_park(clock)
        yield stack, clock


def change(folder: Path, how: Any) -> None:
    """Change the edge's file as a person with an editor would."""
    path = folder / "gateway.yaml"
    document = yaml.safe_load(path.read_text())
    how(document)
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def add_nobody(document: dict[str, Any]) -> None:
    for bus in document["buses"]:
        bus["timeout"] = "100ms"
    document["buses"].append({"id": "b9", "type": "modbus_tcp", "host": "127.0.0.77", "port": free_port()})
    document["meters"].append({"id": NOWHERE, "bus": "b9", "unit": 1, "profile": "eastron_sdm630"})


def edge(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [script("wattline-edge"), *words, "-c", str(folder / "gateway.yaml"), "--lang", "en"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def failures(rounds: list[Round]) -> dict[str, set[int]]:
    """For every meter the failure bits of its rows, over all rounds."""
    found: dict[str, set[int]] = {}
    for content in rounds:
        for meter, bits in zip(content.meters, unpack(content.quality, "I"), strict=True):
            found.setdefault(meter, set()).add(bits & FAILED)
    return found


def suspended(log: Path) -> set[str]:
    """Meters that the agent says it leaves alone for a while."""
    lines = [json.loads(line) for line in log.read_text().split("\n")[:-1] if line.startswith("{")]
    return {line["meter"] for line in lines if line["event"] == "meter_suspended"}


async def test_a_live_check_names_every_meter_that_cannot_be_read_and_says_what_to_look_at(tmp_path):
    async with commissioned(tmp_path):
        done = await asyncio.to_thread(edge, tmp_path, "check", "--live")

    said = {line.split(":")[0]: line for line in done.stdout.splitlines() if ": " in line}
    assert done.returncode == 1
    assert "does not answer → " in said[SILENT]
    assert "answers with exception 2 (illegal data address) → " in said[REFUSING]
    assert "→" in said[NOWHERE]
    assert f"{len(GOOD)} of {len(GOOD) + 3} meters answer" in done.stdout
    for meter in GOOD:
        assert said[meter].endswith(" ms")
    assert "Traceback" not in done.stdout + done.stderr


async def test_meters_that_cannot_be_read_cost_the_others_no_round(tmp_path):
    async with commissioned(tmp_path) as (stack, clock):
        program = await stack.start_edge(clock)
        spool = tmp_path / "spool.db"

        def enough() -> bool:
            program.check()
            return spool.exists() and len(rounds_in(spool)) >= 8

        await asyncio.sleep(2)  # the file is made before its tables are
        await until(enough, "eight rounds are spooled")
        await until(lambda: suspended(program.log) >= {SILENT}, "the log says which meter is left alone for a while")
        await program.stop()
        rounds = rounds_in(spool)

    found = failures(rounds)
    assert found.keys() == {*GOOD, SILENT, REFUSING, NOWHERE}
    assert {meter for meter, bits in found.items() if bits == {0}} == GOOD
    assert Quality.NO_ANSWER in found[SILENT]
    assert found[REFUSING] >= {int(Quality.REFUSED)}
    assert found[NOWHERE] >= {int(Quality.LINK_DOWN)}
    assert 0 not in found[SILENT] | found[REFUSING] | found[NOWHERE]
    assert not suspended(tmp_path / "edge.log") & GOOD
    assert all(len(content.meters) == len(found) for content in rounds)  # a dead meter is a row, not a hole


@pytest.mark.parametrize("command", [("check",), ("run",)], ids="".join)
def test_mistakes_in_the_file_are_all_told_with_their_places_before_anything_starts(tmp_path, command):
    stack = Stack(tmp_path)
    stack.write(a_park())

    def spoil(document: dict[str, Any]) -> None:
        document["meters"][1]["profile"] = "eastron_sdm360"
        document["meters"][3]["id"] = "shop-101"

    change(tmp_path, spoil)
    done = edge(tmp_path, *command)
    lines = done.stderr.splitlines()

    assert done.returncode == 2
    assert [line.split(" ")[1] for line in lines] == ["meters[1].profile:", "meters[3].id:"]
    assert "there is no profile 'eastron_sdm360' → did you mean 'eastron_sdm630'?" in lines[0]
    assert "'shop-101' is given twice" in lines[1]
    assert all(line.startswith(f"{tmp_path}/gateway.yaml:") for line in lines)
    assert not (tmp_path / "spool.db").exists()
