"""A real collector in a folder of its own, behind a real broker: started, killed, asked and read as a user would.

The store is a real InfluxDB if one is given, else the embedded one.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from simulators.program import Program
from simulators.stack import script
from tests.support.servers import Influxd, Mosquitto, free_port, wait_for_port
from tests.support.waiting import until


@dataclass
class Central:
    """Broker and collector of one folder."""

    folder: Path
    influxd: Influxd | None = None
    window: int = 32
    broker: Mosquitto = field(init=False)
    collector: Program = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(self.folder / "broker", free_port())
        self.config = self.folder / "collector.yaml"
        self.state = self.folder / "state.db"
        self.readings = self.folder / "readings.db"
        store: dict[str, object] = {"type": "sqlite", "path": self.readings.name}
        if self.influxd is not None:
            store = {"type": "influx", "url": self.influxd.url}
        document = {"mqtt": {"port": self.broker.port}, "state": "state.db", "window": self.window, "store": store}
        self.config.write_text(yaml.safe_dump(document))
        command = [script("wattline-collector"), "run", "-c", str(self.config)]
        self.collector = Program("collector", command, self.folder / "collector.log")

    async def start_collector(self) -> None:
        """Start it and wait until it takes rounds."""
        seen = self.said("connected to the broker")
        await self.collector.start()
        await until(lambda: self.said("connected to the broker") > seen, "the collector is connected")

    def log(self) -> list[dict[str, Any]]:
        """Every line the collector has logged; a line that is still being written is not there yet."""
        if not self.collector.log.exists():
            return []
        lines = self.collector.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, event: str) -> int:
        """How often it has logged this."""
        return sum(line["event"] == event for line in self.log())

    async def ask(self, *words: str) -> tuple[int, str]:
        """Exit status and output of ``wattline-collector <words> -c …``."""
        process = await asyncio.create_subprocess_exec(
            script("wattline-collector"),
            *words,
            "-c",
            str(self.config),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def json(self, *words: str) -> Any:
        """What the command prints with ``--json``."""
        status, out = await self.ask(*words, "--json")
        assert status == 0, out
        return json.loads(out)

    def stored(self) -> list[tuple[str, str, int]]:
        """Gateway, meter and instant of every row of the embedded store."""
        with closing(sqlite3.connect(f"{self.readings.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute("SELECT gateway, meter, measured_at FROM reading ORDER BY 1, 2, 3").fetchall()

    def quarantined(self) -> list[tuple[str, str, str, bytes]]:
        """Kind, origin, reason and bytes of everything refused."""
        with closing(sqlite3.connect(f"{self.state.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute("SELECT kind, origin, reason, payload FROM quarantine ORDER BY n").fetchall()


@asynccontextmanager
async def central(folder: Path, influxd: Influxd | None = None, **options: int) -> AsyncIterator[Central]:
    """Broker and collector, running for the length of the block."""
    one = Central(folder, influxd, **options)
    try:
        await asyncio.to_thread(one.broker.start)
        await one.start_collector()
        yield one
    finally:
        await one.collector.stop()
        one.broker.kill()


async def start_influxd(server: Influxd, **settings: str) -> None:
    """Start a store and wait until it listens; after a crash it may take a while."""
    await asyncio.to_thread(server.start, **settings)
    await asyncio.to_thread(wait_for_port, server.port, 20.0)


def write_line(server: Influxd, line: str, database: str = "wattline") -> None:
    """Write one line of line protocol, behind everybody's back."""
    request = Request(f"{server.url}/write?db={database}&precision=ms", f"{line}\n".encode())
    with urlopen(request, timeout=10) as answer:
        assert answer.status == 204


def times(instants: Sequence[int], meters: Sequence[str], gateway: str = "gw-1") -> list[tuple[str, str, int]]:
    """The rows of rounds in which every meter was read at the instant itself."""
    return sorted((gateway, meter, at) for at in instants for meter in meters)
