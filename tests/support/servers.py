"""Real servers for tests: each on a free port of 127.0.0.1, in a folder of its own, ended by its pid."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulators.stack import free_port

_OPEN_ONCE = Path(__file__).parents[2] / "config" / "influxdb" / "open-once.sh"
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def program(name: str) -> str:
    """The path of a server; a missing one is a failure, never a skip."""
    found = shutil.which(name, path=_PATH)
    assert found, f"{name} is not installed: make servers"
    return found


def wait_for_port(port: int, within_s: float = 10.0) -> None:
    """Return as soon as somebody listens."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing listens on {port} after {within_s} s")


@dataclass
class Server:
    """One process that can be killed and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self, **extra: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment() | extra, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            wait_for_port(self.port)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{(self.folder / 'log').read_text()[-2000:]}") from None

    def kill(self) -> None:
        """SIGKILL: no chance to flush or to say goodbye."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Mosquitto(Server):
    """A broker that remembers nothing."""

    def command(self) -> list[str]:
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "max_inflight_messages 100\nmax_queued_messages 100000\n"
        )
        return [program("mosquitto"), "-c", str(config)]


@dataclass
class Influxd(Server):
    """InfluxDB 1.x without a configuration file; opened once before it is started again, as its unit does."""

    rpc_port: int = field(default_factory=free_port)

    def start(self, **extra: str) -> None:
        if (self.folder / "wal").exists():
            opened = self.open_once()
            assert opened.returncode == 0, opened.stderr.decode()
        super().start(**extra)

    def open_once(self) -> subprocess.CompletedProcess[bytes]:
        """Open it where nobody writes, and close it again."""
        path = os.pathsep.join((str(Path(program("influxd")).parent), os.environ["PATH"]))
        environment = self.environment() | {"OPEN_ONCE_PORT": str(free_port()), "PATH": path}
        argv = [_OPEN_ONCE, "-config", "/dev/null"]
        return subprocess.run(argv, check=False, env=environment, capture_output=True, timeout=60)

    def command(self) -> list[str]:
        return [program("influxd"), "-config", "/dev/null"]

    def environment(self) -> dict[str, str]:
        return dict(os.environ) | {
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_MONITOR_STORE_ENABLED": "false",
            "INFLUXDB_HTTP_LOG_ENABLED": "false",
            "INFLUXDB_DATA_INDEX_VERSION": "tsi1",
            "INFLUXDB_META_DIR": str(self.folder / "meta"),
            "INFLUXDB_DATA_DIR": str(self.folder / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(self.folder / "wal"),
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{self.port}",
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{self.rpc_port}",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, statement: str, database: str = "wattline") -> list[dict[str, object]]:
        """Series of the first result of an InfluxQL statement."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            words = urllib.parse.urlencode({"db": database, "epoch": "ms", "q": statement})
            connection.request("POST", f"/query?{words}")
            result = json.loads(connection.getresponse().read())["results"][0]
        series: list[dict[str, object]] = result.get("series", [])
        return series


@contextlib.contextmanager
def running(server: Server, **extra: str) -> Iterator[Server]:
    """Start a server for the length of the block."""
    server.start(**extra)
    try:
        yield server
    finally:
        server.kill()
