"""The whole agent behind a door: every push becomes a row of a round, a forger is logged by name, no key ever is."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from collector_script import collector_at
from edge_servers import Broker

from metering.round import Round, unpack
from simulators.dlms.pushing import send, wrapped
from simulators.stack import free_port
from tests.support.dlms_park import AK, EK, NOON_MS
from tests.support.pushing import entries, gateway, sealing
from tests.support.waiting import until

PUSHES = 6
SPEED = 60  # a poll every half second


async def test_every_push_arrives_as_a_row(tmp_path: Path, broker: Broker) -> None:
    config = gateway(tmp_path, port := free_port())
    text = config.read_text(encoding="utf-8").replace("gateway: g1", "gateway: park-01")
    config.write_text(f"{text}mqtt: {{port: {broker.port}}}\npublish: {{resend_after: 1s}}\n", encoding="utf-8")
    clock = f"2026-03-02T12:00:00+08:00/{SPEED}/{int(time.time() * 1000)}"
    meter = sealing()
    async with collector_at(broker.port, automatic=True) as collector:
        await collector.announce()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_agent.cli", "run", "-c", str(config), "--simulated-clock", clock,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

        def rows() -> dict[int, float | None]:
            """By instant: the import register of the meter that seals."""
            found = {}
            for message in collector.received:
                content = message.content
                if isinstance(content, Round) and (column := energy(content)) is not None:
                    for name, at, kwh in zip(content.meters, unpack(content.measured_at, "q"), column, strict=True):
                        found |= {at: kwh} if name == "m1" and kwh is not None else {}
            return found

        try:
            await until(lambda: collector.received, "the agent polls")
            stamps = [NOON_MS + 1000 * n for n in range(PUSHES)]
            pushes = [wrapped(meter.push(entries(n, at_ms=at))) for n, at in enumerate(stamps)]
            forged = pushes[0][:-1] + bytes([pushes[0][-1] ^ 1])
            await send(port, forged, *pushes)
            await until(lambda: len(rows()) >= PUSHES, "every push has arrived")
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = await asyncio.wait_for(process.communicate(), 20)

    assert rows() == {at: 40.0 * n for n, at in enumerate(stamps)}
    said = (out + err).decode()
    assert "push_refused" in said
    assert "forged" in said
    for secret in (EK.hex(), AK.hex()):
        assert secret not in said


def energy(content: Round) -> list[float | None] | None:
    column = next((one for one in content.columns if one.quantity == "active_energy_import"), None)
    return None if column is None else column.values(content.rows)
