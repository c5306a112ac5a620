"""``wattline-edge status``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import typer

from edge_agent import config
from edge_agent.commands.answers import bits, iso, local_minute
from edge_agent.commands.options import FAILED_LIVE, ConfigFile, Json, Lang, complain, print_json
from edge_agent.commands.run import clock_of
from edge_agent.commissioning.meter_success import MeterSuccess, group_ticks, meter_success
from edge_agent.commissioning.verdict import Health, age_text, concerns
from edge_agent.commissioning.words import tool_words
from edge_agent.config import GatewaySettings
from edge_agent.errors import NoSpool
from edge_agent.polling.care import missing_mark
from edge_agent.polling.missing import Missing
from edge_agent.spool.look import marks_of, rounds_since
from edge_agent.spool.state import SpoolState, read_state
from edge_agent.words import Words, words
from metering.language import language
from metering.message import epoch_text
from metering.round import Origin

_LOOK_BACK_MS: Final = 3_600_000


def status(
    config_file: ConfigFile,
    json_wanted: Json = False,
    lang: Lang = None,
    simulated_clock: Annotated[str | None, typer.Option(hidden=True, help="START/SPEED/SINCE")] = None,
) -> None:
    """Say whether all is well, how each meter was read in the last hour, and how full the spool is.

    Works while the agent runs. Exit 1 if there is something to look at.
    """
    spoken = language(lang)
    settings = config.load(config_file, spoken)
    try:
        health = _health(settings, clock_of(simulated_clock).now_ms())
        missing = _missing(settings)
    except NoSpool as error:
        text = words(spoken)["no spool"].format(error)
        complain(text)
        if json_wanted:
            print_json({"good": False, "concerns": [text]})
        raise typer.Exit(FAILED_LIVE) from None
    say = tool_words(spoken)
    found = concerns(health, say)
    if json_wanted:
        print_json(_as_json(health, found, missing))
    else:
        _print(health, found, missing, say, words(spoken))
    if found:
        raise typer.Exit(FAILED_LIVE)


def _health(settings: GatewaySettings, now_ms: int) -> Health:
    path = settings.spool.path
    state = read_state(path, settings.spool.max_size_mb * 1024 * 1024)
    periods = [group.period_ms for group in settings.groups]
    back_ms = max(_LOOK_BACK_MS, 2 * max(periods))
    polled = {group.id for group in settings.groups}
    since = rounds_since(path, now_ms - back_ms)
    rounds = [one for _, one in since if one.origin is Origin.LIVE and one.group in polled]
    return Health(
        now_ms, state, meter_success(rounds, (meter.id for meter in settings.meters)), group_ticks(rounds), max(periods)
    )


def _missing(settings: GatewaySettings) -> dict[str, tuple[int, int]]:
    """Meter → from when to when (ms) something is missing, as the agent wrote it down last."""
    marks = marks_of(settings.spool.path)
    spans = {meter.id: Missing.of(marks.get(missing_mark(meter.id), "")).span() for meter in settings.meters}
    return {meter: span for meter, span in spans.items() if span is not None}


def _print(health: Health, found: list[str], missing: dict[str, tuple[int, int]], say: Words, spool_say: Words) -> None:
    if found:
        for one in found:
            typer.echo(say["look"].format(one))
    else:
        age = age_text(health.last_round_age_ms or 0)
        typer.echo(say["good"].format(len(health.meters), len(health.meters), age))
    typer.echo(f"{say['meter']:20} {say['success']:>7} {say['last good']:>10}  {say['why']}")
    for meter in health.meters:
        share = "-" if meter.share is None else f"{meter.share:.1%}"
        age = say["never"] if meter.last_good_at is None else age_text(max(0, health.now_ms - meter.last_good_at))
        typer.echo(f"{meter.meter:20} {share:>7} {age:>10}  {_why(meter)}".rstrip())
    for group in health.groups:
        typer.echo(say["group"].format(group.group, group.ticks, group.missed))
    for (since, until), meters in _by_span(missing).items():
        typer.echo(say["read back"].format(since, until, ", ".join(meters)))
    for key, value in _spool_lines(health.state, health.now_ms):
        typer.echo(f"{spool_say[f'status {key}']}: {value}")


def _by_span(missing: dict[str, tuple[int, int]]) -> dict[tuple[str, str], list[str]]:
    """Spans as people read them, each with its meters: most outages are the gateway's, and all have the same."""
    found: dict[tuple[str, str], list[str]] = {}
    for meter, (since, until) in missing.items():
        found.setdefault((local_minute(since), local_minute(until)), []).append(meter)
    return found


def _why(meter: MeterSuccess) -> str:
    reasons = [] if meter.reason is None else bits(meter.reason)
    return ", ".join([*reasons, *bits(meter.doubts)])


def _spool_lines(state: SpoolState, now_ms: int) -> list[tuple[str, object]]:
    age_s = _age_s(state, now_ms)
    return [
        ("epoch", epoch_text(state.epoch)),
        ("oldest", state.oldest),
        ("next", state.next_seq),
        ("acknowledged", state.acknowledged),
        ("waiting", state.unacknowledged),
        ("age", "-" if age_s is None else f"{age_s:.0f}"),
        ("share", f"{state.share:.1%}"),
        ("evicted", state.evicted_rows),
    ]


def _age_s(state: SpoolState, now_ms: int) -> float | None:
    since = state.oldest_unacknowledged_at
    return None if since is None else max(0.0, (now_ms - since) / 1000)


def _as_json(health: Health, found: list[str], missing: dict[str, tuple[int, int]]) -> dict[str, object]:
    state = health.state
    meters = {
        meter.meter: {
            "good": meter.good,
            "bad": meter.bad,
            "share": None if meter.share is None else round(meter.share, 4),
            "failing": meter.failing,
            "last_good_at": None if meter.last_good_at is None else iso(meter.last_good_at),
            "failures": {bits(bit)[0]: count for bit, count in meter.failures.most_common()},
            "doubts": bits(meter.doubts),
            "clock_off": meter.clock_off,
        }
        for meter in health.meters
    }
    groups = {group.group: {"ticks": group.ticks, "missed": group.missed} for group in health.groups}
    spool = asdict(state) | {
        "epoch": epoch_text(state.epoch),
        "oldest_unacknowledged_age_s": _age_s(state, health.now_ms),
    }
    back = {meter: {"since": iso(since), "until": iso(until)} for meter, (since, until) in missing.items()}
    about = {"good": not found, "concerns": found, "meters": meters, "groups": groups, "reading_back": back}
    return about | spool
