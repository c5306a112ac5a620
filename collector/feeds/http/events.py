"""The route for events: CloudEvents with their evidence, oldest first.

The order is that of the instants they are about. An event about an earlier instant that is stored later (late readings)
stands before a cursor: who must not miss one listens to MQTT, or asks again from an earlier ``since``.
"""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from collector.events.message import EventMessage
from collector.feeds.http.page import MOST, Page, answer, decode_cursor, encode_cursor
from collector.feeds.http.sources import Sources
from metering.settings import Identifier, Settings

_FAR_MS: Final = 9_000_000_000_000


class Chosen(Settings):
    """Which events."""

    since: AwareDatetime | None = Query(None, description="First instant.", examples=["2026-06-18T00:00:00+08:00"])
    until: AwareDatetime | None = Query(None, description="First instant after.")
    meter: Identifier | None = Query(None, description="Only about this meter.", examples=["shop-101"])
    kind: Identifier | None = Query(None, description="Only of this kind.", examples=["current_loss"])
    limit: int = Query(200, ge=1, le=MOST, description="Items a page.")
    cursor: str | None = Query(None, description="'next' of the page before.")


def event_routes(sources: Sources) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1", tags=["events"])

    @router.get("/events", summary="Events, oldest first", response_model=Page[EventMessage])
    def events(request: Request, chosen: Annotated[Chosen, Query()]) -> Response:
        filters = f"{request.url.path} {chosen.since} {chosen.until} {chosen.meter} {chosen.kind}"
        after = decode_cursor(chosen.cursor, filters, (int, str))
        since, until = (
            default if moment is None else round(moment.astimezone(UTC).timestamp() * 1000)
            for moment, default in ((chosen.since, 0), (chosen.until, _FAR_MS))
        )
        behind = None if after is None else (after[0], after[1])
        rows = sources.queries().events_page(since, until, chosen.limit + 1, behind, chosen.meter, chosen.kind)
        more = len(rows) > chosen.limit
        shown = rows[: chosen.limit]
        following = encode_cursor(filters, [shown[-1].at, shown[-1].id]) if more else None
        return answer(request, Page[Any](items=tuple(row.body for row in shown), next=following))

    return router
