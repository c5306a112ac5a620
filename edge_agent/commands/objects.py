"""``wattline-edge scan --meter METER``: every object of a DLMS meter, with the keys that gateway.yaml names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_agent import config
from edge_agent.commands.answers import why
from edge_agent.commands.options import FAILED_LIVE, WRONG_CONFIG, complain, print_json
from edge_agent.commissioning.running_agent import bus_in_use
from edge_agent.commissioning.words import tool_words
from edge_agent.config import GatewaySettings
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.registry import DlmsMeterSettings, ProfileShelf
from edge_agent.words import words
from metering.language import Language

if TYPE_CHECKING:
    from edge_agent.commissioning.object_list import Listed


def list_objects(meter: str, config_file: Path, lang: Language, *, force: bool, json_wanted: bool) -> None:
    """Print the list, and which profiles fit; exit 1 if the meter gives none.

    Raises:
        typer.Exit: it could not be read.
    """
    say = words(lang)
    settings = config.load(config_file, lang)
    found = _read(meter, settings, config_file, lang, force=force)
    if isinstance(found, ReadFailure):
        if json_wanted:
            print_json({"meter": meter, "objects": [], "failure": {"reason": found.reason, "text": why(found, say)}})
        else:
            complain(f"{meter}: {why(found, say)}")
        raise typer.Exit(FAILED_LIVE)
    fitting = _fitting(found, ProfileShelf(settings.profiles, lang))
    if json_wanted:
        print_json({"meter": meter, "objects": [_as_json(one) for one in found], "profiles": fitting})
        return
    for one in found:
        typer.echo(_as_text(one, lang))
    for name, (has, of) in fitting.items():
        typer.echo(tool_words(lang)["objects of"].format(name, has, of))


def _read(
    meter: str, settings: GatewaySettings, config_file: Path, lang: Language, *, force: bool
) -> list[Listed] | ReadFailure:
    from edge_agent.commissioning.meter_objects import meter_objects  # noqa: PLC0415 - its ciphers take 9 MiB

    asked = {bus.id for bus in settings.buses if isinstance(bus, DlmsBusSettings)}  # one that pushes answers nothing
    dlms = {one.id: one for one in settings.meters if isinstance(one, DlmsMeterSettings) and one.bus in asked}
    if meter not in dlms:
        complain(tool_words(lang)["no dlms meter"].format(meter, ", ".join(dlms) or "–"))
        raise typer.Exit(WRONG_CONFIG)
    of = dlms[meter]
    bus = next(one for one in settings.buses if one.id == of.bus)
    profile = ProfileShelf(settings.profiles, lang).of(of)
    assert isinstance(bus, DlmsBusSettings)  # noqa: S101 - config has checked it
    assert isinstance(profile, DlmsProfile)  # noqa: S101
    if not force and bus_in_use(config_file, bus):
        complain(tool_words(lang)["agent has it"].format(meter, bus.id))
        raise typer.Exit(FAILED_LIVE)
    return asyncio.run(meter_objects(bus, of.id, of.dlms, profile))


def _fitting(found: list[Listed], shelf: ProfileShelf) -> dict[str, tuple[int, int]]:
    """Of every DLMS profile: how many of its objects the meter has, and how many it names; the best first."""
    there = {(one.entry.class_id, one.entry.obis) for one in found if not one.denied}
    profiles = {name: shelf.of_kind(DlmsMeterSettings, name) for name in shelf.names_of(DlmsMeterSettings)}
    named = {
        name: [(entry.class_id, entry.logical_name) for entry in profile.objects]
        for name, profile in profiles.items()
        if isinstance(profile, DlmsProfile)
    }
    counted = {name: (sum(place in there for place in places), len(places)) for name, places in named.items()}
    return dict(sorted(counted.items(), key=lambda one: -one[1][0]))


def _as_text(one: Listed, lang: Language) -> str:
    entry = one.entry
    head = f"{entry.class_id:>3} {entry.obis!s:17} {one.quantity or '':26}"
    if one.denied:
        return f"{head} ({tool_words(lang)['object denied'].format(one.denied)})"
    value = f"{one.value:.10g}" if isinstance(one.value, float) else one.value
    return f"{head} {'' if value is None else value} {one.unit}".rstrip()


def _as_json(one: Listed) -> dict[str, object]:
    about: dict[str, object] = {
        "class_id": one.entry.class_id,
        "version": one.entry.version,
        "obis": str(one.entry.obis),
        "quantity": one.quantity,
        "value": one.value,
        "unit": one.unit,
    }
    return about | ({"denied": one.denied} if one.denied else {})
