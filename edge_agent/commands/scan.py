"""``wattline-edge scan LINE``, and ``wattline-edge scan --meter METER`` for what one DLMS meter has."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, cast, get_args

import typer

from edge_agent.commands.answers import why
from edge_agent.commands.found import found_json
from edge_agent.commands.objects import list_objects
from edge_agent.commands.options import DEFAULT_CONFIG, FAILED_LIVE, Json, Lang, complain, print_json
from edge_agent.commands.progress import ScanProgress
from edge_agent.commissioning.dlt645_scan import Dlt645Scan
from edge_agent.commissioning.found import Found, ServerPlace
from edge_agent.commissioning.line_address import Parity, address_of, line_of, units_of
from edge_agent.commissioning.modbus_scan import ModbusScan
from edge_agent.commissioning.running_agent import bus_in_use
from edge_agent.commissioning.scan import Scan
from edge_agent.commissioning.words import tool_words
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings
from edge_agent.drivers.dlms.push_settings import DlmsPushSettings
from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings
from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.registry import BusSettings, ProfileShelf
from edge_agent.words import words
from metering.clock import SystemClock
from metering.language import Language, language

LINE_HELP: Final = "/dev/ttyUSB0, HOST[:PORT], rtu://HOST:PORT, dlt645://…, dlms://HOST, hdlc://…"
UNITS_HELP: Final = "1-247 or 1,2,5-9; DL/T 645: 12 digits each; DLMS: 1,16,1/17 (server/physical)"

_USUAL_CLIENT: Final = 1
_ADDRESS: Final = re.compile("[0-9]{12}")
_TIMEOUTS_MS: Final = {"modbus": 300, "dlt645": 700, "dlms": 1500}


def scan(
    line: Annotated[str | None, typer.Argument(help=LINE_HELP)] = None,
    units: Annotated[str | None, typer.Option("--units", help=UNITS_HELP)] = None,
    baudrate: Annotated[str | None, typer.Option("--baudrate", help="9600, or several: 2400,9600")] = None,
    parity: Annotated[str | None, typer.Option("--parity", help="none, even, odd, or several")] = None,
    timeout_ms: Annotated[
        int | None, typer.Option("--timeout-ms", min=50, max=5000, help="how long an answer may take")
    ] = None,
    client: Annotated[
        int, typer.Option("--client", min=1, max=127, help="DLMS: who will read the meters")
    ] = _USUAL_CLIENT,
    serial: Annotated[
        str, typer.Option("--serial", help="DLMS in HDLC frames: digits of the plate, to reckon addresses from")
    ] = "",
    meter: Annotated[
        str | None, typer.Option("--meter", help="a DLMS meter of gateway.yaml: list its objects with values")
    ] = None,
    own: Annotated[
        Path | None,
        typer.Option("--profiles", exists=True, file_okay=False, help="folder with register maps of your own"),
    ] = None,
    config_file: Annotated[
        Path, typer.Option("--config", "-c", help="gateway.yaml of the agent here")
    ] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="although the running agent uses the line")] = False,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """Find the meters on a line and guess their maps; or list what one meter has. Exit 1 if nobody answers."""
    spoken = language(lang)
    if meter is not None:
        list_objects(meter, config_file, spoken, force=force, json_wanted=json_wanted)
        return
    if line is None:
        raise typer.BadParameter(tool_words(spoken)["line or meter"], param_hint="LINE")
    lines = lines_of(line, baudrate, parity, timeout_ms, spoken)
    places = Places(lines[0], units, serial, client, spoken)
    if not force and (bus := bus_in_use(config_file, lines[0])):
        complain(tool_words(spoken)["agent has it"].format(line, bus))
        raise typer.Exit(FAILED_LIVE)
    found, failure = scanned(lines, places, ProfileShelf(own, spoken), spoken, quiet=json_wanted)
    if json_wanted:
        failed = {} if failure is None else {"failure": {"reason": failure.reason, "text": why(failure, words(spoken))}}
        print_json({"line": line, "units": [found_json(one) for one in found], **failed})
    if failure is not None or not found:
        raise typer.Exit(FAILED_LIVE)
    if not json_wanted:
        given = {"--units": units, "--baudrate": baudrate, "--parity": parity, "--serial": serial or None}
        if isinstance(lines[0], DlmsBusSettings):
            given["--client"] = None if client == _USUAL_CLIENT else str(client)
        again = " ".join(f"{option} {value}" for option, value in given.items() if value is not None)
        typer.echo(tool_words(spoken)["scan next"].format(line, again).rstrip())


def lines_of(
    line: str, baudrate: str | None, parity: str | None, timeout_ms: int | None, lang: Language
) -> list[BusSettings]:
    """The line with every speed and parity to try; on TCP there is one.

    Raises:
        typer.BadParameter: the line, a speed or a parity is wrong.
    """
    if "/" in line and Path(line).exists():  # gateway.yaml, which init writes of it, may stand elsewhere
        line = str(Path(line).absolute())
    try:
        line_of(line)
    except ValueError:
        raise typer.BadParameter(tool_words(lang)["line syntax"].format(line), param_hint="LINE") from None
    found = []
    for speed in (baudrate or "").split(","):
        for one in (parity or "").split(","):
            if one and one not in get_args(Parity):
                raise typer.BadParameter(tool_words(lang)["parity syntax"].format(one), param_hint="--parity")
            try:
                first = line_of(line, baudrate=int(speed) if speed else None, parity=cast("Parity | None", one or None))
            except ValueError:
                text = tool_words(lang)["speed syntax"].format(speed)
                raise typer.BadParameter(text, param_hint="--baudrate") from None
            timeout_s = (timeout_ms or _TIMEOUTS_MS[first.type.split("_")[0]]) / 1000
            found.append(first.model_copy(update={"timeout": timeout_s}))
    return list(dict.fromkeys(found))


class Places:
    """Whom to ask on a line: as given, or the usual ones of what is spoken there."""

    def __init__(self, line: BusSettings, units: str | None, serial: str, client: int, lang: Language) -> None:
        """Read what was given.

        Raises:
            typer.BadParameter: it is wrong.
        """
        self.client = client
        self.units: list[int] = []
        self.addresses: list[str] = []
        self.servers: list[ServerPlace] = []
        self.serial = serial
        given = [one.strip() for one in (units or "").split(",") if one.strip()]
        try:
            if isinstance(line, DlmsBusSettings):
                self.servers = [ServerPlace.parse(one) for one in given]
            elif isinstance(line, Dlt645BusSettings):
                self.addresses = [_address(one) for one in given]
            else:
                self.units = units_of("1-247" if units is None else units)
        except ValueError:
            raise typer.BadParameter(tool_words(lang)["units syntax"].format(units), param_hint="--units") from None
        if serial and not serial.isdecimal():
            raise typer.BadParameter(serial, param_hint="--serial")


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError(text)
    return text


def scan_of(line: BusSettings, places: Places, shelf: ProfileShelf) -> Scan:
    """The scan of what is spoken on a line."""
    if isinstance(line, DlmsBusSettings):
        from edge_agent.commissioning.dlms_scan import DlmsScan, usual_places  # noqa: PLC0415 - its ciphers take 9 MiB

        return DlmsScan(line, places.servers or usual_places(line, places.serial), places.client)
    if isinstance(line, Dlt645BusSettings):
        return Dlt645Scan(line, places.addresses, shelf, SystemClock())
    assert not isinstance(line, DlmsPushSettings)  # noqa: S101 - no text names a door
    return ModbusScan(line, places.units, shelf, SystemClock())


def scanned(
    lines: list[BusSettings], places: Places, shelf: ProfileShelf, lang: Language, *, quiet: bool = False
) -> tuple[list[Found], ReadFailure | None]:
    """Scan with every speed until one finds a meter, and tell how it goes; Ctrl-C ends it with what there is.

    Raises:
        ConfigError: a register map is wrong; nobody was asked.
    """
    say = tool_words(lang)
    found: list[Found] = []
    deque(shelf.all(), 0)  # a mistake in a map is told now, and not when somebody has answered
    for line in lines:
        one = scan_of(line, places, shelf)
        watcher = ScanProgress(say, quiet)
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
            complain(say["scan stopped"].format(one.asked, one.total))
            return found, None
        if failure is not None:
            complain(say["line down"].format(address_of(line), why(failure, words(lang))))
            return found, failure
        if isinstance(one, Dlt645Scan):
            _tell_trouble(one, lang)
        if found:
            break
    if not found and not quiet:
        complain(say[f"scan none {lines[0].type.split('_')[0]}"])
    return found, None


def _tell_trouble(scan: Dlt645Scan, lang: Language) -> None:
    """What a search for addresses could not resolve."""
    say = tool_words(lang)
    for address in scan.clashes:
        complain(say["scan clash"].format(address))
    if scan.ending is not None:
        complain(say[f"scan {scan.ending.name.lower()}"])
