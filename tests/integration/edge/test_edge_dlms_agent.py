"""The whole agent in front of DLMS meters: rounds go out, an attacker is logged by name, no key ever is."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from collector_script import collector_at
from edge_servers import Broker

from metering.round import Quality, Round, unpack
from simulators.dlms.faults import DlmsFault
from tests.support.dlms_park import AK, EK, GMAC, NOON_MS, PASSWORD, READER, device, import_wh, serving

GATEWAY = """
gateway: park-01
mqtt: {{port: {broker}}}
spool: {{path: spool.db, max_size_mb: 1}}
buses:
  - {{id: b1, type: dlms_tcp, host: 127.0.0.1, port: {port}, timeout: 300ms, system_title: 57544c0000000001,
      counters: counters}}
meters:
  - {{id: m1, bus: b1, profile: iec_generic, dlms: {{server: 1, client: {gmac}, {keys}}}}}
  - {{id: m2, bus: b1, profile: iec_generic, dlms: {{server: 2, client: {reader}, security: none}}}}
  - {{id: m3, bus: b1, profile: iec_generic, dlms: {{server: 3, client: {gmac}, {keys}}}}}
groups:
  - {{id: main, every: 60s, quantities: [active_power, active_energy_import]}}
publish: {{resend_after: 1s}}
"""


async def test_rounds_of_meters_with_keys_arrive_and_an_attacker_is_named(tmp_path: Path, broker: Broker) -> None:
    for name, text in (("ek", EK.hex()), ("ak", AK.hex()), ("password", PASSWORD.decode())):
        (tmp_path / name).write_text(text, encoding="ascii")
        (tmp_path / name).chmod(0o600)
    attacked = device()
    attacked.faults.active = (DlmsFault("forged_tag"),)
    async with (
        serving({1: device(), 2: device(), 3: attacked}) as server,
        collector_at(broker.port, automatic=True) as collector,
    ):
        await collector.announce()
        config = tmp_path / "gateway.yaml"
        keys = "encryption_key_file: ek, authentication_key_file: ak"
        text = GATEWAY.format(broker=broker.port, port=server.port, gmac=GMAC, reader=READER, keys=keys)
        config.write_text(text, encoding="utf-8")
        clock = f"2026-03-02T06:00:00+08:00/120/{int(time.time() * 1000)}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_agent.cli", "run", "-c", str(config), "--simulated-clock", clock,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await collector.until(lambda: len(rounds(collector)) >= 3, 20)
            process.send_signal(signal.SIGTERM)
        finally:
            if process.returncode is None:
                await asyncio.sleep(0)
            out, err = await asyncio.wait_for(process.communicate(), 20)

    newest = rounds(collector)[-1]
    column = next(one for one in newest.columns if one.quantity == "active_energy_import")
    values = dict(zip(newest.meters, column.integers(newest.rows), strict=True))
    assert values["m1"] == values["m2"] == import_wh(NOON_MS)
    assert values["m3"] is None
    qualities = dict(zip(newest.meters, unpack(newest.quality, "I"), strict=True))
    assert qualities["m1"] in (0, Quality.METER_CLOCK_OFF)  # its clock stands at noon
    assert qualities["m3"] in (Quality.GARBLED, Quality.SUSPENDED)

    said = (out + err).decode()
    assert said.count("meter_unprotected") == 1
    assert "forged: the tag does not fit" in said
    for secret in (EK.hex(), AK.hex(), PASSWORD.decode()):
        assert secret not in said


def rounds(collector) -> list[Round]:
    found = [message.content for message in collector.received if isinstance(message.content, Round)]
    return [one for one in found if one.group == "main"]
