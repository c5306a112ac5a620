"""The application and the server: the routes behind their tokens, until SIGTERM or until the collector is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from importlib.metadata import version
from types import FrameType
from typing import Final

import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, Field

from collector.feeds.http.access import Access
from collector.feeds.http.approvals import approval_routes
from collector.feeds.http.body_limit import BodyLimit
from collector.feeds.http.events import event_routes
from collector.feeds.http.inspection import inspection_routes
from collector.feeds.http.pricing import pricing_routes
from collector.feeds.http.problem import RESPONSES, tell_problems
from collector.feeds.http.settings import HttpSettings, Token
from collector.feeds.http.sources import Sources
from collector.feeds.verdicts import Verdicts
from metering.log import log

_LOOK_FOR_PARENT_S: Final = 1.0
_GRACEFUL_S: Final = 5
_MOST_REQUESTS: Final = 200


class Health(BaseModel):
    """Whether questions can be answered."""

    status: str = Field(description="ok; a store that is away is a 503 instead.")
    version: str = Field(description="Of the program.")


def application(sources: Sources, tokens: Sequence[Token] | None) -> FastAPI:
    """All routes; ``tokens`` is ``None`` to let everybody in."""
    app = FastAPI(
        title="Wattline feeds",
        version=version("wattline"),
        description="Determinants for the pricing module, cases for the inspection team, events with their evidence.",
        docs_url=None,
        redoc_url=None,
        responses=RESPONSES,
    )
    tell_problems(app)
    app.add_middleware(BodyLimit)
    app.include_router(pricing_routes(sources), dependencies=[Depends(Access(tokens, "pricing"))])
    app.include_router(inspection_routes(sources), dependencies=[Depends(Access(tokens, "inspection"))])
    app.include_router(event_routes(sources), dependencies=[Depends(Access(tokens, "pricing", "inspection"))])
    app.include_router(approval_routes(sources), dependencies=[Depends(Access(tokens, "pricing"))])
    app.include_router(_health(sources))
    return app


def server_of(settings: HttpSettings, app: FastAPI) -> uvicorn.Server:
    """The server of an application."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACEFUL_S,
        limit_concurrency=_MOST_REQUESTS,
    )
    return uvicorn.Server(config)


def serve(settings: HttpSettings, app: FastAPI, parent: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until the process ``parent`` is no longer ours."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_quietly)  # uvicorn ends, then raises the signal again for the handler before its own
    asyncio.run(_serve(server_of(settings, app), parent))


def _end_quietly(_number: int, _frame: FrameType | None) -> None:
    """The server has ended already."""


async def _serve(server: uvicorn.Server, parent: int | None) -> None:
    watching = asyncio.create_task(_watch(server, parent)) if parent is not None else None
    settings = server.config
    log.info("feeds are served", host=settings.host, port=settings.port)
    try:
        await server.serve()
    finally:
        if watching is not None:
            watching.cancel()
    log.info("feeds stopped")


async def _watch(server: uvicorn.Server, parent: int) -> None:
    """A collector that was killed cannot end us."""
    while os.getppid() == parent:
        await asyncio.sleep(_LOOK_FOR_PARENT_S)
    server.should_exit = True


def _health(sources: Sources) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["health"])

    @router.get("/health", summary="Whether questions can be answered; needs no token")
    def health() -> Health:
        sources.queries().events_page(0, 1, 1)
        Verdicts(sources.state).all()
        return Health(status="ok", version=version("wattline"))

    return router
