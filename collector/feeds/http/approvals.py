"""The route by which temporary capacity arrives: a meter's whole list, checked, then on its way to the collector.

The list goes into the outbox of the state file and from there, as a retained message, to the topic on which the
collector takes approvals: the same way as from any other sender. 202 says that it is on its way, durably.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import Field

from collector.engine.progress import Outgoing
from collector.feeds.approval_list import ApprovalList
from collector.feeds.feed_message import canonical
from collector.feeds.http.problem import Refusal
from collector.feeds.http.sources import Sources
from collector.feeds.verdicts import Verdicts
from collector.registry.approvals import read_approvals
from metering.errors import DecodeError
from metering.settings import Settings


class Accepted(Settings):
    """The list is on its way."""

    meter: str = Field(description="The meter.")
    approvals: int = Field(description="How many requests and approvals the list holds.")


def approval_routes(sources: Sources) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1", tags=["approvals"])

    @router.post("/approvals", summary="Temporary capacity of a meter, the whole list", status_code=202)
    def give(given: ApprovalList) -> Accepted:
        if given.meter not in sources.registry.meters:
            detail = f"meter: the registry knows no meter {given.meter} → register it first, or correct the name"
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        listed = given.model_dump(mode="json", by_alias=True, exclude_none=True)["approvals"]
        body = canonical(listed)
        try:
            found = read_approvals(given.meter, body.encode())
        except DecodeError as error:
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"approvals{error} → correct this") from None
        digest = hashlib.sha256(f"{given.meter}\n{body}\n{sources.now()}".encode()).hexdigest()[:24]
        outgoing = Outgoing(f"approvals-{digest}", sources.topics.approvals(given.meter), body)
        Verdicts(sources.state).announce([outgoing])
        return Accepted(meter=given.meter, approvals=len(found))

    return router
