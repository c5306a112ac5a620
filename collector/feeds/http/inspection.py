"""Routes for the inspection team: the ranked cases, one case, its evidence sheet, the verdict that comes back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from collector.feeds.case import Audience, Case, Status, Verdict, VerdictGiven
from collector.feeds.http.page import MOST, Key, Page, answer, answer_text, decode_cursor, page_of
from collector.feeds.http.problem import Problem, Refusal
from collector.feeds.http.sources import Sources
from collector.feeds.inspection import urgency
from metering.language import Language
from metering.settings import Identifier, Settings


class Chosen(Settings):
    """Which cases."""

    status: Status | None = Query(None, description="Only cases that stand like this.", examples=["open"])
    site: Identifier | None = Query(None, description="Only cases of this site.", examples=["park-01"])
    kind: Identifier | None = Query(None, description="Only cases with this kind.", examples=["current_loss"])
    ranked: bool = Query(True, description="true: the most urgent first; false: the oldest first.")
    limit: int = Query(100, ge=1, le=MOST, description="Items a page.")
    cursor: str | None = Query(None, description="'next' of the page before.")


def inspection_routes(sources: Sources) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/inspection", tags=["inspection"])
    missing: dict[int | str, dict[str, object]] = {404: {"model": Problem, "description": "There is no such case"}}

    @router.get("/cases", summary="Cases, the most urgent first", response_model=Page[Case])
    def cases(request: Request, chosen: Annotated[Chosen, Query()]) -> Response:
        filters = f"{request.url.path} {chosen.status} {chosen.site} {chosen.kind} {chosen.ranked}"
        kinds = (bool, float, str) if chosen.ranked else (str, str)
        after = decode_cursor(chosen.cursor, filters, kinds)

        def key_of(case: Case) -> Key:
            return list(urgency(case)) if chosen.ranked else [case.first_at.isoformat(), case.id]

        found = [
            case
            for case in sources.worklist().cases(sources.now())
            if chosen.status in (None, case.status)
            and chosen.site in (None, case.site)
            and (chosen.kind is None or chosen.kind in case.kinds)
            and (after is None or key_of(case) > after)
        ]
        return answer(request, page_of(sorted(found, key=key_of), chosen.limit, key_of, filters))

    @router.get("/cases/{case}", summary="One case", response_model=Case, responses=missing)
    def one_case(request: Request, case: str) -> Response:
        return answer(request, _found(sources, case))

    @router.get(
        "/cases/{case}/sheet",
        summary="Its evidence sheet: text, or HTML if Accept prefers text/html",
        response_class=Response,
        responses={**missing, 200: {"content": {"text/plain": {}, "text/html": {}}}},
    )
    def case_sheet(
        request: Request,
        case: str,
        lang: Annotated[Language, Query(description="zh or en.")] = "zh",
        audience: Annotated[Audience, Query(alias="for", description="Who reads it.")] = "inspector",
        form: Annotated[Literal["text", "html"] | None, Query(description="Instead of the Accept header.")] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Response:
        found, worklist = _found(sources, case), sources.worklist()
        if form == "html" or (form is None and "text/html" in accept):
            return answer_text(request, worklist.page(found, lang, audience), "text/html; charset=utf-8")
        return answer_text(request, worklist.text(found, lang, audience), "text/plain; charset=utf-8")

    @router.post("/cases/{case}/verdict", summary="What was found on site", status_code=201, responses=missing)
    def verdict(case: str, given: VerdictGiven) -> Verdict:
        return sources.worklist().give(_found(sources, case), given, sources.now())

    return router


def _found(sources: Sources, name: str) -> Case:
    case = sources.worklist().case(name, sources.now())
    if case is None:
        detail = f"there is no case {name} → GET /v1/inspection/cases lists them"
        raise Refusal(HTTPStatus.NOT_FOUND, detail)
    return case
