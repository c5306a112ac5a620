"""The hash chain over committed events: a body that was changed, left out or put in afterwards shows.

    hash n = SHA-256(n, event id, SHA-256 of the body, hash n−1)

Every committed event is one link; the same body again is none, another body of the same id (a revision) is the next.
A chain in the same file as everything else proves that nothing was changed *by parts*. Who can write the file can also
make the whole chain anew: only a head hash that was noted elsewhere (printed, mailed, on another machine) shows that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

GENESIS: Final = "0" * 64
"""What stands before the first link."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link."""

    n: int  # 1, 2, 3 …
    id: str
    digest: str  # SHA-256 of the body
    previous: str
    hash: str


@dataclass(slots=True)
class Inspection:
    """What a walk along the chain found."""

    links: int = 0
    head: str = GENESIS
    broken_at: int | None = None  # the first link that does not follow from the one before
    changed: list[str] = field(default_factory=list)  # events whose body in the store is another
    missing: list[str] = field(default_factory=list)  # events that the store does not hold
    unlinked: list[str] = field(default_factory=list)  # events in the store that no link names

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken_at is None and not (self.changed or self.missing or self.unlinked)


def body_digest(body: str) -> str:
    """SHA-256 of an event's body."""
    return hashlib.sha256(body.encode()).hexdigest()


def link_after(previous: str, n: int, event_id: str, digest: str) -> Link:
    """The link number ``n`` for an event, after the one with the hash ``previous``."""
    text = "\n".join((str(n), event_id, digest, previous))
    return Link(n, event_id, digest, previous, hashlib.sha256(text.encode()).hexdigest())


def walk(links: Iterable[Link], bodies: Mapping[str, str]) -> Inspection:
    """Follow the chain from its first link, and compare with the bodies in the store.

    Args:
        links: all links by their number.
        bodies: event id → body as it is stored now.
    """
    found = Inspection()
    newest: dict[str, str] = {}
    for n, link in enumerate(links, 1):
        if found.broken_at is None and link != link_after(found.head, n, link.id, link.digest):
            found.broken_at = n
        found.links, found.head = n, link.hash
        newest[link.id] = link.digest
    for name, digest in newest.items():
        if name not in bodies:
            found.missing.append(name)
        elif body_digest(bodies[name]) != digest:
            found.changed.append(name)
    found.unlinked = [name for name in bodies if name not in newest]
    return found
