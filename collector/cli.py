"""``wattline-collector``: run it, check its file, ask the store, look after the quarantine.

Exit status: 0 done, 1 it could not be done now, 2 the configuration is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from collector import app as application
from collector import inquiry, quarantine
from collector.backtest import backtest
from collector.config import ChecksSettings, load, load_rules
from collector.engine.checkpoint import Checkpoint
from collector.events.event import iso
from collector.feeds_cli import cli as feeds_cli
from collector.memory import keep_freed_memory
from collector.options import DEFAULT_CONFIG, AsJson, ConfigPath, Lang
from collector.query_cli import query
from collector.showing import show
from metering.control import encode_control
from metering.errors import StopAndFix, WattlineError
from metering.language import language
from metering.log import set_up_log
from metering.quantity import QUANTITIES

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
cli.add_typer(query, name="query")
cli.add_typer(feeds_cli)


def main() -> None:
    """Entry point: every expected error is one message, never a traceback."""
    try:
        cli()
    except StopAndFix as error:
        _fail(str(error), 2)
    except WattlineError as error:
        _fail(str(error), 1)


@cli.command()
def run(
    config: ConfigPath = DEFAULT_CONFIG,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
    lang: Lang = None,
) -> None:
    """Receive, store and judge until SIGTERM."""
    configuration = load(config, language(lang))
    set_up_log(log_level)
    keep_freed_memory()
    asyncio.run(application.serve(configuration))


@cli.command()
def check(config: ConfigPath = DEFAULT_CONFIG, lang: Lang = None) -> None:
    """Read every file the collector would read, and say what is wrong with them."""
    configuration = load(config, language(lang))
    registry = configuration.registry
    chinese = language(lang) == "zh"
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
    config: ConfigPath = DEFAULT_CONFIG,
    within: Annotated[float, typer.Option(help="Seconds to wait for the reply.", min=1, max=300)] = 30,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Read a meter now, through its gateway; the reply is shown, not stored.

    Where the broker makes client ids of certificates, --config names a file with another one than the collector's:
    with the same one it would take the running collector's place.
    """
    configuration = load(config, language(lang))
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


@cli.command("quarantine")
def list_quarantine(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, lang: Lang = None) -> None:
    """What was acknowledged but not stored, and why."""
    configuration = load(config, language(lang))
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
    show(rows, ("n", "kind", "origin", "first_at", "times", "bytes", "reason"), as_json, configuration)


@cli.command()
def replay(config: ConfigPath = DEFAULT_CONFIG, lang: Lang = None) -> None:
    """Try to store what the quarantine holds; what is stored leaves it."""
    configuration = load(config, language(lang))
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
    said = language(lang)
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


def _fail(text: str, status: int) -> NoReturn:
    print(text, file=sys.stderr)  # noqa: T201 - the message is what the user asked for
    raise SystemExit(status)


if __name__ == "__main__":
    main()
