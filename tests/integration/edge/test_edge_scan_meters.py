"""``scan`` and ``init`` on lines of DL/T 645 and DLMS meters, as a technician calls them."""

from __future__ import annotations

import json
import os
import re
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from edge_agent.config import load
from metering.config_file import ConfigError
from simulators.dlms.device import Access
from simulators.paced_line import LineSpeed
from tests.support.dlms_park import AK, EK, GMAC, LOW, READER, device, serving
from tests.support.dlt645_line import endpoint, served

FEW = [12345678, 12345679, 12349979]


async def edge(folder: Path, *words: str) -> tuple[int | None, str, str]:
    process = await create_subprocess_exec(
        sys.executable,
        "-m",
        "edge_agent.cli",
        *words,
        stdout=PIPE,
        stderr=PIPE,
        cwd=folder,
        env=os.environ | {"LANG": "C.UTF-8", "COLUMNS": "40"},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_only_meter_of_a_slow_line_tells_its_address_and_its_map(tmp_path: Path):
    speed = LineSpeed(2400, 11)
    async with served("dlt645_tcp", endpoint([12345678]), tmp_path, speed) as (bus, _):
        line = f"dlt645://127.0.0.1:{bus.port}"
        status, out, err = await edge(tmp_path, "scan", line, "--lang", "en", "-c", "none.yaml")

    assert status == 0, err
    assert "address 000012345678: dlt645_three_phase" in out
    assert "at 2400 Bd even" in err
    assert f"init --bus {line}" in out


@pytest.mark.parametrize("single_phase", [True, False])
async def test_the_map_follows_the_phases(tmp_path: Path, single_phase: bool):
    async with served("dlt645_tcp", endpoint([7], single_phase=single_phase), tmp_path) as (bus, _):
        line = f"dlt645://127.0.0.1:{bus.port}"
        _, out, _ = await edge(tmp_path, "scan", line, "--baudrate", "115200", "--json", "-c", "none.yaml")

    (found,) = json.loads(out)["units"]
    assert found["address"] == "000000000007"
    assert found["profile"] == ("dlt645_single_phase" if single_phase else "dlt645_three_phase")


async def test_several_meters_of_a_line_are_told_apart_and_become_a_file(tmp_path: Path):
    async with served("dlt645_tcp", endpoint(FEW), tmp_path) as (bus, _):
        line = f"dlt645://127.0.0.1:{bus.port}"
        fast = ("--baudrate", "115200", "--timeout-ms", "50")
        named = ("--units", ",".join(f"{unit:012d}" for unit in FEW))
        status, out, err = await edge(tmp_path, "scan", line, *fast, "--json", "-c", "none.yaml")
        made, _, why = await edge(
            tmp_path, "init", "--bus", line, *fast[:2], *named, "--spool", "spool.db", "--gateway", "g1", "--yes"
        )
        checked, _, _ = await edge(tmp_path, "check", "--live", "-c", "gateway.yaml")

    assert status == 0, err
    assert {one["address"] for one in json.loads(out)["units"]} == {f"{unit:012d}" for unit in FEW}
    assert (made, checked) == (0, 0), why
    meters = load(tmp_path / "gateway.yaml").meters
    assert {one.address for one in meters} == {f"{unit:012d}" for unit in FEW}


async def test_a_serial_port_is_scanned(tmp_path: Path):
    async with served("dlt645_serial", endpoint([7]), tmp_path, LineSpeed(9600, 10)) as (bus, _):
        words = ("scan", f"dlt645://{bus.device}", "--parity", "none", "--baudrate", "2400,9600", "-c", "none.yaml")
        status, out, err = await edge(tmp_path, *words)

    assert status == 0, err
    assert "000000000007" in out


async def test_silence_says_what_to_try(tmp_path: Path):
    async with served("dlt645_tcp", endpoint([]), tmp_path) as (bus, _):
        status, _, err = await edge(tmp_path, "scan", f"dlt645://127.0.0.1:{bus.port}", "--lang", "en", "-c", "no.yaml")

    assert status == 1
    assert "no meter answers → " in err


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_servers_are_found_and_say_what_they_want(tmp_path: Path, framing):
    only_public = {16: Access(everything=False)}
    async with serving(
        {1: device(), 16: device(accesses=only_public, meter={"serial": "SIM00016"})}, framing
    ) as server:
        line = f"{'dlms' if framing == 'wrapper' else 'hdlc'}://127.0.0.1:{server.port}"
        words = ("scan", line, "--timeout-ms", "200", "-c", "no.yaml", "--client", str(GMAC))
        status, out, err = await edge(tmp_path, *words, "--json")
        _, text, _ = await edge(tmp_path, *words, "--lang", "en", "--units", "1")

    assert status == 0, err
    first, second, *_ = json.loads(out)["units"]  # in HDLC frames the second answers at 1/16, too
    assert (first["server"], first["public"], first["serial"], first["counter"]) == (1, True, "SIM00001", 0)
    assert (first["wants"], second["server"], second["wants"]) == ("keys", 16, "other client")
    assert "server 1: SIM00001" in text
    assert "security: gmac" in text


@pytest.mark.parametrize(
    ("client", "wants", "security"), [(READER, "nothing", "none"), (LOW, "proof", "gmac"), (GMAC, "keys", "gmac")]
)
async def test_what_a_server_wants_goes_into_the_first_file(tmp_path: Path, client: int, wants: str, security: str):
    async with serving({1: device()}) as server:
        line = f"dlms://127.0.0.1:{server.port}"
        fast = ("--timeout-ms", "200", "--units", "1", "--client", str(client))
        _, out, _ = await edge(tmp_path, "scan", line, *fast, "--json", "-c", "no.yaml")
        init = ("--units", "1", "--client", str(client), "--gateway", "g1", "--spool", "spool.db", "--yes")
        status, said, err = await edge(tmp_path, "init", "--bus", line, *init, "--lang", "en")

    assert json.loads(out)["units"][0]["wants"] == wants
    assert status == 0, err
    text = (tmp_path / "gateway.yaml").read_text(encoding="utf-8")
    assert f"client: {client}, security: {security}" in text
    assert ("umask 077" in said) == (security == "gmac")
    for key in ("ek", "ak"):
        (tmp_path / "keys").mkdir(exist_ok=True)
        (tmp_path / "keys" / f"meter-1.{key}").touch()
    assert load(tmp_path / "gateway.yaml").meters[0].dlms.security == security


async def test_a_first_file_waits_for_its_keys(tmp_path: Path):
    words = ("--bus", "dlms://10.0.0.5", "--meter", "1=iec_generic:shop", "--gateway", "g1", "--yes")
    first, said, err = await edge(tmp_path, "init", *words, "--lang", "zh")
    second, _, _ = await edge(tmp_path, "init", *words, "--out", "again.yaml")

    assert (first, second) == (0, 0), err
    assert "keys/shop.ek" in said
    titles = [re.search(r'system_title: "([0-9a-f]{16})"', (tmp_path / name).read_text("utf-8")) for name in FILES]
    assert titles[0][1] != titles[1][1]  # type: ignore[index]
    with pytest.raises(ConfigError, match=r"keys/shop\.ek"):
        load(tmp_path / "gateway.yaml")


FILES = ("gateway.yaml", "again.yaml")
GATEWAY = """
gateway: g1
spool: {{path: spool.db}}
buses: [{{id: b1, type: dlms_tcp, host: 127.0.0.1, port: {port}, system_title: 57544c0000000001, counters: counters}}]
meters:
  - id: m1
    bus: b1
    profile: iec_generic
    dlms: {{client: {gmac}, encryption_key_file: ek, authentication_key_file: ak}}
groups: [{{id: main, every: 60s}}]
"""


async def test_the_objects_of_a_meter_are_listed_with_their_values(tmp_path: Path):
    for name, key in (("ek", EK), ("ak", AK)):
        (tmp_path / name).write_text(key.hex(), encoding="ascii")
        (tmp_path / name).chmod(0o600)
    async with serving({1: device()}) as server:
        (tmp_path / "gateway.yaml").write_text(GATEWAY.format(port=server.port, gmac=GMAC), encoding="utf-8")
        words = ("scan", "--meter", "m1", "-c", "gateway.yaml", "--lang", "en")
        status, out, err = await edge(tmp_path, *words, "--json")
        _, text, _ = await edge(tmp_path, *words)
        unknown, _, _ = await edge(tmp_path, "scan", "--meter", "m2", "-c", "gateway.yaml")

    assert status == 0, err
    objects = {one["obis"]: one for one in json.loads(out)["objects"]}
    voltage, power = objects["1-0:32.7.0"], objects["1-0:16.7.0"]
    assert (voltage["quantity"], voltage["value"], voltage["unit"]) == ("voltage_l1", 230.1, "V")
    assert (power["quantity"], power["value"], power["unit"]) == ("active_power", 6.0, "kW")
    assert objects["0-0:1.0.0"]["value"] == "2026-03-02T04:00:00+00:00"
    assert objects["0-0:96.1.0"]["value"] == "SIM00001"
    assert "profile iec_generic: 18 of its 22 objects are there" in text
    assert unknown == 2
    assert EK.hex() not in out + err + text


async def test_what_a_meter_denies_is_shown_as_denied(tmp_path: Path):
    async with serving({1: device(accesses={READER: Access(everything=False)})}) as server:
        text = GATEWAY.format(port=server.port, gmac=READER).replace(
            "encryption_key_file: ek, authentication_key_file: ak", "security: none"
        )
        (tmp_path / "gateway.yaml").write_text(text, encoding="utf-8")
        status, out, err = await edge(tmp_path, "scan", "--meter", "m1", "-c", "gateway.yaml", "--lang", "en")

    assert status == 0, err
    assert re.search(r"1-0:1\.8\.0 +active_energy_import +\(denied: read or write denied\)", out)
