"""The inspection team's questions to a store and its verdicts: all cases, one case, its sheet.

A shell around ``inspection`` and ``sheet``: it reads the events of the store and the verdicts of the state file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from collector.feeds.announcements import feeder_of
from collector.feeds.case import Audience, Case, Condition, Verdict, VerdictGiven
from collector.feeds.counsel import counsel
from collector.feeds.feed_message import case_message
from collector.feeds.inspection import cases_of, combined_score, ends_at, kwh_at_stake
from collector.feeds.sheet import as_text, sheet
from collector.feeds.sheet_page import Load, as_html
from collector.feeds.verdicts import Verdicts
from collector.registry.registry import Registry
from collector.store.store import Queries
from metering.language import Language
from metering.topics import Topics

FAR_MS: Final = 9_000_000_000_000
_BEFORE: Final = timedelta(days=1)
_AFTER: Final = timedelta(days=2)
_BLOCKS_PER_HOUR: Final = 4


@dataclass(frozen=True, slots=True)
class Worklist:
    """Where the cases come from."""

    queries: Queries
    registry: Registry
    state: Path
    topics: Topics

    def cases(self, now: datetime, meter: str | None = None) -> list[Case]:
        """All cases, or those of one meter, the most urgent first.

        Raises:
            CannotStart: the store or the state file cannot be read.
        """
        verdicts = Verdicts(self.state).all()
        return cases_of(self.queries.events(0, FAR_MS, meter), verdicts, now, feeder_of(self.registry))

    def case(self, name: str, now: datetime) -> Case | None:
        """The case of this id."""
        return next((case for case in self.cases(now) if case.id == name), None)

    def subject(self, name: str, now: datetime) -> Case | None:
        """What a sheet is about: the case of this id, or for the id of a condition its case narrowed to it."""
        for case in self.cases(now):
            if case.id == name:
                return case
            own = tuple(one for one in case.conditions if one.condition == name)
            if own:
                return _narrowed(case, own)
        return None

    def give(self, case: Case, given: VerdictGiven, now: datetime) -> Verdict:
        """Keep a verdict about a case, and tell the consumers of the MQTT feed.

        Raises:
            CannotStart: there is no state file.
            StoreBusy: it could not be written now.
        """
        verdict = Verdict(
            case=case.id,
            meter=case.meter,
            verdict=given.verdict,
            by=given.by,
            at=now,
            note=given.note,
            cause=given.cause,
            conditions=tuple(one.condition for one in case.conditions),
        )
        decided = case.model_copy(update={"status": verdict.verdict, "verdict": verdict})
        Verdicts(self.state).give(verdict, [case_message(self.topics, decided, "closed")])
        return verdict

    def text(self, case: Case, lang: Language, audience: Audience) -> str:
        """The evidence sheet as plain text."""
        return as_text(sheet(case, lang, audience, self._zone(case)))

    def page(self, case: Case, lang: Language, audience: Audience) -> str:
        """The evidence sheet as HTML, with the load around the start if the store has it."""
        zone = self._zone(case)
        ends = [one.ended_at for one in case.conditions if one.ended_at is not None]
        ended_at = max(ends) if len(ends) == len(case.conditions) else None
        load = Load(tuple(self._load(case)), case.first_at, ended_at)
        return as_html(sheet(case, lang, audience, zone), lang, zone, load)

    def _load(self, case: Case) -> Iterable[tuple[int, float]]:
        since, until = (_milliseconds(case.first_at + step) for step in (-_BEFORE, _AFTER))
        for block in self.queries.load_blocks(case.meter, since, until):
            if "import_kwh" in block.values:
                yield block.block_start, block.values["import_kwh"] * _BLOCKS_PER_HOUR

    def _zone(self, case: Case) -> ZoneInfo:
        site = self.registry.site_of(case.meter)
        return ZoneInfo(site.timezone if site else "UTC")


def _narrowed(case: Case, own: tuple[Condition, ...]) -> Case:
    """A case as if only these conditions of it were known."""
    return case.model_copy(
        update={
            "conditions": own,
            "kinds": tuple(sorted({one.kind for one in own})),
            "severity": own[0].severity,
            "score": combined_score(own),
            "kwh_at_stake": kwh_at_stake(own),
            "first_at": own[0].started_at,
            "ends_at": ends_at(own),
            "text": counsel(case.meter, [one.kind for one in own]),
        }
    )


def _milliseconds(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
