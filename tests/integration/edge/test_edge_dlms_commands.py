"""What a technician sees of DLMS meters: gateway.yaml, check --live, probe, in both languages, without a key."""

from __future__ import annotations

import json
import os
import sys
import tty
from asyncio import (
    create_subprocess_exec,
    create_task,
    get_running_loop,
    open_connection,
    sleep,
    start_unix_server,
    to_thread,
)
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from edge_agent.commissioning.line_address import line_of
from edge_agent.commissioning.running_agent import bus_in_use
from edge_agent.config import load
from edge_agent.desk import door_beside
from edge_agent.drivers.driver import Reading
from edge_agent.drivers.registry import ProfileShelf, make_driver
from metering.clock import SystemClock
from simulators.dlms_meter import DlmsServer
from tests.support.dlms_park import AK, EK, GMAC, NOON_MS, READER, device, import_wh, serving

GATEWAY = """
gateway: g1
spool: {{path: spool.db}}
buses:
  - {{id: b1, {bus}, timeout: 500ms, system_title: 57544c0000000001, counters: counters}}
meters:
  - id: m1
    bus: b1
    profile: iec_generic
    dlms: {{server: 1, client: {gmac}, encryption_key_file: ek, authentication_key_file: ak}}
  - {{id: m2, bus: b1, profile: iec_generic, dlms: {{server: 2, client: {reader}, security: none}}}}
groups:
  - {{id: main, every: 60s}}
"""


def gateway(folder: Path, bus: str) -> Path:
    for name, key in (("ek", EK), ("ak", AK)):
        (folder / name).write_text(key.hex(), encoding="ascii")
        (folder / name).chmod(0o600)
    path = folder / "gateway.yaml"
    path.write_text(GATEWAY.format(bus=bus, gmac=GMAC, reader=READER), encoding="utf-8")
    return path


def tcp(server: DlmsServer) -> str:
    return f"type: dlms_tcp, host: 127.0.0.1, port: {server.port}"


async def edge(*words: str) -> tuple[int | None, str]:
    process = await create_subprocess_exec(
        sys.executable, "-m", "edge_agent.cli", *words, stdout=PIPE, stderr=PIPE, env=os.environ | {"LANG": "C.UTF-8"}
    )
    out, err = await process.communicate()
    return process.returncode, out.decode() + err.decode()


@pytest.mark.parametrize(("lang", "good"), [("en", "2 of 2 meters answer"), ("zh", "2 / 2 块电表有应答")])
async def test_meters_with_keys_and_without_are_checked_live(tmp_path: Path, lang: str, good: str) -> None:
    async with serving({1: device(), 2: device()}) as server:
        status, said = await edge("check", "--live", "-c", str(gateway(tmp_path, tcp(server))), "--lang", lang)

    assert good in said, said
    assert "100 %" not in said
    assert EK.hex() not in said
    assert status == 0


async def test_a_meter_is_probed(tmp_path: Path) -> None:
    async with serving({1: device(), 2: device()}) as server:
        status, said = await edge("probe", "m1", "--json", "-c", str(gateway(tmp_path, tcp(server))))

    assert status == 0
    assert json.loads(said)["values"]["active_energy_import"]["value"] == import_wh(NOON_MS) / 1000


@pytest.mark.parametrize(("lang", "why"), [("en", "cannot be used → look"), ("zh", "密钥或计数器无法使用")])
async def test_a_key_that_others_may_read_is_said(tmp_path: Path, lang: str, why: str) -> None:
    async with serving({1: device(), 2: device()}) as server:
        path = gateway(tmp_path, tcp(server))
        (tmp_path / "ek").chmod(0o644)
        status, said = await edge("probe", "m1", "-c", str(path), "--lang", lang)

    assert status != 0
    assert why in said
    assert "chmod 600" in said
    assert EK.hex() not in said


@pytest.mark.parametrize(("lang", "why"), [("en", "the meter refuses →"), ("zh", "电表拒绝 →")])
async def test_a_meter_that_refuses_says_why(tmp_path: Path, lang: str, why: str) -> None:
    async with serving({1: device(), 2: device(accesses={})}) as server:
        status, said = await edge("probe", "m2", "-c", str(gateway(tmp_path, tcp(server))), "--lang", lang)

    assert status != 0
    assert why in said


async def test_a_port_on_which_the_agent_speaks_dlms_is_known_to_be_in_use(tmp_path: Path) -> None:
    path = gateway(tmp_path, "type: dlms_hdlc, device: /dev/ttyUSB7")
    lines = [line_of(line) for line in ("/dev/ttyUSB7", "/dev/ttyUSB8", "10.0.0.5")]
    server = await start_unix_server(lambda _, writer: writer.close(), door_beside(tmp_path / "spool.db"))
    async with server:
        in_use = [await to_thread(bus_in_use, path, line) for line in lines]

    assert in_use == ["b1", None, None]


async def test_a_serial_port_carries_the_same_frames(tmp_path: Path) -> None:
    near, far = os.openpty()
    tty.setraw(far)
    async with serving({1: device(), 2: device()}, "hdlc") as server:
        reader, writer = await open_connection("127.0.0.1", server.port)
        os.set_blocking(near, False)
        get_running_loop().add_reader(near, lambda: writer.write(os.read(near, 4096)))

        async def back() -> None:
            while octets := await reader.read(4096):
                os.write(near, octets)

        carrying = create_task(back())
        settings = load(gateway(tmp_path, f"type: dlms_hdlc, device: {os.ttyname(far)}"))
        driver = make_driver(settings.buses[0], settings.meters, ProfileShelf(), SystemClock())
        try:
            assert await driver.connect() is None
            found = [await driver.read(meter, frozenset({"active_energy_import"})) for meter in ("m1", "m2")]
        finally:
            driver.close()
            await sleep(0)
            get_running_loop().remove_reader(near)
            carrying.cancel()
            writer.close()
            os.close(near)
            os.close(far)

    assert [outcome.values for outcome in found if isinstance(outcome, Reading)] == [
        {"active_energy_import": import_wh(NOON_MS) / 1000}
    ] * 2
