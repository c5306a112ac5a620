"""``wattline-sim``: serve simulated meters, write the files for them, show the whole stack, write months of history."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
import yaml
from pydantic import BaseModel

from metering.clock import Clock, SimulatedClock, SystemClock
from metering.config_file import load_file
from metering.errors import BackOff, StopAndFix
from metering.language import Language, language
from metering.settings_schema import write_schemas
from simulators.companions import Services, claim, write_companions, write_keys
from simulators.consumers.cli import app as consumers
from simulators.demo import Demonstration, Outcome, prepare
from simulators.history.files import write_history
from simulators.history.metering import History
from simulators.history.scenarios import SCENARIOS
from simulators.history.span import parse_span
from simulators.park import Park, expand
from simulators.park_server import serving
from simulators.park_settings import LineType, ParkSettings, Security, check_park
from simulators.stack import Stack, free_port

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Simulated meters for Wattline."
)

app.add_typer(consumers, name="consumers")

MODELS: Final[dict[str, type[BaseModel]]] = {"park": ParkSettings}
"""The kinds of YAML file that the simulators read."""

ParkFile = Annotated[Path | None, typer.Option("--park", help="Park file; without it, the park of the demo.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Another seed than that of the file.", min=0)]
Lang = Annotated[Literal["zh", "en"] | None, typer.Option("--lang", help="Language; default from LANG.")]


def main() -> None:
    """Run the command line; a mistake of configuration is told without a traceback."""
    try:
        app()
    except StopAndFix as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None


@app.command()
def run(
    park: Annotated[Path, typer.Argument(help="Park file.")],
    seed: Seed = None,
    speed: Annotated[float | None, typer.Option(help="How fast simulated time runs.", min=0.001)] = None,
    port: Annotated[int | None, typer.Option(help="Port of the first endpoint.", min=1, max=65535)] = None,
    simulated_clock: Annotated[
        str | None, typer.Option(help="START/SPEED/SINCE: share the clock of another program.")
    ] = None,
    lang: Lang = None,
) -> None:
    """Serve a park until SIGTERM or Ctrl-C; the keys of its DLMS meters are written beside the file."""
    changes = {"seed": seed, "speed": speed, "port": port}
    settings = _settings(park, language(lang), changes)
    if speed is not None and settings.start is None and simulated_clock is None:
        raise StopAndFix(f"{park}: --speed needs a simulated 'start' in the park file")
    expanded = expand(settings, datetime.now(UTC))
    try:
        clock = _clock(expanded, simulated_clock)
    except ValueError as error:
        raise StopAndFix(f"--simulated-clock: {error}") from error
    _serve_until_stopped(expanded, clock, park.parent, str(park))


@app.command()
def meter(
    folder: Annotated[Path, typer.Argument(help="Where to write park.yaml, gateway.yaml and keys.")],
    line: Annotated[LineType, typer.Option(help="What the meter speaks, as in gateway.yaml.")] = "dlms_tcp",
    security: Annotated[Security, typer.Option(help="How a DLMS meter is asked.")] = "gmac",
    port: Annotated[int, typer.Option(help="TCP port; a serial port is linked as FOLDER/line-1.", min=1)] = 4059,
    baudrate: Annotated[int, typer.Option(help="Of a serial line.")] = 9600,
    seed: Seed = None,
    lang: Lang = None,
) -> None:
    """Serve one meter in real time until SIGTERM or Ctrl-C, with a gateway.yaml that reads it."""
    wanted: dict[str, object] = {
        "lines": [{"line": line, "security": security, "baudrate": baudrate}],
        "port": port,
        "trades": {"retail": 1},
    }
    claim(folder)
    path = folder / "park.yaml"
    path.write_text(yaml.safe_dump(wanted | ({} if seed is None else {"seed": seed})), encoding="utf-8")
    expanded = expand(_settings(path, language(lang), {}), datetime.now(UTC))
    write_companions(expanded, folder, Services())
    typer.echo(f"wattline-edge probe {expanded.meters[0].meter.name} -c {folder / 'gateway.yaml'}")
    _serve_until_stopped(expanded, SystemClock(), folder, str(folder))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write the files.")],
    park: ParkFile = None,
    seed: Seed = None,
    port: Annotated[int | None, typer.Option(help="Port of the first endpoint.", min=1, max=65535)] = None,
    mqtt_port: Annotated[int, typer.Option(help="Port of the MQTT broker.", min=1, max=65535)] = 1883,
    protocol: Annotated[Literal["5", "3.1.1"], typer.Option(help="MQTT version of the broker.")] = "5",
    influx: Annotated[str | None, typer.Option(help="URL of an InfluxDB 1.x; without it, SQLite.")] = None,
    lang: Lang = None,
) -> None:
    """Write park.yaml, gateway.yaml, registry.yaml, collector.yaml, truth.jsonl, and the keys of DLMS meters."""
    changes = {"seed": seed, "port": port}
    settings = demo_settings(language(lang), changes) if park is None else _settings(park, language(lang), changes)
    expanded = expand(settings, datetime.now(UTC))
    claim(folder)
    write_companions(expanded, folder, Services(mqtt_port=mqtt_port, protocol=protocol, influx_url=influx))
    typer.echo(f"{folder}: park.yaml gateway.yaml registry.yaml collector.yaml truth.jsonl")
    typer.echo(f"wattline-sim run {folder / 'park.yaml'}")


@app.command()
def schema(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    readme: Annotated[Path | None, typer.Option(help="Markdown file whose option tables are written anew.")] = None,
) -> None:
    """Write the JSON Schema of park files, for editors."""
    for path in write_schemas(out, MODELS, readme):
        typer.echo(str(path))


@app.command()
def history(
    out: Annotated[Path, typer.Option(help="New or empty folder for the three files.")],
    meters: Annotated[int, typer.Option(help="Customers; master meters come on top.", min=1, max=100_000)] = 600,
    days: Annotated[int, typer.Option(help="Local days.", min=7, max=3660)] = 112,
    seed: Annotated[int, typer.Option(help="All randomness comes from here.", min=0, max=2**32 - 1)] = 1,
    step: Annotated[str, typer.Option(help="Time between two readings: 1min … 60min.")] = "15min",
    start: Annotated[str, typer.Option(help="First local date.")] = "2026-03-01",
    form: Annotated[Literal["csv", "csv.gz", "parquet"], typer.Option("--format", help="Of the readings.")] = "csv.gz",
    quantities: Annotated[
        Literal["energy", "electrical"], typer.Option(help="Power and active registers, or all 15.")
    ] = "electrical",
) -> None:
    """Write months of readings of a town, its registry, and the truth about every meter, to judge rules by.

    Attacks and faults are simulated: a rule that finds them does what it says. That is no figure from the field.
    """
    made = History(seed, meters, parse_span(start, days, step))
    path = write_history(made, out, form, quantities)
    incidents = Counter(SCENARIOS[one.scenario].of for one in made.incidents)
    typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB, {len(made.names)} meters, {days} days")
    typer.echo(f"{out / 'registry.yaml'}  what the utility knows")
    typer.echo(f"{out / 'truth.jsonl'}  " + ", ".join(f"{n} {name}" for name, n in sorted(incidents.items())))


@app.command()
def demo(
    for_s: Annotated[float, typer.Option("--for", help="How many seconds to watch.", min=5, max=3600)] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
    stack: Annotated[Literal["embedded", "servers"], typer.Option(help="Without or with installed servers.")] = (
        "embedded"
    ),
    seed: Seed = None,
    folder: Annotated[Path, typer.Option(help="Where everything is kept; emptied first.")] = Path("demo"),
    lang: Lang = None,
) -> None:
    """Show the whole chain at work: meters, edge agent, broker, collector, findings."""
    spoken = language(lang)
    prepare(folder)
    settings = demo_settings(spoken, {"seed": seed})
    endpoints = len(expand(settings, datetime.now(UTC)).ports)
    park = expand(settings.model_copy(update={"port": free_port(endpoints)}), datetime.now(UTC))
    try:
        outcome = asyncio.run(_demonstrate(park, Stack(folder, stack), spoken, for_s))
    except BackOff as error:
        raise StopAndFix(f"{folder}: the broker was lost: {error}") from error
    if as_json:
        typer.echo(outcome.as_json())


async def _demonstrate(park: Park, stack: Stack, lang: Language, for_s: float) -> Outcome:
    demonstration = Demonstration(park, stack, lang, typer.echo)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, demonstration.interrupted.set)
    async with stack:
        return await demonstration.run(for_s)


def demo_settings(lang: Language, changes: Mapping[str, object] | None = None) -> ParkSettings:
    """The park of the demonstration."""
    with as_file(files("simulators") / "demo_park.yaml") as path:
        return _settings(path, lang, changes or {})


def _settings(path: Path, lang: Language, changes: Mapping[str, object]) -> ParkSettings:
    settings = load_file(path, ParkSettings, lang, check_park)
    return settings.model_copy(update={key: value for key, value in changes.items() if value is not None})


def _clock(park: Park, shared: str | None) -> Clock:
    if shared is not None:
        return SimulatedClock.parse(shared)
    if park.settings.start is None:
        return SystemClock()
    return SimulatedClock(park.start_ms, park.settings.speed, time.time_ns() // 1_000_000)


def _serve_until_stopped(park: Park, clock: Clock, folder: Path, where: str) -> None:
    """Serve it.

    Raises:
        StopAndFix: a port is taken, or a file cannot be written or read.
    """
    try:
        write_keys(park, folder)
        asyncio.run(_serve(park, clock, folder))
    except (OSError, OverflowError) as error:  # the latter of a port beyond the last
        raise StopAndFix(
            f"{where}: cannot listen on {park.settings.port} or a port after it: {error} → try --port"
        ) from error


async def _serve(park: Park, clock: Clock, folder: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(park, clock, folder) as servers:
        for n, server in enumerate(servers):
            units = ", ".join(f"{one.meter.name}={one.unit}" for one in park.meters if one.endpoint == n)
            typer.echo(f"{park.line(n).line} {server.place} {units}")
        if isinstance(clock, SimulatedClock):
            typer.echo(f"simulated clock {clock}")
        await stop.wait()
        typer.echo(f"served {sum(server.requests_total for server in servers)} requests")
