"""One sealed session with a meter, in a program that kills itself at its N-th step.

    python session_until.py PORT FOLDER N

A step is whatever the world can see or the disk can keep: a lock, an fsync, a rename, octets sent, octets heard. A
program that comes through says how many steps it took.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from test_edge_dlms_driver import ENERGY, PROFILE, SECURED

from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings, DlmsTcpSettings
from edge_agent.drivers.dlms.lines import make_dlms_driver
from edge_agent.drivers.driver import Reading
from edge_agent.drivers.transport.stream import Stream
from tests.support.dlms_park import StandingClock

PORT, FOLDER, LAST = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
steps = 0


def counted(action: Callable[..., Any]) -> Callable[..., Any]:
    """Die before the N-th step."""

    def step(*arguments: Any, **named: Any) -> Any:
        global steps  # noqa: PLW0603 - the program is this one count
        steps += 1
        if steps == LAST:
            os.kill(os.getpid(), signal.SIGKILL)
        return action(*arguments, **named)

    return step


os.fsync, os.replace, os.rename, fcntl.flock = map(counted, (os.fsync, os.replace, os.rename, fcntl.flock))  # type: ignore[assignment]
Stream.send = counted(Stream.send)  # type: ignore[method-assign]
Stream.data_received = counted(Stream.data_received)  # type: ignore[method-assign]


async def session() -> None:
    bus = DlmsTcpSettings(
        id="b1",
        type="dlms_tcp",
        host="127.0.0.1",
        port=PORT,
        system_title=b"WTL\0\0\0\0\x01".hex(),
        counters=FOLDER / "counters",
    )
    files = {name: str(FOLDER / str(value)) for name, value in SECURED.items() if name.endswith("_file")}
    access = DlmsAccessSettings.model_validate(SECURED | files)
    driver = make_dlms_driver(bus, {"m1": (access, PROFILE, (1.0, 1.0))}, StandingClock())
    assert await driver.connect() is None
    for _ in range(2):
        found = await driver.read("m1", ENERGY)
        assert isinstance(found, Reading), found
    driver.close()


asyncio.run(session())
sys.stdout.write(str(steps))
