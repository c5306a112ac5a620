"""``wattline-edge init``: asks what cannot be known, looks for the meters, and writes a gateway.yaml to begin with.

Every question has an option, so that it runs unattended with ``--yes``. The file is written at once and whole, and
only after it has passed the same check as ``wattline-edge check``.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from edge_agent import config
from edge_agent.commands.options import DEFAULT_CONFIG, FAILED_LIVE, WRONG_CONFIG, Lang, complain
from edge_agent.commands.scan import LINE_HELP, UNITS_HELP, Places, lines_of, scanned
from edge_agent.commissioning.draft import Draft, DraftMeter, Security, gateway_yaml, is_local, is_name, usual_name
from edge_agent.commissioning.found import Found, FoundServer, FoundUnit, Wants
from edge_agent.commissioning.guess import candidates
from edge_agent.commissioning.ports import serial_ports
from edge_agent.commissioning.running_agent import bus_in_use
from edge_agent.commissioning.words import tool_words
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings
from edge_agent.drivers.registry import BusSettings, ProfileShelf, kind_of, shipped_profiles
from edge_agent.words import Words
from metering.config_file import ConfigError
from metering.language import Language, language
from metering.marked_yaml import Problem

_USUAL_PROFILE: Final = "iec_generic"  # of a DLMS meter: it says itself how its numbers are to be read
_SECURITY: Final[dict[Wants, Security]] = {"nothing": "none", "password": "low"}  # of everything else: gmac
_MAKER: Final = b"WTL"  # the first three letters of our system title; the rest is drawn by lot
_RANDOM_OCTETS: Final = 5
_SECRET_KEYS: Final = ("encryption_key_file", "authentication_key_file", "password_file")


def init(
    out: Annotated[Path, typer.Option("--out", "-o", help="file to write")] = Path("gateway.yaml"),
    bus: Annotated[str | None, typer.Option("--bus", help=LINE_HELP)] = None,
    baudrate: Annotated[str | None, typer.Option("--baudrate", help="9600, or several to try: 2400,9600")] = None,
    parity: Annotated[str | None, typer.Option("--parity", help="none, even, odd, or several")] = None,
    units: Annotated[str | None, typer.Option("--units", help=UNITS_HELP)] = None,
    client: Annotated[int, typer.Option("--client", min=1, max=127, help="DLMS: who will read the meters")] = 1,
    serial: Annotated[
        str, typer.Option("--serial", help="DLMS in HDLC frames: digits of the plate, to reckon addresses from")
    ] = "",
    meter: Annotated[
        list[str] | None, typer.Option("--meter", help="ADDRESS=PROFILE[:NAME[:RATIO]]; then nothing is looked for")
    ] = None,
    gateway: Annotated[str | None, typer.Option("--gateway", help="name of this gateway")] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="HOST[:PORT]")] = None,
    ca_file: Annotated[str | None, typer.Option("--ca-file", help="CA of the broker")] = None,
    every: Annotated[str, typer.Option("--every", help="period: 15s, 60s, 5min")] = "60s",
    spool: Annotated[str, typer.Option("--spool", help="file of the spool")] = "/var/lib/wattline/spool.db",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="ask nothing, take what is given or found")] = False,
    force: Annotated[bool, typer.Option("--force", help="write over the file")] = False,
    lang: Lang = None,
) -> None:
    """Ask for the line, look for its meters, and write a commented gateway.yaml. Exit 1 if no meter was found."""
    spoken = language(lang)
    say = tool_words(spoken)
    if out.exists() and not force:
        complain(say["init exists"].format(out))
        raise typer.Exit(WRONG_CONFIG)
    if (obstacle := _obstacle(out)) is not None:  # told before anything is asked or looked for
        complain(say["init cannot"].format(out, os.strerror(obstacle)))
        raise typer.Exit(WRONG_CONFIG)
    ask = _Questions(say, yes)
    try:
        line = ask.text("init line", bus, _first_port(), "--bus")
        named = [replace(_parsed(text, say), client=client) for text in meter or ()]
        lines = lines_of(line, baudrate, parity, None, spoken)
        if named:
            of_bus = lines[0]
        else:
            _leave_to_the_agent(line, lines[0], out, say)
            wanted = ask.text("init units", units, "", "--units") or None
            of_bus, named = _found(line, lines, Places(lines[0], wanted, serial, client, spoken), spoken)
            named = [ask.meter(one, of_bus) for one in named]
        draft = Draft(
            ask.name("init gateway", gateway, socket.gethostname().split(".")[0], "--gateway"),
            of_bus,
            tuple(named),
            address := ask.text("init broker", broker, "127.0.0.1:1883", "--broker"),
            (ca_file or "") if is_local(address) else ask.text("init ca", ca_file, "", "--ca-file", address),
            every,
            spool,
            _schema_file(),
            (_MAKER + secrets.token_bytes(_RANDOM_OCTETS)).hex(),
        )
    except (KeyboardInterrupt, typer.Abort):
        complain(f"\n{say['init stopped']}")
        raise typer.Exit(FAILED_LIVE) from None
    _write(out, gateway_yaml(draft, spoken), spoken)
    typer.echo(say["init written"].format(out))
    for file in _secrets_missing(draft, out.parent):
        typer.echo(say["init secret"].format(file, file.parent, file))
    typer.echo(say["init next"].format(out))


def _obstacle(out: Path) -> int | None:
    """Why no file can be put there, as an error number of the system."""
    if out.is_dir():
        return errno.EISDIR
    if not out.parent.is_dir():
        return errno.ENOENT
    return None if os.access(out.parent, os.W_OK) else errno.EACCES


def _leave_to_the_agent(line: str, bus: BusSettings, out: Path, say: Words) -> None:
    """Look for nobody on a line that the running agent reads."""
    for file in (out, DEFAULT_CONFIG):
        if name := bus_in_use(file, bus):
            complain(say["init in use"].format(line, name))
            raise typer.Exit(FAILED_LIVE)


def _found(line: str, lines: list[BusSettings], places: Places, lang: Language) -> tuple[BusSettings, list[DraftMeter]]:
    """The meters that answer, and the line with the speed at which they do."""
    found, _ = scanned(lines, places, ProfileShelf(lang=lang), lang)
    meters = [_meter(one) for one in found if isinstance(one, FoundServer) or one.guesses]
    if not meters:
        complain(tool_words(lang)["init none"].format(line))
        raise typer.Exit(FAILED_LIVE)
    return found[0].line, meters


def _meter(found: Found) -> DraftMeter:
    if isinstance(found, FoundServer):
        address = str(found.place)
        security = _SECURITY.get(found.wants, "gmac")
        return DraftMeter(address, _USUAL_PROFILE, usual_name(address), client=found.client, security=security)
    address = str(found.unit) if isinstance(found, FoundUnit) else found.address
    best, *others = candidates(found.guesses)
    return DraftMeter(address, best.profile, usual_name(address), others=tuple(one.profile for one in others))


def _secrets_missing(draft: Draft, folder: Path) -> list[Path]:
    """The files that the new gateway.yaml names and nobody has made yet."""
    if not isinstance(draft.bus, DlmsBusSettings):
        return []
    named = [folder / file for meter in draft.meters for file in meter.secrets.values()]
    return [file for file in named if not file.is_file()]


def _parsed(text: str, say: Words) -> DraftMeter:
    try:
        return DraftMeter.parse(text)
    except ValueError:
        raise typer.BadParameter(say["meter syntax"].format(text), param_hint="--meter") from None


class _Questions:
    """Asks for what no option gives; with ``--yes`` the default is taken, and what has none must be given."""

    def __init__(self, say: Words, yes: bool) -> None:
        self._say = say
        self._yes = yes

    def text(self, key: str, given: str | None, default: str, option: str, *blanks: str) -> str:
        if given is not None:
            return given
        if self._yes:
            if not default and option == "--bus":
                complain(self._say["init needs"].format(option))
                raise typer.Exit(WRONG_CONFIG)
            return default
        shown = default or None if option == "--bus" else default
        return str(typer.prompt(self._say[key].format(*blanks), default=shown)).strip()

    def name(self, key: str, given: str | None, default: str, option: str, *blanks: object) -> str:
        answer = self.text(key, given, default, option, *map(str, blanks))
        while not is_name(answer) and given is None and not self._yes:
            answer = self.text(key, given, default, option, *map(str, blanks))
        return answer

    def meter(self, found: DraftMeter, bus: BusSettings) -> DraftMeter:
        if self._yes:
            return found
        name = self.name("init name", None, found.name, "", found.address)
        known = ProfileShelf().names_of(kind_of(bus))
        profile = ""
        while profile not in known:
            profile = self.text("init profile", None, found.profile, "", "wattline-edge profiles")
        return replace(found, profile=profile, name=name, ratio=self.text("init ratio", None, "1", ""), others=())


def _first_port() -> str:
    return next((str(port.device) for port in serial_ports() if port.state == "free"), "")


def _schema_file() -> str:
    """Where an editor finds the schema of the file, if it came with the program."""
    places = (shipped_profiles().parent / "schema" / "gateway.schema.json",)
    return next((str(place) for place in places if place.is_file()), "")


def _write(out: Path, text: str, lang: Language) -> None:
    """Check the file beside its place, then put it there whole."""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=out.parent, suffix=".yaml", delete=False) as file:
            file.write(text)
    except OSError as error:
        complain(tool_words(lang)["init cannot"].format(out, error.strerror))
        raise typer.Exit(WRONG_CONFIG) from None
    draft = Path(file.name)
    problems: list[Problem] = []
    try:
        config.load(draft, lang)
    except ConfigError as error:
        problems = [one for one in error.problems if not _is_secret(one)]
    if problems:
        draft.unlink()
        for problem in problems:
            complain(f"{out}:{problem}")
        raise typer.Exit(WRONG_CONFIG)
    draft.chmod(0o644)
    draft.replace(out)


def _is_secret(problem: Problem) -> bool:
    """Whether it is a file of a key or a password that is not there yet: the utility's letter may come later."""
    return problem.path.startswith("meters[") and problem.path.rpartition(".")[2] in _SECRET_KEYS
