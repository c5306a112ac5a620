"""``python -m tests.bench.detection``: what the rules find in towns that they have never seen.

For each seed a town is simulated, the product's own back-test reads it as it would read a utility's export, and its
events and scores are judged against the truth. The limits are the product's defaults, fixed before; the seeds are fixed
here; nothing is tuned on what is judged. All the same the attacks are simulated: **these figures prove that the code
does what it says, not how it does in the field**, where customers, wiring and attacks are none of ours.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa
import typer
import yaml
from pyarrow import csv

from metering.errors import StopAndFix
from simulators.history.files import write_history
from simulators.history.metering import History
from simulators.history.span import Span
from tests.bench.figures import Figure, table
from tests.bench.judging import (
    ANY,
    BY_LINE,
    FEEDER,
    SUSPECT,
    Condition,
    Found,
    Incident,
    Judgement,
    MeterDay,
    World,
    conditions,
    judge,
)

SEEDS: Final = (101, 102, 103)
START: Final = date(2026, 3, 1)

_FILE: Final = Path("bench.json")
_FALSIFIED: Final = "falsification"


def main() -> None:
    """Simulate, test back, judge, print, and merge the figures into ``bench.json``."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.detection", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="towns (default: %(default)s)")
    parser.add_argument("--meters", type=int, default=600, help="customers of a town (default: %(default)s)")
    parser.add_argument("--days", type=int, default=112, help="days of a town (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep towns, events and scores here")
    options = parser.parse_args()
    judgement = Judgement()
    for seed in options.seeds:
        typer.echo(f"town {seed} …")
        if options.keep is not None:
            judgement.add(_judged(seed, options.meters, options.days, options.keep / f"town-{seed}"))
            continue
        with TemporaryDirectory() as folder:
            judgement.add(_judged(seed, options.meters, options.days, Path(folder) / "town"))
    found = list(figures(judgement))
    typer.echo(f"\n{len(options.seeds)} towns of {options.meters} customers, {options.days} days; simulated attacks:")
    typer.echo("the code does what it says; how it does in the field is not shown\n")
    typer.echo(table(found))
    known = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else {}
    for figure in found:
        known |= {key: float(f"{value:.4g}") for key, value in figure.keys.items() if not math.isnan(value)}
    _FILE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def figures(judgement: Judgement) -> Iterator[Figure]:
    """The lines of the table."""
    whole = judgement.whole(_FALSIFIED)
    yield _rate("falsified meter-days found", whole.day_rate, whole.days, "detection.falsification.dr")
    yield _rate("falsified cases found", whole.case_rate, whole.cases, "detection.falsification.cases_dr")
    yield _figure("  days to find, median", whole.median_delay, "days", "detection.falsification.days_to_detect")
    false = judgement.false_per_1000(_FALSIFIED, SUSPECT)
    yield _figure("  false meter-days / 1000", false, "", "detection.false_meter_days_per_1000")
    yield _figure("  AUC of the scores", judgement.auc, "", "detection.falsification.auc")
    yield from _scenarios(judgement, _FALSIFIED)
    yield from _scenarios(judgement, BY_LINE)
    feeder = judgement.false_per_1000("feeder", FEEDER)
    yield _figure("false feeder-days / 1000", feeder, "", "detection.feeder_excess.false_days_per_1000")
    for of in ("electrical", "capacity"):
        cases = judgement.whole(of)
        yield _rate(f"{of} cases found", cases.case_rate, cases.cases, f"detection.{of}.dr")
        false = judgement.false_per_1000(of, ANY)
        yield _figure("  false meter-days / 1000", false, "", f"detection.{of}.false_meter_days_per_1000")
        yield from _scenarios(judgement, of)
        for kind in sorted(kind for one, kind in judgement.false_days if one == of and kind != ANY):
            false = judgement.false_per_1000(of, kind)
            yield _figure(f"  false {kind} / 1000", false, "", f"detection.{kind}.false_meter_days_per_1000")


def world(folder: Path, first: date, days: int) -> World:
    """Who is there and what was done, from the files of a history."""
    registry = yaml.safe_load((folder / "registry.yaml").read_text(encoding="utf-8"))
    masters = {feeder["master"]: feeder["id"] for feeder in registry["feeders"]}
    lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return World(
        first=first,
        days=days,
        feeder_of={one["id"]: one.get("feeder") for one in registry["meters"] if one["id"] not in masters},
        masters=masters,
        incidents=[Incident.of_line(json.loads(line)) for line in lines],
    )


def read_events(path: Path) -> list[Condition]:
    """The conditions in a file of CloudEvents, one a line."""
    return conditions(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def read_scores(path: Path) -> Mapping[MeterDay, float]:
    """The daily scores of falsification in a file of scores."""
    types = {"meter_id": pa.string(), "day": pa.date32(), "kind": pa.string(), "score": pa.float64()}
    rows = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types)).to_pydict()
    columns = (rows[name] for name in types)
    return {
        (meter, day): score
        for meter, day, kind, score in zip(*columns, strict=True)
        if kind == _FALSIFIED and score is not None
    }


def _judged(seed: int, meters: int, days: int, folder: Path) -> Judgement:
    try:
        readings = write_history(History(seed, meters, Span(START, days)), folder, "parquet", "electrical")
    except StopAndFix as error:
        raise SystemExit(str(error)) from None
    events, scores = folder / "events.jsonl", folder / "scores.csv"
    command: list[Any] = [sys.executable, "-m", "collector.cli", "backtest", "--readings", readings]
    command += ["--registry", folder / "registry.yaml", "--events", events, "--scores", scores]
    if (status := subprocess.run(command, check=False).returncode) != 0:
        raise SystemExit(f"the back-test of town {seed} ended with status {status}")
    return judge(world(folder, START, days), read_events(events), read_scores(scores))


def _scenarios(judgement: Judgement, of: str) -> Iterator[Figure]:
    for (one, scenario), found in sorted(judgement.found.items()):
        if one == of:
            yield _scenario(scenario, found, by_days=of in (_FALSIFIED, BY_LINE))


def _scenario(scenario: str, found: Found, *, by_days: bool) -> Figure:
    rate, number = (found.day_rate, found.days) if by_days else (found.case_rate, found.cases)
    return _rate(f"  {scenario}", rate, number, f"detection.{scenario}.dr")


def _rate(subject: str, rate: float, number: int, key: str) -> Figure:
    return Figure(subject, rate, f"of {number}", {key: rate})


def _figure(subject: str, value: float, unit: str, key: str) -> Figure:
    return Figure(subject, value, unit, {key: value})


if __name__ == "__main__":
    main()
