"""Topics are built and parsed here and nowhere else.

    <prefix>/v1/up/<shard>/<gateway>/data        edge → collector: rounds and gaps
    <prefix>/v1/up/<shard>/<gateway>/status      edge → all: retained, and the last will
    <prefix>/v1/up/<shard>/<gateway>/reply       edge → centre: answers to commands
    <prefix>/v1/down/<gateway>/ack               collector → edge: retained, cumulative
    <prefix>/v1/down/<gateway>/command           centre → edge
    <prefix>/v1/collector/<shard>/status         collector → edges: retained, and the last will
    <prefix>/v1/events/<kind>/<meter>            collector → consumers: CloudEvents
    <prefix>/v1/feed/pricing/<meter>             collector → pricing: a day or month that is final or revised
    <prefix>/v1/feed/inspection/<meter>          collector → inspection: a case and what became of it
    <prefix>/v1/registry/approvals/<meter>       utility → collector: retained, temporary capacity of a meter

The shard stands before the gateway so that a collector subscribes to its own shards only. A topic holds
no name of a customer: gateways and meters are technical identifiers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Gateways, shards, meters, buses and rate groups: safe in a topic, a tag, a file name and a log."""


@dataclass(frozen=True, slots=True)
class UpTopic:
    """The parts of a topic under ``up``."""

    shard: str
    gateway: str
    leaf: str  # data, status or reply


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics below one prefix, for example ``wattline`` or ``city/park-3``."""

    prefix: str = "wattline"

    def up(self, shard: str, gateway: str, leaf: str) -> str:
        """Topic a gateway publishes to; ``+`` is allowed as shard or gateway in a subscription."""
        return f"{self.prefix}/v1/up/{shard}/{gateway}/{leaf}"

    def ack(self, gateway: str) -> str:
        """Topic of the cumulative acknowledgement."""
        return f"{self.prefix}/v1/down/{gateway}/ack"

    def command(self, gateway: str) -> str:
        """Topic of commands to a gateway."""
        return f"{self.prefix}/v1/down/{gateway}/command"

    def collector_status(self, shard: str) -> str:
        """Topic on which the collector of a shard says that it is there."""
        return f"{self.prefix}/v1/collector/{shard}/status"

    def event(self, kind: str, meter: str) -> str:
        """Topic of the events of one kind about one meter."""
        return f"{self.prefix}/v1/events/{kind}/{meter}"

    def feed(self, name: str, meter: str) -> str:
        """Topic of a feed about one meter: ``pricing`` or ``inspection``."""
        return f"{self.prefix}/v1/feed/{name}/{meter}"

    def approvals(self, meter: str) -> str:
        """Topic of the temporary capacity of one meter; ``+`` is allowed as meter in a subscription."""
        return f"{self.prefix}/v1/registry/approvals/{meter}"

    def parse_approvals(self, topic: str) -> str | None:
        """The meter of a topic of approvals; ``None`` if it is not one of ours."""
        head = self.approvals("")
        meter = topic[len(head) :]
        return meter if topic.startswith(head) and IDENTIFIER.fullmatch(meter) else None

    def parse_up(self, topic: str) -> UpTopic | None:
        """Take a topic under ``up`` apart; ``None`` if it is not one of ours."""
        head = f"{self.prefix}/v1/up/"
        if not topic.startswith(head):
            return None
        parts = topic[len(head) :].split("/")
        if len(parts) != 3 or not all(IDENTIFIER.fullmatch(part) for part in parts):  # noqa: PLR2004
            return None
        return UpTopic(*parts)
