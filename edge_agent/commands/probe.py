"""``wattline-edge probe METER``."""

from __future__ import annotations

import asyncio

import typer

from edge_agent import config, survey
from edge_agent.commands.answers import as_json, print_answer
from edge_agent.commands.options import FAILED_LIVE, WRONG_CONFIG, ConfigFile, Json, Lang, complain, print_json
from edge_agent.drivers.driver import ReadFailure
from edge_agent.words import words
from metering.clock import SystemClock
from metering.language import language


def probe(meter: str, config_file: ConfigFile, json_wanted: Json = False, lang: Lang = None) -> None:
    """Read one meter once and show everything its profile offers. Exit 1 if it gives no values."""
    spoken = language(lang)
    say = words(spoken)
    settings = config.load(config_file, spoken)
    known = [one.id for one in settings.meters]
    if meter not in known:
        complain(say["no meter"].format(meter, ", ".join(known)))
        raise typer.Exit(WRONG_CONFIG)
    (answer,) = asyncio.run(survey.ask(settings, SystemClock(), meter))
    if json_wanted:
        print_json(as_json(answer, say))
    else:
        print_answer(answer, say)
    if isinstance(answer.outcome, ReadFailure):
        raise typer.Exit(FAILED_LIVE)
