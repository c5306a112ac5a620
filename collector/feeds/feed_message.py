"""Messages of the feeds over MQTT: CloudEvents around a day, a month or a case.

The id is made of what is said and of nothing else: a copy has the id of the original, a revision has one of its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from collector.engine.progress import Outgoing
from collector.feeds.case import Case
from collector.feeds.pricing import DayDeterminants, MonthDeterminants
from metering.topics import Topics

Content = TypeVar("Content", bound=BaseModel)
Stage = Literal["opened", "updated", "closed"]


class FeedMessage(BaseModel, Generic[Content]):
    """A CloudEvents 1.0 message."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = Field("1.0", description="Of CloudEvents.")
    id: str = Field(description="Names the message: a copy has the same id.")
    source: str = Field(description="/wattline/feed/pricing or /wattline/feed/inspection.")
    type: str = Field(description="wattline.pricing.day.final, .month.final, wattline.case.opened, .updated, .closed.")
    subject: str = Field(description="The meter.")
    datacontenttype: Literal["application/json"] = Field("application/json", description="Of data.")
    data: Content = Field(description="What is said.")


class DayMessage(FeedMessage[DayDeterminants]):
    """A local day of a meter is over, or was revised."""


class MonthMessage(FeedMessage[MonthDeterminants]):
    """A billing month of a meter is over, or was revised."""


class CaseMessage(FeedMessage[Case]):
    """A case was opened, has changed, or was closed by its end or by a verdict."""


def day_message(topics: Topics, day: DayDeterminants) -> Outgoing:
    """The message about a day."""
    return _outgoing(topics, "pricing", "wattline.pricing.day.final", day.meter, day, DayMessage)


def month_message(topics: Topics, month: MonthDeterminants) -> Outgoing:
    """The message about a month."""
    return _outgoing(topics, "pricing", "wattline.pricing.month.final", month.meter, month, MonthMessage)


def case_message(topics: Topics, case: Case, stage: Stage) -> Outgoing:
    """The message about a case."""
    return _outgoing(topics, "inspection", f"wattline.case.{stage}", case.meter, case, CaseMessage)


def _outgoing(
    topics: Topics, feed: str, what: str, meter: str, content: Content, model: type[FeedMessage[Content]]
) -> Outgoing:
    data = content.model_dump(mode="json")
    digest = hashlib.sha256(f"{what}\n{canonical(data)}".encode()).hexdigest()[:24]
    message = model(id=f"{feed}-{digest}", source=f"/wattline/feed/{feed}", type=what, subject=meter, data=content)
    return Outgoing(message.id, topics.feed(feed, meter), canonical(message.model_dump(mode="json")))


def canonical(data: Any) -> str:
    """JSON with its keys in a fixed order."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
