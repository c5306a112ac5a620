"""The whole chain on one machine: broker, store, collector, park, edge agent; for demonstrations and tests.

    embedded   amqtt (MQTT 3.1.1) and SQLite: needs no installation and no root
    servers    mosquitto (MQTT 5) and InfluxDB 1.x, which have to be installed

Everything lives in one folder: configuration, data and a log file a program. Each part can be ended, killed and
started again by itself. All programs are started with the folder's files only, as a user would start them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shlex
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Self, get_args
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from metering.errors import StopAndFix
from simulators.companions import Services, write_companions
from simulators.park import Park
from simulators.park_settings import LineType
from simulators.program import Program

Kind = Literal["embedded", "servers"]

READY_WITHIN_S: Final = 20.0

_LOWEST_PORT: Final = 12_000
_HIGHEST_PORT: Final = 32_000
_next_port: Final = itertools.count(random.SystemRandom().randrange(_HIGHEST_PORT))

_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
_INFLUX_ENVIRONMENT: Final = {
    "INFLUXDB_REPORTING_DISABLED": "true",
    "INFLUXDB_MONITOR_STORE_ENABLED": "false",
    "INFLUXDB_HTTP_LOG_ENABLED": "false",
    "INFLUXDB_DATA_INDEX_VERSION": "tsi1",
}


class Stack:
    """The programs of one folder. ``async with`` ends them all, the last started first."""

    def __init__(self, folder: Path, kind: Kind = "embedded", services: Services | None = None) -> None:
        """Choose ports; nothing is written or started yet."""
        self.folder = folder
        self.kind = kind
        mqtt_port, influx_port, self._influx_rpc_port = (free_port() for _ in range(3))
        self.services = services or Services(
            mqtt_port=mqtt_port,
            protocol="3.1.1" if kind == "embedded" else "5",
            influx_url=None if kind == "embedded" else f"http://127.0.0.1:{influx_port}",
            keep_acknowledged="30d",  # the oracle reads what was produced from the spool
        )
        self.programs: dict[str, Program] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def write(self, park: Park) -> None:
        """Write the files of the park.

        Raises:
            OSError: the folder cannot be written to.
        """
        write_companions(park, self.folder, self.services)

    async def start_broker(self) -> None:
        """Start the broker and wait until it takes connections.

        Raises:
            StopAndFix: it is not installed, ended, or is not ready in time.
        """
        port = self.services.mqtt_port
        if self.kind == "embedded":
            argv = [sys.executable, "-m", "simulators.broker", str(port)]
        else:
            settings = self.folder / "mosquitto.conf"
            settings.write_text(
                f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 100000\n",
                encoding="utf-8",
            )
            argv = [server("mosquitto"), "-c", str(settings)]
        program = await self._start("broker", argv)
        await self._until(program, lambda: answers(port))

    async def start_store(self) -> None:
        """Start InfluxDB and create its database; the embedded store needs nothing.

        One that was killed is opened and closed once before anybody may write. InfluxDB 1.x cuts a torn entry off its
        log when it opens it, and then writes on where the entry had ended; the next start finds the hole and drops what
        is behind it, though it was acknowledged (seen with 1.6.7).

        Raises:
            StopAndFix: it is not installed, ended, or is not ready in time.
        """
        url = self.services.influx_url
        if url is None:
            return
        data = self.folder.absolute() / "influx"
        environment = _INFLUX_ENVIRONMENT | {
            "INFLUXDB_META_DIR": str(data / "meta"),
            "INFLUXDB_DATA_DIR": str(data / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(data / "wal"),
            "INFLUXDB_HTTP_BIND_ADDRESS": url.removeprefix("http://"),
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{self._influx_rpc_port}",
        }
        argv = [server("influxd"), "-config", "/dev/null"]
        again = " ".join(("exec", "env", *(shlex.quote(f"{k}={v}") for k, v in environment.items()), shlex.join(argv)))
        (self.folder / "start-store.sh").write_text(f"{again}\n", encoding="utf-8")

        async def opened(address: str) -> Program:
            program = await self._start("store", argv, environment | {"INFLUXDB_HTTP_BIND_ADDRESS": address})
            await self._until(program, lambda: _status(f"http://{address}/ping") == 204)  # noqa: PLR2004 - no content
            return program

        if data.exists():
            await (await opened(f"127.0.0.1:{free_port()}")).stop()
        program = await opened(url.removeprefix("http://"))
        query = f"{url}/query?q=CREATE+DATABASE+{self.services.database}"
        await self._until(program, lambda: _status(query, "POST") == 200)  # noqa: PLR2004

    async def start_collector(self) -> Program:
        """Start the collector."""
        return await self._start("collector", [script("wattline-collector"), "run", "-c", self._file("collector")])

    async def start_park(self, clock: str | None = None) -> Program:
        """Start the meters, by the clock described or by that of the park file; wait until they listen.

        Raises:
            StopAndFix: it ended or is not ready in time.
        """
        argv = [sys.executable, "-m", "simulators", "run", self._file("park"), *_clock_option(clock)]
        program = await self._start("park", argv)
        lines = get_args(LineType)
        await self._until(program, lambda: any(one.startswith(lines) for one in program.last_words().splitlines()))
        return program

    async def start_edge(self, clock: str | None = None) -> Program:
        """Start the edge agent, by the clock described or by the system's."""
        argv = [script("wattline-edge"), "run", "-c", self._file("gateway"), *_clock_option(clock)]
        return await self._start("edge", argv)

    async def stop(self) -> None:
        """End every program, the last started first."""
        for program in reversed(self.programs.values()):
            await program.stop()

    def check(self) -> None:
        """Make sure that all programs run.

        Raises:
            ProgramEnded: one has ended; the text ends with its last lines.
        """
        for program in self.programs.values():
            program.check()

    async def query(self, *words: str, within_s: float = 30.0) -> bytes:
        """What ``wattline-collector query …`` prints.

        Raises:
            StopAndFix: it failed or took too long; the text says what it wrote.
        """
        argv = [script("wattline-collector"), "query", *words, "-c", self._file("collector")]
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), within_s)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise StopAndFix(f"query {' '.join(words)}: no answer within {within_s:g} s") from None
        if process.returncode:
            raise StopAndFix(f"query {' '.join(words)}: {err.decode(errors='replace').strip()}")
        return out

    def _file(self, name: str) -> str:
        return str(self.folder / f"{name}.yaml")

    async def _start(self, name: str, argv: list[str], environment: dict[str, str] | None = None) -> Program:
        program = Program(name, argv, self.folder / f"{name}.log", environment)
        self.programs.pop(name, None)  # started again: it is the last started now
        self.programs[name] = program
        await program.start()
        return program

    async def _until(self, program: Program, ready: Callable[[], bool]) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while not ready():
            program.check()
            if asyncio.get_running_loop().time() > deadline:
                raise StopAndFix(f"{program.name} is not ready after {READY_WITHIN_S:g} s:\n{program.last_words()}")
            await asyncio.sleep(0.05)


def script(name: str) -> str:
    """Our console script beside the running interpreter."""
    return str(Path(sys.executable).parent / name)


def server(name: str) -> str:
    """The path of an installed server.

    Raises:
        StopAndFix: it is not installed.
    """
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise StopAndFix(f"{name} is not installed → make servers, or use --stack embedded")
    return found


def free_port(count: int = 1) -> int:
    """The first of ``count`` TCP ports in a row that nobody listens on at this moment.

    Taken from below the range the kernel gives to outgoing connections, one after the other from a random start, so
    that neither a connection nor another process of ours takes the port before its server does.
    """
    while True:
        first = _LOWEST_PORT + next(_next_port) % (_HIGHEST_PORT - _LOWEST_PORT)
        run = range(first, first + count)
        for _ in run[1:]:
            next(_next_port)
        if all(_is_free(port) for port in run):
            return first


def answers(port: int) -> bool:
    """Whether somebody listens on a TCP port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True


def _clock_option(clock: str | None) -> list[str]:
    return [] if clock is None else ["--simulated-clock", clock]


def _status(url: str, method: str = "GET") -> int:
    try:
        with urlopen(Request(url, method=method), timeout=1) as response:  # noqa: S310 - our own http URL
            status: int = response.status
            response.read()  # InfluxDB says 200 before it does what it is asked
            return status
    except HTTPError as error:
        error.close()
        return error.code
    except (URLError, OSError):
        return 0
