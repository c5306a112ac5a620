"""The command line: ``wattline-edge``. Exit codes: 0 good, 1 something failed live, 2 the configuration is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from edge_agent import app as gateway_app
from edge_agent import config, survey
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.registry import ProfileShelf
from edge_agent.errors import NoSpool
from edge_agent.spool.state import SpoolState, read_state
from edge_agent.words import Words, words
from metering.clock import Clock, SystemClock, clock_from
from metering.codec import epoch_text
from metering.errors import StopAndFix
from metering.log import set_up_log
from metering.quantity import QUANTITIES
from metering.round import Quality
from metering.settings import language

_FAILED_LIVE: Final = 1
_WRONG_CONFIG: Final = 2
_WRONG_MAP_CODES: Final = (1, 2, 3)
_NO_ANSWER_BEHIND: Final = (10, 11)
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    10: "gateway path unavailable",
    11: "target device failed to respond",
}

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Polls the meters of one gateway and publishes their rounds, losing none.",
)

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="gateway.yaml")]
Lang = Annotated[str | None, typer.Option("--lang", help="en or zh; default from LANG")]
Json = Annotated[bool, typer.Option("--json", help="for machines")]


@cli.command()
def run(
    config_file: ConfigFile,
    simulated_clock: Annotated[str | None, typer.Option(hidden=True, help="START/SPEED/SINCE")] = None,
    lang: Lang = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error")] = "info",
) -> None:
    """Poll and publish until SIGTERM."""
    clock = _clock(simulated_clock)
    if log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise typer.BadParameter(log_level, param_hint="--log-level")
    set_up_log(log_level)
    settings = config.load(config_file, language(lang))
    asyncio.run(gateway_app.run(settings, clock))


@cli.command()
def check(
    config_file: ConfigFile,
    live: Annotated[bool, typer.Option("--live", help="read every meter once")] = False,
    lang: Lang = None,
) -> None:
    """Show every mistake of the configuration, or the plan; with --live ask every meter."""
    spoken = language(lang)
    say = words(spoken)
    settings = config.load(config_file, spoken)
    typer.echo(say["plan"].format(len(settings.meters), len(settings.buses), len(settings.groups)))
    for group in survey.plan_of(settings, SystemClock()):
        typer.echo(say["plan group"].format(group.group, group.every_s, group.meters, group.quantities))
        for bus, load in group.loads.items():
            cost = load.cost
            typer.echo(say["plan bus"].format(bus, load.meters, cost.requests, cost.registers, cost.line_s))
        typer.echo(say["plan message"].format(group.message_octets))
    for bus, share, speed in survey.bus_budgets(settings, SystemClock()):
        typer.echo(say["bus budget"].format(bus, share, speed))
    if not live:
        typer.echo(say["checked"])
        return
    answers = asyncio.run(survey.ask(settings, SystemClock()))
    for answer in answers:
        _print_answer(answer, say)
    good = sum(isinstance(answer.outcome, Reading) for answer in answers)
    typer.echo(say["live good"].format(good, len(answers)))
    if good < len(answers):
        raise typer.Exit(_FAILED_LIVE)


@cli.command()
def probe(meter: str, config_file: ConfigFile, as_json: Json = False, lang: Lang = None) -> None:
    """Read one meter once and show everything its profile offers."""
    spoken = language(lang)
    say = words(spoken)
    settings = config.load(config_file, spoken)
    known = [one.id for one in settings.meters]
    if meter not in known:
        _complain(say["no meter"].format(meter, ", ".join(known)))
        raise typer.Exit(_WRONG_CONFIG)
    (answer,) = asyncio.run(survey.ask(settings, SystemClock(), meter))
    if as_json:
        typer.echo(json.dumps(_as_json(answer, say), ensure_ascii=False))
    else:
        _print_answer(answer, say)
    if isinstance(answer.outcome, ReadFailure):
        raise typer.Exit(_FAILED_LIVE)


@cli.command()
def status(config_file: ConfigFile, as_json: Json = False, lang: Lang = None) -> None:
    """Show how full the spool is; works while the agent runs."""
    spoken = language(lang)
    say = words(spoken)
    settings = config.load(config_file, spoken)
    try:
        state = read_state(settings.spool.path, settings.spool.max_size_mb * 1024 * 1024)
    except NoSpool as error:
        _complain(say["no spool"].format(error))
        raise typer.Exit(_FAILED_LIVE) from None
    age_s = _age_s(state)
    if as_json:
        typer.echo(json.dumps(asdict(state) | {"epoch": epoch_text(state.epoch), "oldest_unacknowledged_age_s": age_s}))
        return
    for key, value in (
        ("epoch", epoch_text(state.epoch)),
        ("oldest", state.oldest),
        ("next", state.next_seq),
        ("acknowledged", state.acknowledged),
        ("waiting", state.unacknowledged),
        ("age", "-" if age_s is None else f"{age_s:.0f}"),
        ("share", f"{state.share:.1%}"),
        ("evicted", state.evicted_rows),
    ):
        typer.echo(f"{say[f'status {key}']}: {value}")


@cli.command()
def profiles(as_json: Json = False, lang: Lang = None) -> None:
    """List the register maps that came with the program."""
    spoken = language(lang)
    say = words(spoken)
    shelf = ProfileShelf(lang=spoken)
    found = {name: shelf.profile(name) for name in shelf.names}
    if as_json:
        typer.echo(json.dumps({name: profile.model_dump(mode="json") for name, profile in found.items()}))
        return
    for name, profile in found.items():
        checked = say["checked on hardware"] if profile.checked_on_hardware else say["not checked"]
        typer.echo(f"{name}: {profile.manufacturer} {profile.model} ({checked})")
        typer.echo(f"  {profile.source}")
        typer.echo(f"  {', '.join(register.quantity for register in profile.registers)}")


def main() -> None:
    """Run the command; a mistake of the configuration is shown without a traceback."""
    try:
        cli()
    except StopAndFix as error:
        _complain(str(error))
        sys.exit(_WRONG_CONFIG)


def _clock(simulated: str | None) -> Clock:
    try:
        return clock_from(simulated)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--simulated-clock") from None


def _complain(text: str) -> None:
    typer.echo(text, err=True)


def _age_s(state: SpoolState) -> float | None:
    since = state.oldest_unacknowledged_at
    return None if since is None else max(0.0, time.time() - since / 1000)


def _print_answer(answer: survey.Answer, say: Words) -> None:
    outcome = answer.outcome
    if isinstance(outcome, ReadFailure):
        typer.echo(f"{answer.meter}: {_why(outcome, say)}")
        return
    typer.echo(f"{answer.meter}: {answer.elapsed_ms:.0f} ms")
    for name, value in outcome.values.items():
        quantity = QUANTITIES[name]
        shown = say["missing value"] if value is None else f"{value:.{quantity.decimals}f} {quantity.unit}".rstrip()
        typer.echo(f"  {name:26} {shown}")
    for doubt in _doubts(outcome, say):
        typer.echo(f"  ! {doubt}")


def _doubts(reading: Reading, say: Words) -> list[str]:
    """What looks like a wiring mistake."""
    doubts = []
    if (reading.values.get("active_power") or 0) < 0:
        doubts.append(say["suspicious"])
    dark = [name for name, value in reading.values.items() if name.startswith("voltage_l") and value == 0]
    if dark:
        doubts.append(say["no voltage"].format(", ".join(name[-2:].upper() for name in dark)))
    return doubts


def _why(failure: ReadFailure, say: Words) -> str:
    if failure.reason is not Reason.EXCEPTION or failure.code is None:
        return f"{say[failure.reason]} ({failure.detail})"
    hint = say["wrong map"] if failure.code in _WRONG_MAP_CODES else say["busy"]
    if failure.code in _NO_ANSWER_BEHIND:
        hint = say["silent"]
    return say["exception"].format(failure.code, _EXCEPTIONS.get(failure.code, "?"), hint)


def _as_json(answer: survey.Answer, say: Words) -> dict[str, object]:
    outcome = answer.outcome
    if isinstance(outcome, ReadFailure):
        reason = {"reason": outcome.reason, "code": outcome.code, "text": _why(outcome, say)}
        return {"meter": answer.meter, "values": {}, "failure": reason, "elapsed_ms": round(answer.elapsed_ms, 1)}
    bits = [bit.name for bit in Quality if bit in outcome.quality and bit.name]
    values = {
        name: {
            "value": value,
            "unit": QUANTITIES[name].unit,
            "quality": [bit.lower() for bit in bits],
            "measured_at": outcome.measured_at,
        }
        for name, value in outcome.values.items()
    }
    return {
        "meter": answer.meter,
        "values": values,
        "requests": outcome.requests,
        "elapsed_ms": round(answer.elapsed_ms, 1),
    }


if __name__ == "__main__":
    main()
