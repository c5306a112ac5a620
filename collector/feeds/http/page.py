"""Pages by cursor, and answers that a client may keep: ETag and 304.

A cursor names the last item that was sent, never a position: what is stored meanwhile moves nothing. It is opaque to
clients, and a cursor of another route or other filters is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, Field

from collector.feeds.http.problem import Refusal

MOST: Final = 1000
Item = TypeVar("Item")
Key = list[Any]


class Page(BaseModel, Generic[Item]):
    """Some items, and where to go on."""

    items: tuple[Item, ...] = Field(description="The items.")
    next: str | None = Field(description="Send it as cursor for the items that follow; null: there are none by now.")


def encode_cursor(filters: str, key: Key) -> str:
    """A cursor behind the item with this key."""
    text = json.dumps([_mark(filters), key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, filters: str, kinds: tuple[type, ...]) -> Key | None:
    """The key in a cursor.

    Raises:
        Refusal: it is none of ours, or belongs to another question.
    """
    if cursor is None:
        return None
    try:
        mark, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        mark, key = None, None
    if not isinstance(key, list) or len(key) != len(kinds) or mark != _mark(filters):
        raise _strange_cursor()
    if not all(isinstance(one, kind) for one, kind in zip(key, kinds, strict=True)):
        raise _strange_cursor()
    return key


def page_of(items: Iterable[Item], limit: int, key_of: Callable[[Item], Key], filters: str) -> Page[Item]:
    """The first ``limit`` items; one more says that others follow."""
    found: list[Item] = []
    for item in items:
        if len(found) == limit:
            return Page[Any](items=tuple(found), next=encode_cursor(filters, key_of(found[-1])))
        found.append(item)
    return Page[Any](items=tuple(found), next=None)


def answer(request: Request, body: BaseModel) -> Response:
    """A JSON answer with its ETag, or 304 if the client has it already."""
    return answer_text(request, body.model_dump_json(), "application/json")


def answer_text(request: Request, text: str, media_type: str) -> Response:
    """An answer with its ETag, or 304 if the client has it already."""
    content = text.encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers |= {"X-Content-Type-Options": "nosniff"}
    return Response(content, headers=headers, media_type=media_type)


def _strange_cursor() -> Refusal:
    detail = "cursor: not one of this question → send 'next' of the page before with the same filters, or no cursor"
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _mark(filters: str) -> str:
    return hashlib.sha256(filters.encode()).hexdigest()[:8]
