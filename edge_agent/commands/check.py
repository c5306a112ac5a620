"""``wattline-edge check [--live]``."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from edge_agent import config, survey
from edge_agent.commands.answers import as_json, print_answer
from edge_agent.commands.options import FAILED_LIVE, ConfigFile, Json, Lang, print_json
from edge_agent.commissioning.inspection import Inspected, inspect
from edge_agent.commissioning.sanity import Finding
from edge_agent.commissioning.words import tool_words
from edge_agent.config import GatewaySettings
from edge_agent.drivers.driver import Reading
from edge_agent.words import Words, words
from metering.clock import SystemClock
from metering.config_file import ConfigError
from metering.language import Language, language


def check(
    config_file: ConfigFile,
    live: Annotated[bool, typer.Option("--live", help="read every meter twice and judge what it says")] = False,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """Show every mistake of the configuration, or the plan; with --live ask every meter.

    Exit 1 if a meter gives no values; a suspicion alone is no failure.
    """
    spoken = language(lang)
    try:
        settings = config.load(config_file, spoken)
    except ConfigError as error:
        if json_wanted:
            print_json({"good": False, "mistakes": [asdict(one) for one in error.problems]})
        raise
    say = words(spoken)
    if not json_wanted:
        _print_plan(settings, say)
    if not live:
        if json_wanted:
            print_json({"good": True})
        else:
            typer.echo(say["checked"])
        return
    inspected = asyncio.run(inspect(settings, SystemClock()))
    good = sum(isinstance(one.answer.outcome, Reading) for one in inspected)
    if json_wanted:
        print_json({"good": good == len(inspected), "meters": [_as_json(one, say, spoken) for one in inspected]})
    else:
        for one in inspected:
            print_answer(one.answer, say)
            for text in told(one.findings, spoken):
                typer.echo(f"  ! {text}")
        typer.echo(say["live good"].format(good, len(inspected)))
    if good < len(inspected):
        raise typer.Exit(FAILED_LIVE)


def told(findings: list[Finding], lang: Language) -> list[str]:
    """Suspicions as sentences."""
    say = tool_words(lang)
    return [say[f"sanity {finding.key}"].format(*finding.blanks) for finding in findings]


def _print_plan(settings: GatewaySettings, say: Words) -> None:
    typer.echo(say["plan"].format(len(settings.meters), len(settings.buses), len(settings.groups)))
    for group in survey.plan_of(settings, SystemClock()):
        typer.echo(say["plan group"].format(group.group, group.every_s, group.meters, group.quantities))
        for bus, load in group.loads.items():
            cost = load.cost
            typer.echo(say["plan bus"].format(bus, load.meters, cost.requests, cost.registers, cost.line_s))
        typer.echo(say["plan message"].format(group.message_octets))
    for bus, share, speed in survey.bus_budgets(settings, SystemClock()):
        typer.echo(say["bus budget"].format(bus, share, speed))


def _as_json(one: Inspected, say: Words, lang: Language) -> dict[str, object]:
    texts = told(one.findings, lang)
    found = [{"key": finding.key, "text": text} for finding, text in zip(one.findings, texts, strict=True)]
    return as_json(one.answer, say) | {"suspicions": found}
