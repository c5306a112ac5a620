"""``wattline-edge tail``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from edge_agent import config
from edge_agent.commands.answers import bits, iso, shown
from edge_agent.commands.options import WRONG_CONFIG, ConfigFile, Json, Lang, complain, print_json
from edge_agent.commissioning.words import tool_words
from edge_agent.errors import NoSpool
from edge_agent.spool.look import last_seq, rounds_after
from edge_agent.words import Words, words
from metering.language import language
from metering.quantity import QUANTITIES
from metering.round import Quality, Round, unpack

_LOOK_EVERY_S: Final = 0.5
_ROUNDS_BACK: Final = 3


def tail(
    config_file: ConfigFile,
    meter: Annotated[str | None, typer.Option("--meter", "-m", help="only this meter")] = None,
    quantity: Annotated[list[str] | None, typer.Option("--quantity", "-q", help="only these quantities")] = None,
    lines: Annotated[int | None, typer.Option("--lines", "-n", min=1, help="end after so many rows")] = None,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """Follow what is being read, one row a line, from the spool: the bus is not asked. Ctrl-C ends it with 0."""
    spoken = language(lang)
    say = words(spoken)
    settings = config.load(config_file, spoken)
    known = [one.id for one in settings.meters]
    if meter is not None and meter not in known:
        complain(say["no meter"].format(meter, ", ".join(known)))
        raise typer.Exit(WRONG_CONFIG)
    for one in quantity or ():
        if one not in QUANTITIES:
            complain(say["no such quantity"].format(one))
            raise typer.Exit(WRONG_CONFIG)
    left = lines
    with suppress(KeyboardInterrupt):
        for row in _rows(settings.spool.path, tool_words(spoken)):
            if meter not in (None, row["meter"]):
                continue
            values = {name: value for name, value in row["values"].items() if not quantity or name in quantity}
            _print(row | {"values": values}, say, json_wanted)
            left = None if left is None else left - 1
            if left == 0:
                return


def _rows(path: Path, say: Words) -> Iterator[dict[str, Any]]:
    """Every row of the last rounds, then those that come."""
    seq: int | None = None
    while True:
        try:
            seq = max(0, last_seq(path) - _ROUNDS_BACK) if seq is None else min(seq, last_seq(path))
            for number, one in rounds_after(path, seq):
                seq = number
                yield from _of_round(one)
        except NoSpool:
            if seq is None:
                complain(say["tail none"])
                seq = 0
        time.sleep(_LOOK_EVERY_S)


def _of_round(one: Round) -> Iterable[dict[str, Any]]:
    columns = {column.quantity: column.values(one.rows) for column in one.columns}
    at, quality = unpack(one.measured_at, "q"), unpack(one.quality, "I")
    for row, meter in enumerate(one.meters):
        values = {name: column[row] for name, column in columns.items() if column[row] is not None}
        yield {
            "meter": meter,
            "group": one.group,
            "measured_at": at[row],
            "quality": bits(Quality(quality[row])),
            "values": values,
        }


def _print(row: dict[str, Any], say: Words, json_wanted: bool) -> None:
    if json_wanted:
        print_json(row | {"measured_at": iso(row["measured_at"])})
        return
    local = datetime.fromtimestamp(row["measured_at"] / 1000).astimezone().strftime("%H:%M:%S")
    values = "  ".join(f"{name} {shown(name, value, say)}" for name, value in row["values"].items())
    doubts = f"  ! {', '.join(row['quality'])}" if row["quality"] else ""
    typer.echo(f"{local} {row['meter']:16} {values}{doubts}".rstrip())
