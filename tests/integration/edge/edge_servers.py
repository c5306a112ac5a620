"""mosquitto, ready when it listens."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


async def _listens(port: int) -> None:
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise RuntimeError(f"mosquitto does not listen on {port}")


@dataclass
class Broker:
    folder: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(self.configuration())
        self.process = await asyncio.create_subprocess_exec(
            MOSQUITTO, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        for port in self.ports():
            await _listens(port)

    def ports(self) -> list[int]:
        return [self.port]

    def configuration(self) -> str:
        return f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
