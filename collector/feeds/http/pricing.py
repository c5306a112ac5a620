"""Routes for the pricing module: days and months of its accounts, as facts.

Items come meter by meter, in the order of the meters' names and then of time, so that a page reads a few meters of the
store whatever the size of the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Query, Request, Response

from collector.feeds.http.page import MOST, Key, Page, answer, decode_cursor, page_of
from collector.feeds.http.problem import Refusal
from collector.feeds.http.sources import Sources
from collector.feeds.pricing import DayDeterminants, MonthDeterminants
from metering.settings import Identifier, Settings

_DAYS_BACK: Final = 31
_LONGEST_DAYS: Final = 400
_MARGIN: Final = timedelta(days=2)  # local days and months begin up to 14 h beside those of UTC
_LONGEST_MONTH_MS: Final = 33 * 86_400_000

Determinants = TypeVar("Determinants", DayDeterminants, MonthDeterminants)


class Chosen(Settings):
    """Which days or months."""

    account: Identifier | None = Query(None, description="Only this account (pseudonym).", examples=["A-0001"])
    meter: Identifier | None = Query(None, description="Only this meter.", examples=["shop-101"])
    site: Identifier | None = Query(None, description="Only meters of this site.", examples=["park-01"])
    since: date | None = Query(None, description="First local day; by default 31 days before until.")
    until: date | None = Query(None, description="First local day after; by default tomorrow.")
    limit: int = Query(200, ge=1, le=MOST, description="Items a page.")
    cursor: str | None = Query(None, description="'next' of the page before.")


def pricing_routes(sources: Sources) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/pricing", tags=["pricing"])

    @router.get("/days", summary="Local days, by meter", response_model=Page[DayDeterminants])
    def days(request: Request, chosen: Annotated[Chosen, Query()]) -> Response:
        queries, statements = sources.queries(), sources.statements()

        def of(meter: str, since: date, until: date) -> Iterator[DayDeterminants]:
            rows = queries.energy(_ms(since - _MARGIN), _ms(until + _MARGIN), meter)
            return (one for one in statements.days(rows) if since <= one.day < until)

        return _answer(request, sources, chosen, of, lambda one: one.day)

    @router.get("/months", summary="Billing months, by meter", response_model=Page[MonthDeterminants])
    def months(request: Request, chosen: Annotated[Chosen, Query()]) -> Response:
        queries, statements, approvals = sources.queries(), sources.statements(), sources.approvals()

        def of(meter: str, since: date, until: date) -> Iterator[MonthDeterminants]:
            first, last = _ms(since - _MARGIN), _ms(until + _MARGIN)
            rows = queries.months(first, last, meter)
            daily = queries.energy(first, last + _LONGEST_MONTH_MS, meter)
            found = statements.months(daily, rows, {meter: approvals.of(meter)}, first, last)
            return (one for one in found if since <= one.month < until)

        return _answer(request, sources, chosen, of, lambda one: one.month)

    return router


def _answer(
    request: Request,
    sources: Sources,
    chosen: Chosen,
    of: Callable[[str, date, date], Iterator[Determinants]],
    when: Callable[[Determinants], date],
) -> Response:
    since, until = _span(chosen, sources.now())
    filters = f"{request.url.path} {chosen.account} {chosen.meter} {chosen.site} {chosen.since} {chosen.until}"
    after = decode_cursor(chosen.cursor, filters, (str, str, str))

    def key_of(one: Determinants) -> Key:
        return [one.meter, when(one).isoformat(), one.gateway]

    def items() -> Iterator[Determinants]:
        for meter in _meters(sources, chosen):
            if after is None or meter >= after[0]:
                own = sorted(of(meter, since, until), key=key_of)
                yield from (one for one in own if after is None or key_of(one) > after)

    return answer(request, page_of(items(), chosen.limit, key_of, filters))


def _span(chosen: Chosen, now: datetime) -> tuple[date, date]:
    until = chosen.until or (now + timedelta(days=1)).date() + timedelta(days=1)
    since = chosen.since or until - timedelta(days=_DAYS_BACK)
    if since >= until:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"since {since} is not before until {until} → exchange them")
    if (until - since).days > _LONGEST_DAYS:
        detail = f"{(until - since).days} days are too many → ask for at most {_LONGEST_DAYS} at once"
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return since, until


def _meters(sources: Sources, chosen: Chosen) -> Sequence[str]:
    """The meters in question, by name; a meter that is asked for by name need not be registered."""
    known = sources.registry.meters
    if chosen.meter is not None and chosen.meter not in known:
        return () if chosen.account or chosen.site else (chosen.meter,)
    return sorted(
        one.id
        for one in known.values()
        if chosen.meter in (None, one.id) and chosen.account in (None, one.account) and chosen.site in (None, one.site)
    )


def _ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
