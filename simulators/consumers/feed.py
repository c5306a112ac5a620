"""One token, one base URL, one question at a time: the HTTP feeds with the standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from metering.errors import StopAndFix
from metering.secret_file import read_secret

TIMEOUT_S: Final = 30.0
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Feed:
    """The feeds of one collector."""

    url: str
    token: str | None = None

    @classmethod
    def at(cls, url: str, token_file: Path | None) -> Feed:
        """The feeds at a URL, with the token in a file.

        Raises:
            StopAndFix: the URL is none of http, or the file cannot be used.
        """
        if not url.startswith(("http://", "https://")):
            raise StopAndFix(f"{url!r} is no URL → write for example http://127.0.0.1:8090")
        return cls(url.rstrip("/"), read_secret(token_file) if token_file else None)

    def items(self, path: str, **filters: str | None) -> Iterator[dict[str, Any]]:
        """All items of a route, page by page.

        Raises:
            StopAndFix: the server cannot be reached or refuses the question.
        """
        chosen = {name: value for name, value in filters.items() if value is not None} | {"limit": str(_PAGE)}
        while True:
            page = json.loads(self.get(path, chosen))
            yield from page["items"]
            if page["next"] is None:
                return
            chosen["cursor"] = page["next"]

    def get(self, path: str, filters: Mapping[str, str] | None = None) -> bytes:
        """What a route answers.

        Raises:
            StopAndFix: the server cannot be reached or refuses the question.
        """
        return self._ask(f"{path}?{urlencode(filters or {})}")

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Send something back.

        Raises:
            StopAndFix: the server cannot be reached or refuses it.
        """
        answer: dict[str, Any] = json.loads(self._ask(path, json.dumps(body).encode()))
        return answer

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"Accept": "application/json, text/plain"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(f"{self.url}{path}", body, headers)  # noqa: S310 - http or https, checked in ``at``
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - same
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            with error:
                raise StopAndFix(f"{self.url}{path.partition('?')[0]}: {_told(error)}") from None
        except (URLError, OSError) as error:
            raise StopAndFix(f"{self.url}: cannot be asked: {error} → is 'wattline-collector run' there?") from None


def _told(error: HTTPError) -> str:
    """What the problem says, or the bare status."""
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {HTTPStatus(error.code).phrase}"
