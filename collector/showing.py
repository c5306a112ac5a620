"""Rows as a person reads them on a terminal, or a program reads them: a table in local time, or JSON in UTC."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import typer

from collector.config import Configuration
from collector.span import zone_of


def show(
    rows: Sequence[Mapping[str, Any]], columns: Iterable[str], as_json: bool, configuration: Configuration
) -> None:
    """Print these columns of the rows, or as JSON all of them."""
    if as_json:
        typer.echo(json.dumps(list(rows), ensure_ascii=False))
        return
    names, zone = list(columns), zone_of(configuration)
    cells = [[cell(row.get(name), zone) for name in names] for row in rows]
    widths = [max([len(name)] + [len(row[i]) for row in cells]) for i, name in enumerate(names)]
    typer.echo("  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip())
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def cell(value: Any, zone: ZoneInfo) -> str:
    """One value: no value is a dash, an instant is that of the zone."""
    if value is None:
        return "-"
    if isinstance(value, str) and value.endswith("Z") and "T" in value:  # people read local time, machines UTC
        return datetime.fromisoformat(value).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:.3f}" if isinstance(value, float) else str(value)
