"""What one commit keeps: marks, states, days, messages, what was refused. All of it becomes durable together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from collector.ingest.sequence import Mark


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event on its way to the broker."""

    id: str
    topic: str
    body: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was acknowledged but not stored, and why."""

    kind: Literal["message", "line"]
    origin: str  # gateway as the topic says, or the store
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A ``Refused`` as the quarantine keeps it."""

    n: int
    refused: Refused
    first_at: int  # ms
    times: int


@dataclass(slots=True)
class Progress:
    """What one commit keeps, all of it or nothing."""

    marks: list[tuple[str, int, Mark]] = field(default_factory=list)  # gateway, epoch, mark
    snapshots: dict[str, bytes] = field(default_factory=dict)  # gateway → engine state
    newest: dict[str, bytes] = field(default_factory=dict)  # gateway → newest reading of each meter
    past: list[tuple[str, int, bytes]] = field(default_factory=list)  # gateway, ms of its last reading, state
    open_days: dict[str, bytes] = field(default_factory=dict)  # gateway → days under way
    closed_days: list[tuple[str, str, bytes]] = field(default_factory=list)  # site, day, closed day
    festivals: list[tuple[str, str, bytes]] = field(default_factory=list)  # site, day, what the festival brought
    late: dict[str, int] = field(default_factory=dict)  # gateway → since when it has to be judged again
    judged_again: dict[str, int] = field(default_factory=dict)  # gateway → since when it was
    late_logs: dict[str, int] = field(default_factory=dict)  # gateway → since when its meters' logs have to be
    logs_judged_again: list[str] = field(default_factory=list)  # gateways whose logs were
    outgoing: list[Outgoing] = field(default_factory=list)
    chained: list[tuple[str, str]] = field(default_factory=list)  # events for the hash chain: id, body
    refused: list[Refused] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))


def note_oldest(late: dict[str, int], more: Mapping[str, int]) -> None:
    """Note gateways and instants (ms) in ``late``; the older of two stays."""
    for gateway, since in more.items():
        late[gateway] = min(late.get(gateway, since), since)
