"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

DEFAULT_CONFIG: Final = Path("/etc/wattline/collector.yaml")

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The collector's YAML file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Lang = Annotated[Literal["zh", "en"] | None, typer.Option("--lang", help="By default that of the environment.")]
Meter = Annotated[str | None, typer.Argument(help="Only this meter.")]
Since = Annotated[
    str | None,
    typer.Option("--since", help="First instant or day, for example 2026-06-18 or 2026-06-18T08:00+08:00."),
]
Until = Annotated[str | None, typer.Option("--until", help="First instant or day after.")]
