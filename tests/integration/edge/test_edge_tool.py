"""The technician's commands against meters that a test writes down: scan, init, check --live, tail."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from modbus_script import Ask, ModbusScript, answer_and_hang_up, floats, refusing, silent

from edge_agent.app import drivers_of
from edge_agent.commands.answers import iso
from edge_agent.config import load
from edge_agent.desk import Desk, door_beside
from edge_agent.polling.bus import Bus
from edge_agent.polling.care import missing_mark
from edge_agent.polling.missing import Missing, Stretch
from edge_agent.signals import Counters
from edge_agent.spool.spool import Spool
from metering.clock import SystemClock
from metering.ending import end
from metering.round import Column, Origin, Quality, Round, pack
from simulators.stack import free_port

SDM630 = {0x0000: 230.5, 0x0002: 231.0, 0x0004: 229.5, 0x003E: 0.95, 0x0046: 50.0, 0x0048: 1234.5}
SDM630 |= {0x0006: 10.0, 0x0008: 10.0, 0x000A: 10.0, 0x000C: 2190.0, 0x000E: 2195.0, 0x0010: 2180.0, 0x0034: 6565.0}


async def tool(*words: str, stdin: str | None = None) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge_agent.cli",
        *words,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
    )
    out, complaint = await process.communicate(stdin.encode() if stdin is not None else None)
    assert b"Traceback" not in complaint, complaint.decode()
    assert process.returncode is not None
    return process.returncode, out.decode(), complaint.decode()


def little(values: dict[int, float]):
    """float32 values with the low word first."""
    words: dict[int, int] = {}
    for address, value in values.items():
        words[address + 1], words[address] = struct.unpack(">HH", struct.pack(">f", value))
    return lambda ask: ask.registers([words.get(ask.address + i, 0) for i in range(ask.count)])


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def a_round(at_ms: int) -> Round:
    column = Column.of("active_power", [1.234])
    due_ms = at_ms // 60_000 * 60_000
    return Round("park-01", "main", Origin.LIVE, 60_000, due_ms, ("m1",), pack([at_ms], "q"), pack([0], "I"), (column,))


def nobody_behind(ask: Ask) -> bytes:
    return ask.exception(11)


async def test_a_scan_finds_who_answers_and_guesses_the_map(endpoint: ModbusScript):
    endpoint.units = {1: silent, 2: floats(SDM630), 3: refusing(2), 4: nobody_behind}

    code, out, _ = await tool("scan", f"127.0.0.1:{endpoint.port}", "--units", "1-4", "--timeout-ms", "60", "--json")

    found = {one["unit"]: one["candidates"] for one in json.loads(out)["units"]}
    assert (code, set(found)) == (0, {2, 3})
    assert "eastron_sdm630" in [one["profile"] for one in found[2]]
    assert found[3] == []


async def test_a_scan_knows_the_map_behind_an_endpoint_that_hangs_up_after_every_answer(endpoint: ModbusScript):
    endpoint.units = {2: answer_and_hang_up(floats(SDM630))}

    code, out, _ = await tool("scan", f"127.0.0.1:{endpoint.port}", "--units", "2", "--json")

    (found,) = json.loads(out)["units"]
    assert code == 0
    assert "eastron_sdm630" in [one["profile"] for one in found["candidates"]]


async def test_a_map_with_a_mistake_is_told_before_anybody_is_asked(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: floats(SDM630)}
    (tmp_path / "mine.yaml").write_text("manufacturer: Example\n")

    code, _, complaint = await tool("scan", f"127.0.0.1:{endpoint.port}", "--units", "1", "--profiles", str(tmp_path))

    assert code == 2
    assert "mine.yaml:1:1 source: is missing" in complaint
    assert endpoint.asked == []


async def test_a_scan_of_a_closed_port_says_why():
    code, out, complaint = await tool("scan", f"127.0.0.1:{free_port()}", "--units", "1")

    assert (code, out) == (1, "")
    assert "the host refuses the connection" in complaint


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["not a line"], "LINE"),
        (["127.0.0.1", "--units", "0-300"], "--units"),
        (["127.0.0.1", "--parity", "E"], "--parity: 'E' is no parity → none, even, odd"),
        (["/dev/ttyUSB0", "--baudrate", "9600,fast"], "--baudrate: 'fast' is no speed → 9600"),
        (["/dev/ttyUSB0", "--baudrate", "96"], "--baudrate: '96' is no speed → 9600"),
    ],
    ids=["line", "units", "parity", "word", "speed"],
)
async def test_a_scan_that_is_called_wrongly_ends_with_2_and_names_what_is_wrong(words: list[str], named: str):
    code, _, complaint = await tool("scan", *words)

    assert code == 2
    assert f"Invalid value for {named}" in complaint


async def test_a_scan_that_is_broken_off_shows_what_was_found(endpoint: ModbusScript):
    endpoint.units = {1: floats(SDM630)} | dict.fromkeys(range(2, 248), silent)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent.cli", "scan", f"127.0.0.1:{endpoint.port}", "--lang", "en",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(signal.SIGINT)
    rest, complaint = await asyncio.wait_for(process.communicate(), 20)

    assert first.decode().startswith("unit 1: ")
    assert process.returncode == 0
    assert "next: wattline-edge init" in rest.decode()
    assert "stopped after" in complaint.decode()
    assert "Traceback" not in complaint.decode()


async def test_questions_are_answered_from_a_pipe(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: floats(SDM630), 2: silent}
    out = tmp_path / "gateway.yaml"
    answers = ["1-2", "shop-101", "eastron_sdm630", "200/5", "park-01", "127.0.0.1:1883", ""]

    code, _, complaint = await tool(
        "init", "--bus", f"127.0.0.1:{endpoint.port}", "-o", str(out), stdin="\n".join(answers) + "\n"
    )

    assert code == 0, complaint
    settings = load(out)
    assert settings.gateway == "park-01"
    assert [(m.id, m.unit, m.profile, m.ct_ratio) for m in settings.meters] == [("shop-101", 1, "eastron_sdm630", 40)]


async def test_a_file_is_not_written_over_without_force(tmp_path: Path):
    out = tmp_path / "gateway.yaml"
    out.write_text("mine")
    words = ["init", "--bus", "10.0.0.5", "--meter", "1=chint_dtsu666", "--yes", "-o", str(out)]

    assert (await tool(*words))[0] == 2
    assert out.read_text() == "mine"
    assert (await tool(*words, "--force"))[0] == 0
    assert load(out).meters[0].profile == "chint_dtsu666"


async def test_an_input_that_ends_leaves_nothing_behind(tmp_path: Path):
    code, _, complaint = await tool(
        "init",
        "--bus",
        "10.0.0.5",
        "--meter",
        "1=chint_dtsu666",
        "-o",
        str(tmp_path / "gateway.yaml"),
        stdin="park-01\n",
    )

    assert code == 1
    assert "nothing was written" in complaint
    assert files_in(tmp_path) == []


async def test_a_first_file_that_would_be_wrong_is_not_written(tmp_path: Path):
    out = tmp_path / "gateway.yaml"
    code, _, complaint = await tool(
        "init", "--bus", "10.0.0.5", "--meter", "1=chint_dtsu66", "--gateway", "park-01", "--yes", "-o", str(out)
    )

    assert code == 2
    assert f"{out}:" in complaint
    assert "did you mean 'chint_dtsu666'?" in complaint
    assert files_in(tmp_path) == []


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    out = tmp_path / "none" / "gateway.yaml"
    code, _, complaint = await tool("init", "--bus", "10.0.0.5", "--meter", "1=chint_dtsu666", "-y", "-o", str(out))

    assert code == 2
    assert f"{out} cannot be written" in complaint


async def test_what_cannot_be_written_is_told_before_anybody_is_looked_for(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: silent}
    place = f"127.0.0.1:{endpoint.port}"
    code, _, complaint = await tool("init", "--bus", place, "--units", "1", "--force", "-y", "-o", str(tmp_path))

    assert code == 2
    assert f"{tmp_path} cannot be written (Is a directory)" in complaint
    assert endpoint.asked == []
    assert files_in(tmp_path) == []


async def test_no_meter_no_file(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: silent}
    code, _, complaint = await tool(
        "init", "--bus", f"127.0.0.1:{endpoint.port}", "--units", "1", "--yes", "-o", str(tmp_path / "gateway.yaml")
    )

    assert code == 1
    assert "no meter → --meter" in complaint
    assert files_in(tmp_path) == []


def gateway(folder: Path, port: int, more: str = "") -> Path:
    file = folder / "gateway.yaml"
    file.write_text(
        f"""gateway: park-01
spool: {{path: spool.db, max_size_mb: 1}}
buses: [{{id: b1, type: modbus_tcp, host: 127.0.0.1, port: {port}, timeout: 100ms}}]
meters: [{{id: m1, bus: b1, unit: 1, profile: eastron_sdm630{more}}}]
groups: [{{id: main, every: 60s, quantities: [active_power, frequency]}}]
"""
    )
    return file


async def test_a_live_check_names_the_order_that_makes_sense(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: little(SDM630)}

    code, out, _ = await tool("check", "--live", "-c", str(gateway(tmp_path, endpoint.port)), "--json")

    (meter,) = json.loads(out)["meters"]
    assert code == 0
    assert [one["key"] for one in meter["suspicions"]][-1] == "order"
    assert "with word_order little and byte_order big it is 230.5, 231.0, 229.5 V" in meter["suspicions"][-1]["text"]


async def test_a_live_check_beside_the_running_agent_opens_no_line_of_its_own(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: little(SDM630)}
    config = gateway(tmp_path, endpoint.port)
    settings, clock = load(config), SystemClock()
    (bus,) = (Bus(name, driver, ["m1"], clock, Counters()) for name, driver in drivers_of(settings, clock).items())
    polling = asyncio.create_task(bus.run())
    async with Desk([bus]).open_at(door_beside(settings.spool.path)):
        code, out, _ = await tool("check", "--live", "-c", str(config), "--json")
    await end([polling])

    (meter,) = json.loads(out)["meters"]
    assert code == 0
    assert "phase_dead" in [one["key"] for one in meter["suspicions"]]
    assert endpoint.calls == 1


async def test_a_live_check_of_a_good_meter_suspects_nothing(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: floats(SDM630)}

    code, out, _ = await tool("check", "--live", "-c", str(gateway(tmp_path, endpoint.port)), "--lang", "en")

    assert code == 0
    assert "  active_power               6.565 kW" in out
    assert "!" not in out


async def test_a_failed_probe_says_why_to_machines(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: silent}

    code, out, _ = await tool("probe", "m1", "-c", str(gateway(tmp_path, endpoint.port)), "--json")

    probed = json.loads(out)
    assert code == 1
    assert (probed["meter"], probed["values"], probed["failure"]["reason"]) == ("m1", {}, "silent")


async def test_tail_shows_rows_and_ends_with_ctrl_c(tmp_path: Path):
    config = gateway(tmp_path, free_port())
    spool = Spool.of(load(config).spool, "park-01")
    spool.append(a_round(1_772_400_000_123), 1_772_400_000_200)

    code, out, _ = await tool("tail", "-c", str(config), "--lines", "1", "--json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent.cli", "tail", "-c", str(config), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    row = await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 20)
    spool.close()

    assert (code, json.loads(out)) == (
        0,
        {
            "meter": "m1",
            "group": "main",
            "measured_at": "2026-03-01T21:20:00.123Z",
            "quality": [],
            "values": {"active_power": 1.234},
        },
    )
    assert row.decode().split()[1:] == ["m1", "active_power", "1.234", "kW"]
    assert process.returncode == 0


async def test_the_running_agent_keeps_its_line(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: floats(SDM630)}
    config = gateway(tmp_path, endpoint.port)
    words = ["scan", f"127.0.0.1:{endpoint.port}", "--units", "1", "-c", str(config)]

    free, _, _ = await tool(*words)
    async with Desk([]).open_at(door_beside(load(config).spool.path)):
        code, _, complaint = await tool(*words)
        forced, _, _ = await tool(*words, "--force")

    assert (free, code, forced) == (0, 1, 0)
    assert "the running agent reads" in complaint


async def test_a_first_file_is_not_begun_on_the_line_of_the_running_agent(tmp_path: Path, endpoint: ModbusScript):
    endpoint.units = {1: floats(SDM630)}
    config = gateway(tmp_path, endpoint.port)
    before = config.read_text()
    words = ["init", "--bus", f"127.0.0.1:{endpoint.port}", "--units", "1", "-y", "--force", "-o", str(config)]

    async with Desk([]).open_at(door_beside(load(config).spool.path)):
        code, _, complaint = await tool(*words)

    assert (code, endpoint.calls) == (1, 0)
    assert "the running agent reads" in complaint
    assert config.read_text() == before
    assert (await tool(*words))[0] == 0


async def test_sixty_columns_are_enough(endpoint: ModbusScript):
    """On a terminal of 60 columns the help, with its exit codes, and a scan with its progress fit."""
    endpoint.units = {1: floats(SDM630), 2: silent}
    terminal, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent.cli", "scan", f"127.0.0.1:{endpoint.port}", "--units", "1-2", "--lang", "en",
        stdout=theirs, stderr=theirs, env=os.environ | {"COLUMNS": "60", "TERM": "dumb"},
    )  # fmt: skip
    await asyncio.wait_for(process.wait(), 30)
    os.close(theirs)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    _, help_text, _ = await tool("--help")

    assert process.returncode == 0, shown
    assert "unit 1: " in shown
    assert "0 good; 1 something failed live; 2" in " ".join(help_text.split())


async def test_one_profile_is_shown_with_its_registers_and_where_it_comes_from():
    code, out, _ = await tool("profiles", "chint_dtsu666", "--lang", "en")
    as_json = json.loads((await tool("profiles", "chint_dtsu666", "--json"))[1])
    wrong, _, complaint = await tool("profiles", "chint_dtsu66", "--lang", "en")

    assert code == 0
    assert "  3 0x2006 voltage_l1                V     float32 × 0.1" in out
    assert "volkszaehler/mbmd" in out
    assert as_json["chint_dtsu666"]["registers"][0]["quantity"] == "active_energy_import"
    assert wrong == 2
    assert "there is no profile 'chint_dtsu66'" in complaint


async def test_status_names_the_meter_that_gives_nothing_and_ends_with_1(tmp_path: Path):
    config = gateway(tmp_path, free_port())
    spool = Spool.of(load(config).spool, "park-01")
    now_ms = time.time_ns() // 1_000_000
    dead = pack([int(Quality.NO_ANSWER)], "I")
    spool.append(replace(a_round(now_ms), quality=dead), now_ms)

    code, out, _ = await tool("status", "-c", str(config), "--lang", "en")
    spool.close()

    assert code == 1
    assert out.splitlines()[0] == "look at: 1 of 1 meters give nothing (m1) → wattline-edge probe m1"
    assert out.splitlines()[2].split() == ["m1", "0.0%", "never", "no_answer"]


async def test_status_says_what_is_still_to_be_read_back(tmp_path: Path):
    config = gateway(tmp_path, free_port())
    now_ms = time.time_ns() // 1_000_000
    since, until = now_ms - 26 * 3_600_000, now_ms
    spool = Spool.of(load(config).spool, "park-01")
    missing = Missing(until, None, (Stretch(since, until),))
    spool.append(a_round(now_ms), now_ms, {missing_mark("m1"): str(missing), missing_mark("elsewhere"): str(missing)})

    code, out, _ = await tool("status", "-c", str(config), "--lang", "en")
    _, as_json, _ = await tool("status", "-c", str(config), "--json")
    spool.close()

    assert code == 0
    assert [line for line in out.splitlines() if line.endswith("still to be read back: m1")]
    assert json.loads(as_json)["reading_back"] == {"m1": {"since": iso(since), "until": iso(until)}}


async def test_the_schemas_are_written_where_one_wants_them(tmp_path: Path):
    code, out, _ = await tool("schema", "--out", str(tmp_path))

    assert code == 0
    kinds = ["dlms_profile", "dlt645_profile", "gateway", "profile"]
    assert files_in(tmp_path) == [f"{kind}.schema.json" for kind in kinds]
    assert len(out.splitlines()) == len(kinds)


async def test_a_port_may_be_named_from_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "park").mkdir()
    (tmp_path / "park" / "line-1").symlink_to("/dev/null")
    code, _, complaint = await tool("init", "--bus", "park/line-1", "--meter", "1=chint_dtsu666", "--yes")

    assert (code, complaint) == (0, "")
    assert f"device: {tmp_path}/park/line-1" in (tmp_path / "gateway.yaml").read_text(encoding="utf-8")


async def test_what_to_do_after_a_scan_asks_the_same_meters_again(endpoint: ModbusScript):
    endpoint.units = {1: little(SDM630), 2: silent}
    line = f"127.0.0.1:{endpoint.port}"
    code, out, _ = await tool("scan", line, "--units", "1-2")

    assert code == 0
    assert out.splitlines()[-1] == f"next: wattline-edge init --bus {line} --units 1-2"


async def test_a_spool_without_its_folder_is_told_with_what_to_do(tmp_path: Path):
    config = gateway(tmp_path, free_port())
    config.write_text(config.read_text(encoding="utf-8").replace("spool.db", "none/spool.db"), encoding="utf-8")
    code, _, complaint = await tool("run", "-c", str(config))
    chinese, _, grievance = await tool("run", "-c", str(config), "--lang", "zh")

    assert (code, chinese) == (2, 2)
    assert f"is folder {tmp_path}/none there" in complaint
    assert f"文件夹 {tmp_path}/none 是否存在" in grievance


async def test_machines_are_told_too_when_there_is_no_spool_or_the_file_is_wrong(tmp_path: Path):
    config = gateway(tmp_path, free_port())
    none, status, _ = await tool("status", "-c", str(config), "--json")
    config.write_text(config.read_text(encoding="utf-8").replace("every: 60s", "every: 7s"), encoding="utf-8")
    wrong, check, complaint = await tool("check", "-c", str(config), "--json")

    assert (none, wrong) == (1, 2)
    assert json.loads(status)["good"] is False
    (mistake,) = json.loads(check)["mistakes"]
    assert complaint.strip() == f"{config}:{mistake['line']}:{mistake['column']} {mistake['path']}: {mistake['text']}"
