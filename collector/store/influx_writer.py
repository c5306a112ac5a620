"""The InfluxDB store: our own small line-protocol writer over HTTP, for 1.x, 2.x and 3.x alike.

One synchronous answer a request; what the answer means is a table:

    2xx             acknowledged
    401 403 404     StoreRefuses: nothing is wrong with the data; keep it, tell a person, retry slowly
    400 413 422     something in this body: split it in halves until the bad line stands alone, and reject that
    anything else   StoreBusy: the same bytes later; the server's Retry-After is honoured

Splitting resends lines that may be stored already; the same series and time overwrite each other, so that is
harmless. influxdb-client provisions buckets (``influx_setup``); its batching writer is not used, because it
gives up after some retries and only tells a callback.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import http.client
import ssl
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, HttpUrl

from collector.errors import StoreBusy, StoreRefuses
from collector.events.event import Event
from collector.store.lines import LineEncoder, quote_field
from collector.store.store import Rejected
from collector.store.table import Table
from metering.settings import Duration, Settings, read_secret

Api = Literal["v1", "v2", "v3"]

# "ms" means the same on all three; other words silently mean nanoseconds on 1.x.
_WRITE_PATH: Final[dict[Api, str]] = {
    "v1": "/write?db={database}&precision=ms",
    "v2": "/api/v2/write?bucket={database}&org={organisation}&precision=ms",
    "v3": "/api/v3/write_lp?db={database}&precision=ms&accept_partial=true",
}
_REFUSED: Final = (400, 413, 422)
_MISCONFIGURED: Final = (401, 403, 404)
_LINES_PER_REQUEST: Final = 5000


class InfluxSettings(Settings):
    """Where InfluxDB is and how to speak to it."""

    type: Literal["influx"] = Field(description="InfluxDB 1.x, 2.x or 3.x.")
    url: HttpUrl = Field(description="Base URL of the HTTP API, for example http://127.0.0.1:8086.")
    api: Api = Field("v1", description="v1 for 1.x, v2 for 2.x, v3 for 3.x.")
    database: str = Field("wattline", min_length=1, description="Database (1.x, 3.x) or bucket (2.x).")
    organisation: str = Field("-", description="Organisation (2.x only).")
    username: str | None = Field(None, description="User (1.x only).")
    password_file: Path | None = Field(None, description="File with the password of the user (1.x).")
    token_file: Path | None = Field(None, description="File with the API token (2.x, 3.x).")
    timeout: Duration = Field(10.0, gt=0, description="How long to wait for an answer.")
    gzip: bool = Field(False, description="Compress requests: worth it over a WAN, dearer than encoding on a LAN.")
    create: bool = Field(True, description="Create the database or bucket at start if it is missing.")


@dataclass(slots=True)
class Answer:
    """What the server said."""

    status: int
    text: str
    after_s: float | None


class InfluxConnection:
    """One keep-alive HTTP connection; used by one thread at a time."""

    def __init__(self, settings: InfluxSettings) -> None:
        """Read the secrets; connect at the first request.

        Raises:
            StopAndFix: a secret's file is missing or open to other users.
        """
        self._settings = settings
        self._connection: http.client.HTTPConnection | None = None
        self._authorization = _authorization(settings)

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send one request and read the whole answer.

        Raises:
            StoreBusy: the server cannot be reached, or broke the connection.
        """
        sent = dict(headers or {})
        if self._authorization:
            sent["Authorization"] = self._authorization
        try:
            connection = self._connect()
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise StoreBusy(f"{self._settings.url}: {str(error) or type(error).__name__}") from error
        after = answer.headers.get("Retry-After", "")
        return Answer(answer.status, text, float(after) if after.isdigit() else None)

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            url = self._settings.url
            host, port, timeout_s = url.host or "127.0.0.1", url.port, self._settings.timeout
            if url.scheme == "https":
                context = ssl.create_default_context()
                self._connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        return self._connection


class InfluxStore:
    """Writes tables and events as line protocol."""

    def __init__(self, settings: InfluxSettings) -> None:
        """Read the secrets; nothing is sent before ``prepare``."""
        self._settings = settings
        self._connection = InfluxConnection(settings)
        self._encoder = LineEncoder()
        self.requests = 0

    async def prepare(self) -> None:
        """Create the database or bucket if it is missing and ``create`` is set.

        Raises:
            StoreBusy: the server is away; try again.
            StoreRefuses: we may not create it, or the credentials are wrong.
        """
        if not self._settings.create:
            return
        if self._settings.api == "v1":
            await asyncio.to_thread(self._create_database)
        elif self._settings.api == "v2":
            from collector.store import influx_setup  # noqa: PLC0415 - 43 MB that 1.x and 3.x do not need

            await asyncio.to_thread(influx_setup.create_bucket, self._settings)

    async def write(self, tables: Sequence[Table], events: Sequence[Event] = ()) -> list[Rejected]:
        """Store everything; return the lines the server refuses for ever.

        Raises:
            StoreBusy: the server may take the same bytes later.
            StoreRefuses: credentials or target are wrong.
        """
        body = b"".join([self._encoder.encode(table) for table in tables])
        body += b"".join([_event_line(event) for event in events])
        rejected: list[Rejected] = []
        for part in _parts(body):
            rejected += await self._write_body(part)
        return rejected

    async def write_lines(self, lines: Sequence[str]) -> list[Rejected]:
        """Store lines that were refused earlier.

        Raises:
            StoreBusy: the server may take the same bytes later.
            StoreRefuses: credentials or target are wrong.
        """
        body = "".join(f"{line}\n" for line in lines).encode()
        return await self._write_body(body) if lines else []

    async def close(self) -> None:
        """Drop the connection."""
        await asyncio.to_thread(self._connection.close)

    async def _write_body(self, body: bytes) -> list[Rejected]:
        answer = await asyncio.to_thread(self._post, body)
        if answer.status // 100 == 2:  # noqa: PLR2004
            return []
        if answer.status in _MISCONFIGURED:
            raise StoreRefuses(f"{self._settings.url}: {answer.status} {answer.text[:300].strip()}")
        if answer.status not in _REFUSED:
            raise StoreBusy(f"{self._settings.url}: {answer.status} {answer.text[:300].strip()}", answer.after_s)
        lines = body.splitlines(keepends=True)
        if len(lines) == 1:
            text = body.decode("utf-8", "replace").rstrip("\n")
            return [Rejected(text, f"{answer.status} {answer.text[:300].strip()}")]
        middle = len(lines) // 2
        first = await self._write_body(b"".join(lines[:middle]))
        return first + await self._write_body(b"".join(lines[middle:]))

    def _post(self, body: bytes) -> Answer:
        self.requests += 1
        settings = self._settings
        path = _WRITE_PATH[settings.api].format(
            database=urllib.parse.quote(settings.database, safe=""),
            organisation=urllib.parse.quote(settings.organisation, safe=""),
        )
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if settings.gzip:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1)
        return self._connection.send("POST", path, body, headers)

    def _create_database(self) -> None:
        name = self._settings.database.replace('"', '\\"')
        statement = urllib.parse.urlencode({"q": f'CREATE DATABASE "{name}"'})
        answer = self._connection.send("POST", f"/query?{statement}")
        if answer.status in _MISCONFIGURED:
            raise StoreRefuses(f"{self._settings.url}: cannot create the database: {answer.status} {answer.text[:300]}")
        if answer.status // 100 != 2:  # noqa: PLR2004
            raise StoreBusy(f"{self._settings.url}: {answer.status} {answer.text[:300]}", answer.after_s)


def _authorization(settings: InfluxSettings) -> str:
    if settings.token_file is not None:
        scheme = "Bearer" if settings.api == "v3" else "Token"
        return f"{scheme} {read_secret(settings.token_file)}"
    if settings.username is not None:
        password = read_secret(settings.password_file) if settings.password_file else ""
        pair = base64.b64encode(f"{settings.username}:{password}".encode()).decode()
        return f"Basic {pair}"
    return ""


def _parts(body: bytes) -> list[bytes]:
    """Cut a body into requests of a few thousand lines."""
    if not body:
        return []
    lines = body.count(b"\n")
    if lines <= _LINES_PER_REQUEST:
        return [body]
    every = body.splitlines(keepends=True)
    return [b"".join(every[i : i + _LINES_PER_REQUEST]) for i in range(0, lines, _LINES_PER_REQUEST)]


def _event_line(event: Event) -> bytes:
    """One event; part and lifecycle are tags, so that two at one instant do not overwrite each other."""
    tags = {
        "gateway": event.series.gateway,
        "kind": event.kind,
        "lifecycle": event.lifecycle,
        "meter": event.series.meter,
        "part": event.part or "all",
    }
    head = ",".join(["event", *(f"{name}={value}" for name, value in tags.items())])
    fields = f"score={event.score:.3f},id={quote_field(event.id)},body={quote_field(event.body())}"
    return f"{head} {fields} {event.at}\n".encode()
