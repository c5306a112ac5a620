"""Where InfluxDB is, who we are to it, and one keep-alive HTTP connection.

The standard library's client does: one synchronous answer a request, from a thread, costs a third of the others and
nothing to import.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl

from collector.errors import StoreBusy
from metering.secret_file import read_secret
from metering.settings import Duration, Settings

Api = Literal["v1", "v2", "v3"]


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


def _authorization(settings: InfluxSettings) -> str:
    if settings.token_file is not None:
        scheme = "Bearer" if settings.api == "v3" else "Token"
        return f"{scheme} {read_secret(settings.token_file)}"
    if settings.username is not None:
        password = read_secret(settings.password_file) if settings.password_file else ""
        pair = base64.b64encode(f"{settings.username}:{password}".encode()).decode()
        return f"Basic {pair}"
    return ""
