"""Errors as RFC 9457 problem details: what is wrong, and what to send instead. Never a stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from metering.errors import BackOff, StopAndFix
from metering.log import log

MEDIA_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """An error."""

    type: str = Field("about:blank", description="Always about:blank: the status says the kind.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What is wrong, and what to send instead.")
    instance: str = Field(description="The path that was asked.")
    errors: tuple[str, ...] = Field((), description="Every mistake of a request, with its place.")


class Refusal(Exception):  # noqa: N818 - not an error of ours: the request is refused
    """A request that cannot be answered; ``detail`` says what to send instead."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status.value: {"model": Problem, "description": status.phrase, "content": {MEDIA_TYPE: {}}}
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)
}
"""What every route may answer besides."""


def tell_problems(app: FastAPI) -> None:
    """Answer every error of an application as a problem."""

    @app.exception_handler(Refusal)
    def refused(request: Request, error: Refusal) -> JSONResponse:
        return _problem(request, error.status, error.detail, headers=error.headers)

    @app.exception_handler(HTTPException)
    def unknown(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        details = {
            HTTPStatus.NOT_FOUND: f"nothing is at {request.url.path} → the routes are listed in /openapi.json",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not for {request.url.path} → see /openapi.json",
        }
        return _problem(request, status, details.get(status, str(error.detail)), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        said = tuple(_said(one) for one in error.errors())
        detail = f"{'; '.join(said)} → correct this and send it again; /openapi.json has examples"
        return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, said)

    @app.exception_handler(BackOff)
    @app.exception_handler(StopAndFix)
    def away(request: Request, error: Exception) -> JSONResponse:
        log.error("a question could not be answered", path=request.url.path, why=str(error))
        detail = "the store or the state file cannot be read now → ask again later"
        return _problem(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"})

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", path=request.url.path, why=f"{type(error).__name__}: {error}")
        detail = "this is a mistake of ours; the log of the collector says more"
        return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _said(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    return f"{place}: {error['msg']}"


def _problem(
    request: Request,
    status: HTTPStatus,
    detail: str,
    errors: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = Problem(title=status.phrase, status=status, detail=detail, instance=request.url.path, errors=errors)
    content = body.model_dump(exclude={"errors"} if not errors else set())
    return JSONResponse(content, status, dict(headers or {}), MEDIA_TYPE)
