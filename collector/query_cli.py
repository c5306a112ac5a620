"""``wattline-collector query``: the same questions on InfluxDB and on SQLite."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from collector import determinants
from collector.config import load
from collector.engine.checkpoint import read_sequence
from collector.events.event import iso
from collector.options import DEFAULT_CONFIG, AsJson, ConfigPath, Lang, Meter, Since, Until
from collector.showing import cell, show
from collector.span import span_of, zone_of
from collector.store.store import Forecasts
from metering.language import language
from metering.round import Quality

query = typer.Typer(no_args_is_help=True, help="Ask the store: the same questions on InfluxDB and on SQLite.")


@query.command()
def latest(
    meter: Meter = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, lang: Lang = None
) -> None:
    """The newest reading of every meter."""
    configuration = load(config, language(lang))
    rows = [
        {"meter": one.meter, "gateway": one.gateway, "measured_at": iso(one.measured_at), **one.values}
        | ({"origin": one.origin} if one.origin else {})
        for one in configuration.queries().latest(meter)
    ]
    shown = ("meter", "measured_at", "active_power", "voltage_l1", "current_l1", "active_energy_import")
    show(rows, (*shown, *(["origin"] if any("origin" in row for row in rows) else [])), as_json, configuration)


@query.command("meter-events")
def meter_events(
    meter: Meter = None,
    config: ConfigPath = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Entries of meters' own event logs, oldest first, by the clocks of the meters."""
    configuration = load(config, language(lang))
    rows = [
        {
            "at": iso(one.at),
            "meter": one.meter,
            "gateway": one.gateway,
            "event": one.event,
            "quality": "|".join(bit.name or "" for bit in Quality(one.quality)) or None,
        }
        for one in configuration.queries().meter_events(*span_of(configuration, since, until), meter)
    ]
    show(rows, ("at", "meter", "event", "quality"), as_json, configuration)


@query.command("load-curve")
def load_curve(
    meter: Annotated[str, typer.Argument(help="The meter.")],
    config: ConfigPath = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    step: Annotated[int, typer.Option(help="Minutes per interval.", min=1, max=1440)] = 15,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Active power of one meter: mean, lowest and highest of each interval, kW."""
    configuration = load(config, language(lang))
    span = span_of(configuration, since, until)
    points = configuration.queries().load_curve(meter, *span, step * 60_000)
    rows = [{**asdict(point), "at": iso(point.at)} for point in points]
    show(rows, ("at", "mean_kw", "lowest_kw", "highest_kw", "readings"), as_json, configuration)


@query.command()
def energy(
    meter: Meter = None,
    config: ConfigPath = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Energy by local day and tariff period 尖峰平谷 (kWh), with the highest 15-minute demand (kW)."""
    configuration = load(config, language(lang))
    rows = determinants.energy_rows(configuration, span_of(configuration, since, until), meter)
    shown = ("meter", "day", "sharp", "peak", "flat", "valley", "total", "maximum_demand_kw", "coverage")
    show(rows, shown, as_json, configuration)


@query.command()
def months(
    meter: Meter = None,
    config: ConfigPath = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Billing months that start in the span: energy, night share, power factor, demand; the running one too."""
    configuration = load(config, language(lang))
    found = determinants.months(configuration, span_of(configuration, since, until), meter)
    rows = [one.model_dump(mode="json") for one in found]
    shown = (
        "meter",
        "month",
        "total_kwh",
        "valley_kwh",
        "night_share",
        "power_factor",
        "maximum_demand_kw",
        "complete",
    )
    show(rows, (*shown, "running", "revision"), as_json, configuration)


@query.command("load-blocks")
def load_blocks(
    meter: Annotated[str, typer.Argument(help="The meter.")],
    config: ConfigPath = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Energy of one meter by quarters of an hour, from its registers (kWh, kvarh)."""
    configuration = load(config, language(lang))
    rows = determinants.load_block_rows(configuration, meter, span_of(configuration, since, until))
    shown = ("at", "import_kwh", "export_kwh", "import_kvarh", "covered", "estimated")
    show(rows, shown, as_json, configuration)


@query.command()
def forecast(
    meter: Annotated[str, typer.Argument(help="The meter.")],
    config: ConfigPath = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    month: Annotated[bool, typer.Option("--month", help="Billing months: energy and demand at their end.")] = False,
    curve: Annotated[bool, typer.Option("--curve", help="The load curve, by quarters of an hour.")] = False,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """What is expected of one meter: its last forecast day, or those that start in a span; 80 % and 95 % intervals."""
    configuration = load(config, language(lang))
    span = None if since is None and until is None else span_of(configuration, since, until)
    kind: Forecasts = "forecast_month" if month else "forecast_block" if curve else "forecast_day"
    rows = determinants.forecast_rows(configuration, kind, meter, span)
    show(rows, determinants.FORECAST_SHOWN[kind], as_json, configuration)
    if not as_json and any(row.get("known") is False for row in rows):
        chinese = language(lang) == "zh"
        typer.echo("known False：干净的历史太短，不作预测" if chinese else "known False: too short a clean past to say")


@query.command()
def events(
    meter: Meter = None,
    config: ConfigPath = DEFAULT_CONFIG,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind, for example current_loss.")] = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Events with their evidence, oldest first."""
    configuration = load(config, language(lang))
    found = configuration.queries().events(*span_of(configuration, since, until), meter, kind)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    for event in found:
        data = event["data"]
        time = cell(event["time"], zone_of(configuration))
        typer.echo(f"{time}  {data['meter']}  {data['kind']} {data['lifecycle']}  score {data['score']:.2f}")
        typer.echo(f"    {data['evidence']['sentence'][language(lang)]}")
    if not found:
        typer.echo("-")


@query.command()
def sequence(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, lang: Lang = None) -> None:
    """How far each gateway's rounds are committed, and what was lost."""
    configuration = load(config, language(lang))
    rows = read_sequence(configuration.state)
    show(rows, ("gateway", "epoch", "seq", "rounds", "rounds_lost", "rows_lost", "skipped"), as_json, configuration)
