"""``wattline-edge scan PORT|HOST[:PORT]``."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edge_agent.commands.answers import why
from edge_agent.commands.options import DEFAULT_CONFIG, FAILED_LIVE, Json, Lang, complain, print_json
from edge_agent.commissioning.guess import Guess, candidates
from edge_agent.commissioning.line_address import Parity, address_of, line_of, units_of
from edge_agent.commissioning.running_agent import bus_in_use
from edge_agent.commissioning.scan import FoundUnit, Scan
from edge_agent.commissioning.words import tool_words
from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings, ModbusRtuSettings, ModbusRtuTcpSettings
from edge_agent.drivers.registry import ProfileShelf
from edge_agent.words import Words, words
from metering.clock import SystemClock
from metering.settings import Language, language

_PLAIN_EVERY_S: Final = 5.0
_MORE: Final = 3  # candidates that are named


def scan(
    line: Annotated[str, typer.Argument(help="/dev/ttyUSB0, HOST[:PORT], or rtu://HOST[:PORT]")],
    units: Annotated[str, typer.Option("--units", help="1-247, or 1,2,5-9")] = "1-247",
    baudrate: Annotated[str, typer.Option("--baudrate", help="9600, or several: 9600,19200")] = "9600",
    parity: Annotated[str, typer.Option("--parity", help="none, even, odd, or several")] = "none",
    timeout_ms: Annotated[int, typer.Option("--timeout-ms", min=50, max=5000, help="how long a unit may take")] = 300,
    own: Annotated[Path | None, typer.Option("--profiles", help="folder with register maps of your own")] = None,
    config_file: Annotated[
        Path, typer.Option("--config", "-c", help="gateway.yaml of the agent here")
    ] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="although the running agent uses the line")] = False,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """Find the meters on a line and guess their maps. Ctrl-C shows what was found. Exit 1 if nobody answers."""
    spoken = language(lang)
    lines = lines_of(line, baudrate, parity, timeout_ms / 1000, spoken)
    asked = units_asked(units, spoken)
    if not force and (bus := bus_in_use(config_file, lines[0])):
        complain(tool_words(spoken)["agent has it"].format(line, bus))
        raise typer.Exit(FAILED_LIVE)
    found, failure = scanned(lines, asked, ProfileShelf(own, spoken), spoken, quiet=json_wanted)
    if json_wanted:
        failed = {} if failure is None else {"failure": {"reason": failure.reason, "text": why(failure, words(spoken))}}
        print_json({"line": line, "units": [_as_json(one) for one in found], **failed})
    if failure is not None or not found:
        raise typer.Exit(FAILED_LIVE)
    if not json_wanted:
        speed = "" if line[0] != "/" else f"--baudrate {baudrate} --parity {parity}"
        typer.echo(tool_words(spoken)["scan next"].format(line, speed).rstrip())


def lines_of(line: str, baudrate: str, parity: str, timeout_s: float, lang: Language) -> list[ModbusBusSettings]:
    """The line with every speed and parity to try; on TCP there is one.

    Raises:
        typer.BadParameter: the line, a speed or a parity is wrong.
    """
    found = []
    for speed in baudrate.split(","):
        for one in parity.split(","):
            if one not in get_args(Parity):
                raise typer.BadParameter(one, param_hint="--parity")
            try:
                found.append(line_of(line, baudrate=int(speed), parity=one, timeout_s=timeout_s))  # type: ignore[arg-type]
            except ValueError:
                raise typer.BadParameter(tool_words(lang)["line syntax"].format(line), param_hint="LINE") from None
    return list(dict.fromkeys(found))


def units_asked(text: str, lang: Language) -> list[int]:
    """The units to ask.

    Raises:
        typer.BadParameter: the text is wrong.
    """
    try:
        return units_of(text)
    except ValueError:
        raise typer.BadParameter(tool_words(lang)["units syntax"].format(text), param_hint="--units") from None


def scanned(
    lines: list[ModbusBusSettings], units: list[int], shelf: ProfileShelf, lang: Language, *, quiet: bool = False
) -> tuple[list[FoundUnit], ReadFailure | None]:
    """Scan with every speed until one finds a meter, and tell how it goes; Ctrl-C ends it with what there is."""
    say = tool_words(lang)
    found: list[FoundUnit] = []
    for line in lines:
        one = Scan(line, units, shelf, SystemClock())
        watcher = _Progress(say, quiet)
        watcher.begin(one)
        failure: ReadFailure | None = None
        stopped = True
        try:
            with suppress(KeyboardInterrupt):
                failure = asyncio.run(one.run(watcher))
                stopped = False
        finally:
            watcher.end()
        found += one.found
        if stopped:
            complain(say["scan stopped"].format(one.asked, len(units)))
            return found, None
        if failure is not None:
            complain(say["line down"].format(address_of(line), why(failure, words(lang))))
            return found, failure
        if found:
            break
    if not found and not quiet:
        complain(say["scan none"])
    return found, None


class _Progress:
    """A bar on a terminal, a line now and then elsewhere; both on stderr."""

    def __init__(self, say: Words, quiet: bool) -> None:
        self._say = say
        self._quiet = quiet
        self._told_s = self._began_s = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task: Any = None

    def begin(self, scan: Scan) -> None:
        speed = ""
        if isinstance(scan.line, ModbusRtuSettings | ModbusRtuTcpSettings):
            speed = self._say["scan at"].format(scan.line.baudrate, scan.line.parity)
        duration = _duration(scan.at_most_s)
        complain(self._say["scan line"].format(address_of(scan.line), len(scan.units), speed, duration))
        if sys.stderr.isatty() and not self._quiet:
            self._task = self._bar.add_task("", total=len(scan.units))
            self._bar.start()

    def end(self) -> None:
        if self._task is not None:
            self._bar.stop()

    def asked(self, done: int, total: int, found: int) -> None:
        now_s = time.monotonic()
        if self._task is not None:
            self._bar.update(self._task, completed=done)
        elif now_s - self._told_s >= _PLAIN_EVERY_S:
            self._told_s = now_s
            left = _duration((now_s - self._began_s) / done * (total - done))
            complain(self._say["scan progress"].format(done, total, found, left))

    def found(self, unit: FoundUnit) -> None:
        if not self._quiet:
            typer.echo(self._say["scan found"].format(unit.unit, guess_text(unit.guesses, self._say)))


def guess_text(guesses: list[Guess], say: Words) -> str:
    """The map, or the maps it may be, with the reasons for the best."""
    if not guesses:
        return say["guess none"]
    best = candidates(guesses)
    names = " / ".join(one.profile for one in best[:_MORE])
    reasons = ", ".join(say[f"guess {key}"].format(blank) for key, blank in best[0].reasons)
    text = say["guess sure" if len(best) == 1 else "guess open"].format(names)
    return f"{text}\n  {reasons}" if reasons else text


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"  # noqa: PLR2004


def _as_json(found: FoundUnit) -> dict[str, object]:
    about: dict[str, object] = {"unit": found.unit, "line": found.line.model_dump(mode="json")}
    sure = len(candidates(found.guesses)) == 1 if found.guesses else False
    about["profile"] = found.guesses[0].profile if sure else None
    about["candidates"] = [
        {"profile": one.profile, "score": one.score, "reasons": [list(reason) for reason in one.reasons]}
        for one in found.guesses
    ]
    return about
