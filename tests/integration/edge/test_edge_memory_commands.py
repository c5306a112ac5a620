"""What a technician has a meter recall: its history and its clock, beside a running agent and without one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.desk import ask_at, door_beside
from edge_agent.questions import question_of
from metering.control import ReadCommand
from metering.errors import DecodeError
from simulators.dlms.meter import LOAD_PROFILE
from simulators.dlms.objects import Column, MeterClock, Profile, Register
from simulators.dlms_meter import DlmsServer
from tests.support.dlms_park import DAY_MS, NOON_MS, READER, SHANGHAI, device, import_wh, serving
from tests.support.upkeep_park import clock_at, gateway_file, good_rows, running
from tests.support.waiting import until

METER = f"id: m1, profile: iec_generic, dlms: {{server: 1, client: {READER}, security: none}}"
SPAN = ("--from", "2026-03-02T06:00+08:00", "--to", "2026-03-02T12:00+08:00")


def written(folder: Path, server: DlmsServer) -> Path:
    return gateway_file(folder, f"type: dlms_tcp, host: 127.0.0.1, port: {server.port}", [METER], timeout="500ms")


async def edge(*words: str, said: str = "") -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent.cli", *words,
        stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | {"LANG": "C.UTF-8", "TZ": "Asia/Shanghai"},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(said.encode()), 30)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("agent", [False, True])
async def test_a_part_of_a_history_is_shown_to_people_and_to_machines(tmp_path: Path, agent: bool) -> None:
    async with serving({1: device()}) as server:
        file = written(tmp_path, server)

        async def ask() -> tuple[tuple[int | None, str, str], tuple[int | None, str, str]]:
            return (
                await edge("load-profile", "m1", "-c", str(file), *SPAN, "--json"),
                await edge("load-profile", "m1", "-c", str(file), *SPAN, "--lang", "en"),
            )

        if agent:
            async with running(file, clock_at(NOON_MS, 60)) as gateway:
                await until(lambda: door_beside(tmp_path / "spool.db").exists(), "the desk is open")
                (status, out, _), (shown_status, shown, _) = await ask()
                await until(lambda: len(good_rows(gateway.spool, "m1")) >= 2, "ticks go on")
        else:
            (status, out, _), (shown_status, shown, _) = await ask()

    said = json.loads(out)
    assert (status, shown_status) == (0, 0)
    assert (said["meter"], said["period_s"], len(said["rows"])) == ("m1", 900, 25)
    first = said["rows"][0]
    at_ms = datetime.fromisoformat(first["measured_at"]).timestamp() * 1000
    assert (first["measured_at"], first["quality"]) == ("2026-03-01T22:00:00.000Z", [])
    assert first["values"]["active_energy_import"] == {"value": import_wh(round(at_ms)) / 1000, "unit": "kWh"}
    assert "m1: 25 rows, one every 15 min" in shown
    assert "2026-03-02 06:00" in shown


async def test_hours_of_minutes_and_many_columns_come_whole_from_the_agent(tmp_path: Path) -> None:
    meter = device()
    columns = [Column(3, one.name, 2, one.value) for one in meter.objects.values() if isinstance(one, Register)]
    minutes = range(NOON_MS - DAY_MS, NOON_MS, 60_000)
    kept = Profile(LOAD_PROFILE, MeterClock(SHANGHAI), columns, lambda _: minutes, 60)
    meter.objects[7, LOAD_PROFILE] = kept  # type: ignore[index]
    async with serving({1: meter}) as server:
        file = written(tmp_path, server)
        async with running(file, clock_at(NOON_MS, 60)):
            await until(lambda: door_beside(tmp_path / "spool.db").exists(), "the desk is open")
            status, out, _ = await edge("load-profile", "m1", "-c", str(file), *SPAN, "--json")

    rows = json.loads(out)["rows"]
    assert status == 0
    assert len(rows) == 360
    assert len(rows[0]["values"]) > 10


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("load-profile", "m9", *SPAN), "there is no meter 'm9'"),
        (("load-profile", "m1", "--from", "yesterday"), "'yesterday' is no time → write it like 2026-03-01T00:00"),
        (("load-profile", "m1", "--from", "2026-03-02T12:00", "--to", "2026-03-02T06:00"), "--from is not before"),
        (("clock", "m9"), "there is no meter 'm9'"),
        (("clock", "m1", "--set", "--json"), "needs --yes"),
    ],
)
async def test_a_wrong_question_is_told_what_to_write(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    async with serving({1: device()}) as server:
        status, out, err = await edge(*words, "-c", str(written(tmp_path, server)), "--lang", "en")

    assert status == 2
    assert why in err
    assert out == ""


async def test_a_meter_without_a_history_says_so(tmp_path: Path) -> None:
    without = device()
    for place in [place for place in without.objects if place[0] == 7]:
        del without.objects[place]  # type: ignore[attr-defined]
    async with serving({1: without}) as server:
        status, out, _ = await edge("load-profile", "m1", "-c", str(written(tmp_path, server)), *SPAN, "--lang", "zh")

    assert status == 1
    assert "电表拒绝" in out


class Settable:
    """A meter an hour behind that takes the time it is told."""

    def __init__(self) -> None:
        self.clock = MeterClock(SHANGHAI, offset_s=0.0)
        self.told: list[bytes] = []
        self.device = device(self.clock, on_set=lambda *place: self.told.append(place[3][1]))


@pytest.mark.parametrize(("answer", "sets"), [("y\n", 1), ("n\n", 0)])
async def test_a_clock_is_only_set_when_a_person_says_yes(tmp_path: Path, answer: str, sets: int) -> None:
    meter = Settable()
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    async with serving({1: meter.device}, clock=clock_at(now_ms, 1)) as server:
        file = written(tmp_path, server)
        status, out, err = await edge("clock", "m1", "--set", "-c", str(file), "--lang", "en", said=answer)

    assert status == 0
    assert "Set the clock of m1 to the time of this gateway?" in out
    assert len(meter.told) == sets
    assert ("its clock was left as it is" in out) == (not sets)
    assert ("meter_clock_set" in err) == bool(sets)


async def test_a_clock_is_compared_and_set_beside_a_running_agent(tmp_path: Path) -> None:
    meter = Settable()
    meter.clock.offset_s = 600.0
    meter.device.on_set = lambda *place: (meter.told.append(place[3][1]), setattr(meter.clock, "offset_s", 0.0))[0]
    clock = clock_at(NOON_MS, 1)
    async with serving({1: meter.device}, clock=clock) as server:
        file = written(tmp_path, server)
        async with running(file, clock) as gateway:
            await until(lambda: door_beside(tmp_path / "spool.db").exists(), "the desk is open")
            _, compared, _ = await edge("clock", "m1", "-c", str(file), "--lang", "en")
            was_off = gateway._upkeep._clocks.is_off("m1")
            status, out, _ = await edge("clock", "m1", "--set", "--yes", "--json", "-c", str(file))
            is_off = gateway._upkeep._clocks.is_off("m1")

    said = json.loads(out)
    assert "ahead of ours" in compared
    assert (status, said["set"]) == (0, True)
    assert said["before_s"] == pytest.approx(600, abs=2)
    assert said["after_s"] == pytest.approx(0, abs=2)
    assert (was_off, is_off) == (True, False)
    assert len(meter.told) == 1


def test_no_command_of_the_centre_is_a_question_that_sets_anything() -> None:
    over_mqtt = question_of(b'{"id": "1", "read": "m1"}')

    assert over_mqtt == ReadCommand("1", "m1")
    for nonsense in (b"{}", b"[]", b'{"id": "1", "set_clock": 7}', b"x"):
        with pytest.raises(DecodeError):
            question_of(nonsense)


async def test_nobody_recalls_what_the_agent_does_not_poll(tmp_path: Path) -> None:
    async with serving({1: device()}) as server:
        file = written(tmp_path, server)
        async with running(file, clock_at(NOON_MS, 60)):
            await until(lambda: door_beside(tmp_path / "spool.db").exists(), "the desk is open")
            reply = await ask_at(door_beside(tmp_path / "spool.db"), ReadCommand("q", "m1", ("clock_offset",)))
            file.write_text(file.read_text(encoding="utf-8").replace("id: m1", "id: m7"), encoding="utf-8")
            history = await edge("load-profile", "m7", "-c", str(file), *SPAN, "--lang", "en")
            clock = await edge("clock", "m7", "--set", "--yes", "-c", str(file), "--lang", "en")

    assert reply.failure == ""
    assert (history[0], clock[0]) == (1, 1)
    assert "the agent that runs does not know this meter" in history[1]
    assert "the agent that runs does not know this meter" in clock[1]
