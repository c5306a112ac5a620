"""``wattline-edge load-profile METER``."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from edge_agent import config
from edge_agent.commands.answers import bits, iso, local_minute, why
from edge_agent.commands.options import FAILED_LIVE, WRONG_CONFIG, ConfigFile, Json, Lang, complain, print_json
from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.memory import IntervalRow, Intervals
from edge_agent.recall import Recall
from edge_agent.words import Words, words
from metering.clock import SystemClock
from metering.language import language
from metering.quantity import QUANTITIES

_MS_PER_MINUTE = 60_000


def load_profile(
    meter: str,
    config_file: ConfigFile,
    begin: Annotated[str, typer.Option("--from", help="first instant: 2026-03-01T00:00, local time, or with +08:00")],
    end: Annotated[str | None, typer.Option("--to", help="last instant; now if left out")] = None,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """Read a part of a meter's own history. Works while the agent runs. Exit 1 if the meter does not give it."""
    spoken = language(lang)
    say = words(spoken)
    settings = config.load(config_file, spoken)
    known = [one.id for one in settings.meters]
    clock = SystemClock()
    if meter not in known:
        complain(say["no meter"].format(meter, ", ".join(known)))
        raise typer.Exit(WRONG_CONFIG)
    first, last = _instant(begin, say), clock.now_ms() if end is None else _instant(end, say)
    if first > last:
        complain(say["time order"])
        raise typer.Exit(WRONG_CONFIG)
    found = asyncio.run(Recall(settings, clock, meter).history(first, last))
    if json_wanted:
        print_json(_as_json(meter, found, say))
    elif isinstance(found, ReadFailure):
        typer.echo(f"{meter}: {why(found, say)}")
    else:
        _print(meter, found, say)
    if isinstance(found, ReadFailure):
        raise typer.Exit(FAILED_LIVE)


def _instant(text: str, say: Words) -> int:
    """An ISO 8601 time, local if it names no offset → ms since 1970 UTC."""
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        complain(say["time from"].format(text))
        raise typer.Exit(WRONG_CONFIG) from None


def _print(meter: str, found: Intervals, say: Words) -> None:
    if not found.rows:
        typer.echo(say["history none"].format(meter))
        return
    typer.echo(say["history"].format(meter, len(found.rows), found.period_ms / _MS_PER_MINUTE))
    names = [name for name in QUANTITIES if any(name in row.values for row in found.rows)]
    heads = [f"{name} {QUANTITIES[name].unit}".rstrip() for name in names]
    typer.echo("  ".join([" " * 16, *heads]))
    for row in found.rows:
        at = local_minute(row.measured_at)
        cells = [_cell(row, name).rjust(len(head)) for name, head in zip(names, heads, strict=True)]
        typer.echo("  ".join([at, *cells, *bits(row.quality)]))


def _cell(row: IntervalRow, quantity: str) -> str:
    value = row.values.get(quantity)
    return "-" if value is None else f"{value:.{QUANTITIES[quantity].decimals}f}"


def _as_json(meter: str, found: Intervals | ReadFailure, say: Words) -> dict[str, object]:
    if isinstance(found, ReadFailure):
        failure = {"reason": found.reason, "code": found.code, "text": why(found, say)}
        return {"meter": meter, "period_s": None, "rows": [], "failure": failure}
    rows = [
        {
            "measured_at": iso(row.measured_at),
            "quality": bits(row.quality),
            "values": {
                name: {
                    "value": None if value is None else round(value, QUANTITIES[name].decimals),
                    "unit": QUANTITIES[name].unit,
                }
                for name, value in row.values.items()
            },
        }
        for row in found.rows
    ]
    return {"meter": meter, "period_s": found.period_ms / 1000, "rows": rows}
