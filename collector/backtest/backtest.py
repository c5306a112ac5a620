"""A back-test: the readings of a file through the engine and the days, exactly as live ones go.

Readings are put in the order of time first, so that a file in any order, with duplicates and late rows, ends as an
ordered one does. The gateway of a meter is its site: a file knows none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.backtest.outputs import Outputs
from collector.backtest.readings import ReadingsFile
from collector.backtest.spill import Spill
from collector.config import Rules
from collector.days.days import Days, Judged
from collector.engine.engine import Engine, Outcome
from metering.errors import StopAndFix

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""

_UNREGISTERED: Final = "unregistered"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The files to write."""

    events: Path | None
    determinants: Path | None = None
    scores: Path | None = None

    @property
    def paths(self) -> tuple[Path | None, Path | None, Path | None]:
        """Events, determinants, scores."""
        return self.events, self.determinants, self.scores


@dataclass(frozen=True, slots=True)
class Summary:
    """What went through, and what came of it."""

    rows: int
    meters: int
    unregistered: tuple[str, ...]
    days: int
    found: dict[str, int]  # kind → findings
    switched_off: tuple[str, ...]  # checks that failed, and why
    hints: tuple[str, ...]


def backtest(rules: Rules, readings: Path, wanted: Wanted, progress: Progress) -> Summary:
    """Run all checks over a file.

    Raises:
        StopAndFix: the file of readings cannot be used, or a file cannot be written.
    """
    try:
        return _backtest(rules, readings, wanted, progress)
    except OSError as error:
        where = error.filename or tempfile.gettempdir()
        raise StopAndFix(
            f"{where}: {error.strerror} → the sorted readings need room in TMPDIR, the results in their folder"
        ) from error


def _backtest(rules: Rules, readings: Path, wanted: Wanted, progress: Progress) -> Summary:
    registry = rules.registry
    zones = {site.timezone for site in registry.sites.values()} or {"UTC"}
    source = ReadingsFile(readings, zones.pop() if len(zones) == 1 else None)
    if any(path is not None and path.exists() and path.samefile(readings) for path in wanted.paths):
        raise StopAndFix(f"{readings}: this is the file of readings → write into another file")
    fleet = rules.fleet()
    engine = Engine(fleet, rules.checks(), rules.digest, "backtest")
    days = Days(fleet, rules.closing(), rules.digest)
    with (
        Outputs(fleet, *wanted.paths) as outputs,
        tempfile.TemporaryDirectory(prefix="wattline-backtest-") as folder,
    ):
        spill = Spill(Path(folder), source.quantities)
        for batch, done in source.batches():
            spill.add(batch)
            progress("sorting readings", done, source.bytes)
        sites = {meter: site.id for meter in spill.meters if (site := registry.site_of(meter))}
        gateways = [sites.get(meter, _UNREGISTERED) for meter in spill.meters]
        for meter in sorted(spill.meters):  # slots by name: the order of the file is seen in nothing that is written
            fleet.slots(sites.get(meter, _UNREGISTERED), (meter,))
        hints = [*source.hints()]
        hints += [f"meter event {name} is unknown and is passed over" for name in spill.unknown_events()]
        switched: list[str] = []
        last_ms = 0
        for n, day in enumerate(spill.days):
            progress("judging days", n, len(spill.days))
            for frame in spill.frames(day, fleet, gateways):
                outcome = engine.process(frame)
                switched += [f"{one.check}: {one.reason}" for one in outcome.switched]
                switched += _take(outcome, days.take(outcome), outputs)
                last_ms = max(last_ms, int(frame.at.max()))
        progress("judging days", len(spill.days), len(spill.days))
        switched += _take(Outcome(), days.finish(), outputs)
        outputs.finish(last_ms)
    return Summary(
        rows=spill.rows,
        meters=len(spill.meters),
        unregistered=tuple(sorted(set(spill.meters) - set(sites))),
        days=len(spill.days),
        found=outputs.found,
        switched_off=tuple(switched),
        hints=tuple(hints),
    )


def _take(outcome: Outcome, judged: Judged, outputs: Outputs) -> list[str]:
    """Write what was found; return the days that a bug left unjudged."""
    outputs.events(outcome.events)
    outputs.tables(outcome.tables)
    outputs.scores(judged.scores)
    outputs.events(judged.events)
    return [f"{site} {day}: {why}" for site, day, why in judged.failed]
