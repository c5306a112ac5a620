"""``wattline-collector``: run it, check its file, ask the store, look after the quarantine.

Exit status: 0 done, 1 it could not be done now, 2 the configuration is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from collector import app as application
from collector import determinants, inquiry, quarantine
from collector.backtest import backtest
from collector.config import ChecksSettings, Configuration, load, load_rules
from collector.engine.checkpoint import Checkpoint, read_sequence
from collector.events.event import iso
from collector.feeds_cli import cli as feeds_cli
from collector.memory import keep_freed_memory
from collector.store.store import Forecasts
from metering.config_file import ConfigError
from metering.control import encode_control
from metering.errors import StopAndFix, WattlineError
from metering.language import Language, language
from metering.log import set_up_log
from metering.quantity import QUANTITIES
from metering.round import Quality

_CONFIG = typer.Option("--config", "-c", help="The collector's YAML file.")
_JSON = typer.Option("--json", help="One JSON document instead of a table.")
_LANG = typer.Option("--lang", help="zh or en; by default that of the environment.")
_METER = typer.Argument(help="Only this meter.")
_SINCE = typer.Option("--since", help="First instant or day, for example 2026-06-18 or 2026-06-18T08:00+08:00.")
_UNTIL = typer.Option("--until", help="First instant or day after.")

ConfigPath = Annotated[Path, _CONFIG]
AsJson = Annotated[bool, _JSON]
Lang = Annotated[str | None, _LANG]
Meter = Annotated[str | None, _METER]
Since = Annotated[str | None, _SINCE]
Until = Annotated[str | None, _UNTIL]

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
query = typer.Typer(no_args_is_help=True, help="Ask the store: the same questions on InfluxDB and on SQLite.")
cli.add_typer(query, name="query")
cli.add_typer(feeds_cli)

_DEFAULT_CONFIG = Path("/etc/wattline/collector.yaml")
_FOREVER_MS = 9_000_000_000_000


def main() -> None:
    """Entry point: every expected error is one message, never a traceback."""
    try:
        cli()
    except ConfigError as error:
        _fail(str(error), 2)
    except StopAndFix as error:
        _fail(str(error), 2)
    except WattlineError as error:
        _fail(str(error), 1)


@cli.command()
def run(
    config: ConfigPath = _DEFAULT_CONFIG,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
    lang: Lang = None,
) -> None:
    """Receive, store and judge until SIGTERM."""
    configuration = load(config, _language(lang))
    set_up_log(log_level)
    keep_freed_memory()
    asyncio.run(application.serve(configuration))


@cli.command()
def check(config: ConfigPath = _DEFAULT_CONFIG, lang: Lang = None) -> None:
    """Read every file the collector would read, and say what is wrong with them."""
    configuration = load(config, _language(lang))
    registry = configuration.registry
    chinese = _language(lang) == "zh"
    summary = (
        f"{config}：正确；{len(registry.meters)} 块电表，{len(registry.sites)} 个站点，配置 {configuration.digest}"
        if chinese
        else f"{config}: correct; {len(registry.meters)} meters, {len(registry.sites)} sites, "
        f"configuration {configuration.digest}"
    )
    typer.echo(summary)


@cli.command()
def read(
    gateway: Annotated[str, typer.Argument(help="The gateway the meter is on.")],
    meter: Annotated[str, typer.Argument(help="The meter.")],
    config: ConfigPath = _DEFAULT_CONFIG,
    within: Annotated[float, typer.Option(help="Seconds to wait for the reply.", min=1, max=300)] = 30,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Read a meter now, through its gateway; the reply is shown, not stored."""
    configuration = load(config, _language(lang))
    reply = asyncio.run(inquiry.ask(configuration.settings.mqtt, gateway, meter, within))
    if as_json:
        typer.echo(encode_control(reply))
    elif not reply.failure:
        typer.echo(f"{iso(reply.measured_at)}  {reply.requests} requests, {reply.elapsed_ms:.0f} ms")
        for name, value in reply.values.items():
            unit = QUANTITIES[name].unit if name in QUANTITIES else ""
            typer.echo(f"  {name:26} {'-' if value is None else f'{value:g}'} {unit}".rstrip())
    if reply.failure:
        _fail(f"{meter}: {reply.failure} {reply.detail}".rstrip(), 1)


@query.command()
def latest(
    meter: Meter = None, config: ConfigPath = _DEFAULT_CONFIG, as_json: AsJson = False, lang: Lang = None
) -> None:
    """The newest reading of every meter."""
    configuration = load(config, _language(lang))
    rows = [
        {"meter": one.meter, "gateway": one.gateway, "measured_at": iso(one.measured_at), **one.values}
        | ({"origin": one.origin} if one.origin else {})
        for one in configuration.queries().latest(meter)
    ]
    shown = ("meter", "measured_at", "active_power", "voltage_l1", "current_l1", "active_energy_import")
    _show(rows, (*shown, *(["origin"] if any("origin" in row for row in rows) else [])), as_json, configuration)


@query.command("meter-events")
def meter_events(
    meter: Meter = None,
    config: ConfigPath = _DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Entries of meters' own event logs, oldest first, by the clocks of the meters."""
    configuration = load(config, _language(lang))
    rows = [
        {
            "at": iso(one.at),
            "meter": one.meter,
            "gateway": one.gateway,
            "event": one.event,
            "quality": "|".join(bit.name or "" for bit in Quality(one.quality)) or None,
        }
        for one in configuration.queries().meter_events(*_span(configuration, since, until), meter)
    ]
    _show(rows, ("at", "meter", "event", "quality"), as_json, configuration)


@query.command("load-curve")
def load_curve(
    meter: Annotated[str, typer.Argument(help="The meter.")],
    config: ConfigPath = _DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    step: Annotated[int, typer.Option(help="Minutes per interval.", min=1, max=1440)] = 15,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Active power of one meter: mean, lowest and highest of each interval, kW."""
    configuration = load(config, _language(lang))
    span = _span(configuration, since, until)
    points = configuration.queries().load_curve(meter, *span, step * 60_000)
    rows = [{**asdict(point), "at": iso(point.at)} for point in points]
    _show(rows, ("at", "mean_kw", "lowest_kw", "highest_kw", "readings"), as_json, configuration)


@query.command()
def energy(
    meter: Meter = None,
    config: ConfigPath = _DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Energy by local day and tariff period 尖峰平谷 (kWh), with the highest 15-minute demand (kW)."""
    configuration = load(config, _language(lang))
    rows = determinants.energy_rows(configuration, _span(configuration, since, until), meter)
    shown = ("meter", "day", "sharp", "peak", "flat", "valley", "total", "maximum_demand_kw", "coverage")
    _show(rows, shown, as_json, configuration)


@query.command()
def months(
    meter: Meter = None,
    config: ConfigPath = _DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Billing months that start in the span: energy, night share, power factor, demand; the running one too."""
    configuration = load(config, _language(lang))
    found = determinants.months(configuration, _span(configuration, since, until), meter)
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
    _show(rows, (*shown, "running", "revision"), as_json, configuration)


@query.command("load-blocks")
def load_blocks(
    meter: Annotated[str, typer.Argument(help="The meter.")],
    config: ConfigPath = _DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Energy of one meter by quarters of an hour, from its registers (kWh, kvarh)."""
    configuration = load(config, _language(lang))
    rows = determinants.load_block_rows(configuration, meter, _span(configuration, since, until))
    shown = ("at", "import_kwh", "export_kwh", "import_kvarh", "covered", "estimated")
    _show(rows, shown, as_json, configuration)


@query.command()
def forecast(
    meter: Annotated[str, typer.Argument(help="The meter.")],
    config: ConfigPath = _DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    month: Annotated[bool, typer.Option("--month", help="Billing months: energy and demand at their end.")] = False,
    curve: Annotated[bool, typer.Option("--curve", help="The load curve, by quarters of an hour.")] = False,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """What is expected of one meter: its last forecast day, or those that start in a span; 80 % and 95 % intervals."""
    configuration = load(config, _language(lang))
    span = None if since is None and until is None else _span(configuration, since, until)
    kind: Forecasts = "forecast_month" if month else "forecast_block" if curve else "forecast_day"
    rows = determinants.forecast_rows(configuration, kind, meter, span)
    _show(rows, determinants.FORECAST_SHOWN[kind], as_json, configuration)
    if not as_json and any(row.get("known") is False for row in rows):
        chinese = _language(lang) == "zh"
        typer.echo("known False：干净的历史太短，不作预测" if chinese else "known False: too short a clean past to say")


@query.command()
def events(
    meter: Meter = None,
    config: ConfigPath = _DEFAULT_CONFIG,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind, for example current_loss.")] = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Events with their evidence, oldest first."""
    configuration = load(config, _language(lang))
    found = configuration.queries().events(*_span(configuration, since, until), meter, kind)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    for event in found:
        data = event["data"]
        time = _cell(event["time"], _zone(configuration))
        typer.echo(f"{time}  {data['meter']}  {data['kind']} {data['lifecycle']}  score {data['score']:.2f}")
        typer.echo(f"    {data['evidence']['sentence'][_language(lang)]}")
    if not found:
        typer.echo("-")


@query.command()
def sequence(config: ConfigPath = _DEFAULT_CONFIG, as_json: AsJson = False, lang: Lang = None) -> None:
    """How far each gateway's rounds are committed, and what was lost."""
    configuration = load(config, _language(lang))
    rows = read_sequence(configuration.state)
    _show(rows, ("gateway", "epoch", "seq", "rounds", "rounds_lost", "rows_lost", "skipped"), as_json, configuration)


@cli.command("quarantine")
def list_quarantine(config: ConfigPath = _DEFAULT_CONFIG, as_json: AsJson = False, lang: Lang = None) -> None:
    """What was acknowledged but not stored, and why."""
    configuration = load(config, _language(lang))
    checkpoint = Checkpoint(configuration.state)
    try:
        rows = [
            {
                "n": one.n,
                "kind": one.refused.kind,
                "origin": one.refused.origin,
                "first_at": iso(one.first_at),
                "times": one.times,
                "bytes": len(one.refused.payload),
                "reason": one.refused.reason,
            }
            for one in checkpoint.quarantined()
        ]
    finally:
        checkpoint.close()
    _show(rows, ("n", "kind", "origin", "first_at", "times", "bytes", "reason"), as_json, configuration)


@cli.command()
def replay(config: ConfigPath = _DEFAULT_CONFIG, lang: Lang = None) -> None:
    """Try to store what the quarantine holds; what is stored leaves it."""
    configuration = load(config, _language(lang))
    stored, left = asyncio.run(quarantine.replay(configuration))
    typer.echo(f"{stored} stored, {left} still refused")
    if left:
        raise typer.Exit(1)


@cli.command("backtest")
def run_backtest(
    readings: Annotated[Path, typer.Option(help="Readings: .csv, .csv.gz or .parquet.")],
    registry: Annotated[Path, typer.Option(help="Registry of sites, feeders and meters.")],
    events: Annotated[Path | None, typer.Option(help="Write events here, one CloudEvent a line.")] = None,
    determinants: Annotated[Path | None, typer.Option(help="Write energy by day and period here, CSV.")] = None,
    scores: Annotated[Path | None, typer.Option(help="Write scores by meter and day here, CSV.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Collector's file: its limits and tariffs instead of the defaults."),
    ] = None,
    lang: Lang = None,
) -> None:
    """Run readings of a file through the same engine as live ones.

    The file has the header measured_at,meter_id, then names of quantities, and may have meter_events.
    """
    said = _language(lang)
    limits, tariffs = ChecksSettings(), None
    if config is not None:
        known = load(config, said)
        limits, tariffs = known.rules.limits, known.settings.tariffs and known.folder / known.settings.tariffs
    rules = load_rules(registry, tariffs, limits, said)
    keep_freed_memory()
    with _progress() as progress:
        summary = backtest.backtest(rules, readings, backtest.Wanted(events, determinants, scores), progress)
    for line in (*summary.hints, *(f"switched off: {one}" for one in summary.switched_off)):
        typer.echo(line, err=True)
    if summary.unregistered:
        names = ", ".join(summary.unregistered[:5]) + (" …" if len(summary.unregistered) > 5 else "")  # noqa: PLR2004
        typer.echo(f"{len(summary.unregistered)} meters are not registered and were not judged: {names}", err=True)
    typer.echo(f"{summary.rows} readings of {summary.meters} meters, {summary.days} days")
    for kind, count in sorted(summary.found.items()):
        typer.echo(f"  {kind:24} {count}")


@contextlib.contextmanager
def _progress() -> Iterator[backtest.Progress]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description:18}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(what: str, done: int, whole: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=whole)
            bar.update(tasks[what], completed=done)

        yield advance


def _span(configuration: Configuration, since: str | None, until: str | None) -> tuple[int, int]:
    """Instants in ms; a day means its midnight at the (first) site."""
    zone = _zone(configuration)
    return _instant(since, zone, 0), _instant(until, zone, _FOREVER_MS)


def _zone(configuration: Configuration) -> ZoneInfo:
    """The zone of the (first) site."""
    site = next(iter(configuration.registry.sites.values()), None)
    return ZoneInfo(site.timezone if site else "UTC")


def _instant(text: str | None, zone: ZoneInfo, default: int) -> int:
    if text is None:
        return default
    if text in ("today", "yesterday"):
        today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        moment = today - timedelta(days=text == "yesterday")
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise StopAndFix(f"{text!r} is no instant → write 2026-06-18 or 2026-06-18T08:00+08:00") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
    return round(moment.astimezone(UTC).timestamp() * 1000)


def _show(
    rows: Sequence[Mapping[str, Any]], columns: Iterable[str], as_json: bool, configuration: Configuration
) -> None:
    if as_json:
        typer.echo(json.dumps(list(rows), ensure_ascii=False))
        return
    names, zone = list(columns), _zone(configuration)
    cells = [[_cell(row.get(name), zone) for name in names] for row in rows]
    widths = [max([len(name)] + [len(row[i]) for row in cells]) for i, name in enumerate(names)]
    typer.echo("  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip())
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any, zone: ZoneInfo) -> str:
    if value is None:
        return "-"
    if isinstance(value, str) and value.endswith("Z") and "T" in value:  # people read local time, machines UTC
        return datetime.fromisoformat(value).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _language(lang: str | None) -> Language:
    return language(lang)


def _fail(text: str, status: int) -> NoReturn:
    print(text, file=sys.stderr)  # noqa: T201 - the message is what the user asked for
    raise SystemExit(status)


if __name__ == "__main__":
    main()
