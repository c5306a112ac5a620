"""``wattline-edge init``: asks what cannot be known, looks for the meters, and writes a gateway.yaml to begin with.

Every question has an option, so that it runs unattended with ``--yes``. The file is written at once and whole, and
only after it has passed the same check as ``wattline-edge check``.
"""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from edge_agent import config
from edge_agent.commands.options import FAILED_LIVE, WRONG_CONFIG, Lang, complain
from edge_agent.commands.scan import lines_of, scanned, units_asked
from edge_agent.commissioning.draft import Draft, DraftMeter, gateway_yaml, is_local, is_name
from edge_agent.commissioning.guess import candidates
from edge_agent.commissioning.ports import serial_ports
from edge_agent.commissioning.scan import FoundUnit
from edge_agent.commissioning.words import tool_words
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.registry import ProfileShelf, shipped_profiles
from edge_agent.words import Words
from metering.settings import ConfigError, Language, language

_TIMEOUT_S: Final = 0.3


def init(
    out: Annotated[Path, typer.Option("--out", "-o", help="file to write")] = Path("gateway.yaml"),
    bus: Annotated[str | None, typer.Option("--bus", help="/dev/ttyUSB0, HOST[:PORT], rtu://HOST[:PORT]")] = None,
    baudrate: Annotated[str, typer.Option("--baudrate", help="9600, or several to try: 9600,19200")] = "9600",
    parity: Annotated[str, typer.Option("--parity", help="none, even, odd, or several")] = "none",
    units: Annotated[str | None, typer.Option("--units", help="where to look: 1-247, or 1,2,5-9")] = None,
    meter: Annotated[
        list[str] | None, typer.Option("--meter", help="UNIT=PROFILE[:NAME[:RATIO]]; then nothing is looked for")
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
    ask = _Questions(say, yes)
    try:
        line = ask.text("init line", bus, _first_port(), "--bus")
        named = [_parsed(text, say) for text in meter or ()]
        if named:
            of_bus = lines_of(line, baudrate.split(",")[0], parity.split(",")[0], 1.0, spoken)[0]
        else:
            of_bus, named = _found(line, baudrate, parity, ask.text("init units", units, "1-247", "--units"), spoken)
            named = [ask.meter(one) for one in named]
        draft = Draft(
            ask.name("init gateway", gateway, socket.gethostname().split(".")[0], "--gateway"),
            of_bus,
            tuple(named),
            address := ask.text("init broker", broker, "127.0.0.1:1883", "--broker"),
            (ca_file or "") if is_local(address) else ask.text("init ca", ca_file, "", "--ca-file", address),
            every,
            spool,
            _schema_file(),
        )
    except (KeyboardInterrupt, typer.Abort):
        complain(f"\n{say['init stopped']}")
        raise typer.Exit(FAILED_LIVE) from None
    _write(out, gateway_yaml(draft, spoken), spoken)
    typer.echo(say["init written"].format(out))
    typer.echo(say["init next"].format(out))


def _found(
    line: str, baudrate: str, parity: str, units: str, lang: Language
) -> tuple[ModbusBusSettings, list[DraftMeter]]:
    """The meters that answer, and the line with the speed at which they do."""
    lines = lines_of(line, baudrate, parity, _TIMEOUT_S, lang)
    found, _ = scanned(lines, units_asked(units, lang), ProfileShelf(lang=lang), lang)
    meters = [_meter(one) for one in found if one.guesses]
    if not meters:
        complain(tool_words(lang)["init none"].format(line))
        raise typer.Exit(FAILED_LIVE)
    return found[0].line.model_copy(update={"timeout": 1.0}), meters


def _meter(found: FoundUnit) -> DraftMeter:
    best, *others = candidates(found.guesses)
    return DraftMeter(found.unit, best.profile, f"meter-{found.unit}", others=tuple(one.profile for one in others))


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

    def meter(self, found: DraftMeter) -> DraftMeter:
        if self._yes:
            return found
        name = self.name("init name", None, found.name, "", found.unit)
        known = ProfileShelf().names
        profile = ""
        while profile not in known:
            profile = self.text("init profile", None, found.profile, "", "wattline-edge profiles")
        return DraftMeter(found.unit, profile, name, self.text("init ratio", None, "1", ""))


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
    try:
        config.load(draft, lang)
        draft.chmod(0o644)
        draft.replace(out)
    except ConfigError as error:
        draft.unlink()
        for problem in error.problems:
            complain(f"{out}:{problem}")
        raise typer.Exit(WRONG_CONFIG) from None
