"""What the routes read: the store, the registry, the state file, the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collector.engine.checkpoint import read_approval_lists
from collector.feeds.statement import Statements
from collector.feeds.worklist import Worklist
from collector.registry.approvals import Approvals
from collector.registry.registry import Registry
from collector.store.store import Queries
from collector.tariff.periods import Tariff
from metering.topics import Topics


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything a request may need; queries are made anew for each, because they are used by one thread."""

    queries: Callable[[], Queries]
    registry: Registry
    tariffs: Mapping[str, Tariff]
    state: Path
    topics: Topics
    now: Callable[[], datetime] = _utc_now

    def worklist(self) -> Worklist:
        """The inspection team's questions."""
        return Worklist(self.queries(), self.registry, self.state, self.topics)

    def approvals(self) -> Approvals:
        """Temporary capacity as it is known now."""
        return Approvals(self.registry, read_approval_lists(self.state))

    def statements(self) -> Statements:
        """Rows of the store as determinants."""
        return Statements(self.registry, self.tariffs)
