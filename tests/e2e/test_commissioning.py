"""Ten minutes at the cabinet, as a technician does them: init, scan, check --live, run, status, tail.

The real commands in processes of their own, against a simulated bus: a TCP endpoint, and a serial line at 9600 Bd. No
broker: what is read waits in the spool, and ``status`` says that all is well.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulators.stack import free_port

PARK = """park: park-01
start: 2026-06-18T10:00:00+08:00
speed: {speed}
port: {port}
trades: {trades}
models: {models}
lines: [{{line: {line}, baudrate: 9600}}]
"""
SPEED = 60


@contextmanager
def simulated_bus(
    folder: Path, line: str, trades: str = "{retail: 2}", models: str = "[eastron_sdm630, chint_dtsu666]"
) -> Iterator[str]:
    """A park of some meters; gives how a technician names its line."""
    port = free_port()
    (folder / "park.yaml").write_text(PARK.format(speed=SPEED, port=port, line=line, trades=trades, models=models))
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", "run", "park.yaml"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def edge(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_agent.cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )


def status_when_good(folder: Path, clock: str) -> dict[str, object]:
    """The first verdict that all is well; the last one if none is within half a minute."""
    said: dict[str, object] = {}
    for _ in range(60):
        shown = edge(folder, "status", "-c", "gateway.yaml", "--json", "--simulated-clock", clock)
        said = json.loads(shown.stdout) if shown.stdout else {}
        if shown.returncode == 0:
            break
        time.sleep(0.5)
    return said


@pytest.mark.parametrize("line", ["modbus_tcp", "modbus_rtu"])
def test_from_the_cabinet_to_data(tmp_path: Path, line: str):
    with simulated_bus(tmp_path, line) as bus:
        scan = edge(tmp_path, "scan", bus, "--units", "1-4", "--lang", "en", "--config", "none.yaml")
        assert scan.returncode == 0, scan.stderr
        assert "unit 1: eastron_sdm630" in scan.stdout
        assert "unit 2: chint_dtsu666" in scan.stdout

        init = edge(
            tmp_path, "init", "--bus", bus, "--units", "1-2", "--gateway", "park-01", "--spool", "spool.db", "-y"
        )
        assert init.returncode == 0, init.stderr

        check = edge(tmp_path, "check", "--live", "-c", "gateway.yaml", "--lang", "en")
        assert check.returncode == 0, check.stderr
        assert check.stdout.endswith("2 of 2 meters answer\n")
        assert "!" not in check.stdout

        clock = f"2026-06-18T10:00:00+08:00/{SPEED}/{time.time_ns() // 1_000_000}"
        run = [sys.executable, "-m", "edge_agent.cli", "run", "-c", "gateway.yaml", "--simulated-clock", clock]
        agent = subprocess.Popen(run, cwd=tmp_path, stderr=subprocess.PIPE)
        try:
            status = status_when_good(tmp_path, clock)
            tail = edge(tmp_path, "tail", "-c", "gateway.yaml", "-q", "voltage_l1", "-n", "2", "--json")
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.communicate(timeout=20)

    assert agent.returncode == 0
    assert (status["good"], status["concerns"]) == (True, [])
    rows = [json.loads(row) for row in tail.stdout.splitlines()]
    assert [row["meter"] for row in rows] == ["meter-1", "meter-2"]
    assert all(200 < row["values"]["voltage_l1"] < 260 for row in rows)
