"""``wattline-edge run``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from edge_agent import app, config
from edge_agent.commands.options import FAILED_LIVE, WRONG_CONFIG, ConfigFile, Lang, complain
from edge_agent.desk import door_beside, has_agent
from edge_agent.errors import NoSpool
from edge_agent.words import words
from metering.clock import Clock, clock_from
from metering.language import language
from metering.log import set_up_log


def run(
    config_file: ConfigFile,
    simulated_clock: Annotated[str | None, typer.Option(hidden=True, help="START/SPEED/SINCE")] = None,
    lang: Lang = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error")] = "info",
) -> None:
    """Poll and publish until SIGTERM. Exit 1 if an agent runs with the same spool already."""
    clock = clock_of(simulated_clock)
    if log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise typer.BadParameter(log_level, param_hint="--log-level")
    set_up_log(log_level)
    spoken = language(lang)
    settings = config.load(config_file, spoken)
    if _another_runs(settings.spool.path):
        complain(words(spoken)["agent runs"].format(settings.spool.path))
        raise typer.Exit(FAILED_LIVE)
    try:
        asyncio.run(app.run(settings, clock))
    except NoSpool as error:
        complain(words(spoken)["spool folder"].format(settings.spool.path.parent, error))
        raise typer.Exit(WRONG_CONFIG) from None


def _another_runs(spool: Path) -> bool:
    """Whether an agent answers beside this spool; two would garble each other's lines."""
    with suppress(PermissionError):  # left behind by another user's agent: nobody can tell, and polling matters more
        return asyncio.run(has_agent(door_beside(spool)))
    return False


def clock_of(simulated: str | None) -> Clock:
    """The clock that ``--simulated-clock`` describes, or the system's."""
    try:
        return clock_from(simulated)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--simulated-clock") from None
