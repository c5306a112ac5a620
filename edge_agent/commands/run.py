"""``wattline-edge run``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from edge_agent import app, config
from edge_agent.commands.options import ConfigFile, Lang
from metering.clock import Clock, clock_from
from metering.language import language
from metering.log import set_up_log


def run(
    config_file: ConfigFile,
    simulated_clock: Annotated[str | None, typer.Option(hidden=True, help="START/SPEED/SINCE")] = None,
    lang: Lang = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error")] = "info",
) -> None:
    """Poll and publish until SIGTERM."""
    clock = clock_of(simulated_clock)
    if log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise typer.BadParameter(log_level, param_hint="--log-level")
    set_up_log(log_level)
    settings = config.load(config_file, language(lang))
    asyncio.run(app.run(settings, clock))


def clock_of(simulated: str | None) -> Clock:
    """The clock that ``--simulated-clock`` describes, or the system's."""
    try:
        return clock_from(simulated)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--simulated-clock") from None
