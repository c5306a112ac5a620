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
import gzip
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Final

from collector.errors import StoreBusy, StoreRefuses
from collector.events.event import Event
from collector.store.influx_connection import Answer, Api, InfluxConnection, InfluxSettings
from collector.store.lines import LineEncoder, quote_field
from collector.store.store import Rejected
from collector.store.table import METER_EVENT, Table
from metering.meter_event import MeterEvents
from metering.round import unpack

# "ms" means the same on all three; other words silently mean nanoseconds on 1.x.
_WRITE_PATH: Final[dict[Api, str]] = {
    "v1": "/write?db={database}&precision=ms",
    "v2": "/api/v2/write?bucket={database}&org={organisation}&precision=ms",
    "v3": "/api/v3/write_lp?db={database}&precision=ms&accept_partial=true",
}
_REFUSED: Final = (400, 413, 422)
_MISCONFIGURED: Final = (401, 403, 404)
_LINES_PER_REQUEST: Final = 5000


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

    async def write(
        self, tables: Sequence[Table], events: Sequence[Event] = (), moved: Sequence[Event] = ()
    ) -> list[Rejected]:
        """Store everything; return the lines the server refuses for ever.

        A point cannot change its time: that of an event which has moved stays behind, emptied.

        Raises:
            StoreBusy: the server may take the same bytes later.
            StoreRefuses: credentials or target are wrong.
        """
        body = b"".join([self._encoder.encode(table) for table in tables])
        body += b"".join([_event_line(event, "", "") for event in moved])
        body += b"".join([_event_line(event, event.id, event.body()) for event in events])
        rejected: list[Rejected] = []
        for part in _parts(body):
            rejected += await self._write_body(part)
        return rejected

    async def write_log(self, logs: Sequence[MeterEvents]) -> list[Rejected]:
        """Store entries of meters' logs; return the lines the server refuses for ever.

        Raises:
            StoreBusy: the server may take the same bytes later.
            StoreRefuses: credentials or target are wrong.
        """
        rejected: list[Rejected] = []
        for part in _parts(b"".join([line for log in logs for line in _log_lines(log)])):
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


def _parts(body: bytes) -> list[bytes]:
    """Cut a body into requests of a few thousand lines."""
    if not body:
        return []
    lines = body.count(b"\n")
    if lines <= _LINES_PER_REQUEST:
        return [body]
    every = body.splitlines(keepends=True)
    return [b"".join(every[i : i + _LINES_PER_REQUEST]) for i in range(0, lines, _LINES_PER_REQUEST)]


def _log_lines(log: MeterEvents) -> Iterator[bytes]:
    """One line an entry; what happened is a tag, so that two at one instant do not overwrite each other."""
    for meter, at, event, bits in zip(
        log.meters, unpack(log.at, "q"), log.events, unpack(log.quality, "I"), strict=True
    ):
        yield f"{METER_EVENT},event={event},gateway={log.gateway},meter={meter} quality={bits} {at}\n".encode()


def _event_line(event: Event, name: str, text: str) -> bytes:
    """One event; part and lifecycle are tags, so that two at one instant do not overwrite each other."""
    tags = {
        "gateway": event.series.gateway,
        "kind": event.kind,
        "lifecycle": event.lifecycle,
        "meter": event.series.meter,
        "part": event.part or "all",
    }
    head = ",".join(["event", *(f"{name}={value}" for name, value in tags.items())])
    fields = f"score={event.score:.3f},id={quote_field(name)},body={quote_field(text)}"
    return f"{head} {fields} {event.at}\n".encode()
