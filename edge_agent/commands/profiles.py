"""``wattline-edge profiles [NAME]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.commands.options import WRONG_CONFIG, Json, Lang, complain, print_json
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.dlt645.profile import Dlt645Profile
from edge_agent.drivers.registry import AnyProfile, ProfileShelf
from edge_agent.words import Words, words
from metering.language import Language, language
from metering.quantity import QUANTITIES


def profiles(
    name: Annotated[str | None, typer.Argument(help="show this one with its registers")] = None,
    own: Annotated[
        Path | None,
        typer.Option("--own", exists=True, file_okay=False, help="folder with register maps of your own"),
    ] = None,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """List the profiles of meters, or show one with what it reads, its source and what to know about it."""
    spoken = language(lang)
    say = words(spoken)
    shelf = ProfileShelf(own, spoken)
    every = dict(shelf.all())
    if name is not None and name not in every:
        complain(say["no such profile"].format(name) + say["known"].format(", ".join(every)))
        raise typer.Exit(WRONG_CONFIG)
    found = {one: profile for one, profile in every.items() if name in (None, one)}
    if json_wanted:
        print_json({one: profile.model_dump(mode="json") for one, profile in found.items()})
        return
    for one, profile in found.items():
        _print_head(one, profile, say, spoken)
        if name is not None:
            _print_registers(profile, say)


def _print_head(name: str, profile: AnyProfile, say: Words, lang: Language) -> None:
    checked = say["checked on hardware"] if profile.checked_on_hardware else say["not checked"]
    typer.echo(f"{name}: {profile.manufacturer} {profile.model} ({checked})")
    typer.echo(f"  {profile.source}")
    if profile.note is not None:
        typer.echo(f"  {profile.note.zh if lang == 'zh' else profile.note.en}")


def _print_registers(profile: AnyProfile, say: Words) -> None:
    if isinstance(profile, Dlt645Profile):
        for value in profile.values:
            typer.echo(f"  {value.identifier} {value.quantity:25} {QUANTITIES[value.quantity].unit}".rstrip())
        typer.echo(f"  {say['identifiers legend']}")
        return
    if isinstance(profile, DlmsProfile):
        for entry in profile.objects:
            place = f"{entry.class_id} {entry.logical_name} {entry.attribute}"
            typer.echo(f"  {place:20} {entry.quantity:25} {QUANTITIES[entry.quantity].unit}".rstrip())
        typer.echo(f"  {say['objects legend']}")
        return
    for one in profile.maps:
        for register in sorted(one, key=lambda register: register.address):
            place = f"{profile.function_of(register)} {register.address:#06x}"
            unit = QUANTITIES[register.quantity].unit
            factor = "" if register.scale == 1 else f" × {register.scale:g}"
            typer.echo(f"  {place} {register.quantity:25} {unit:5} {register.type}{factor}")
    typer.echo(f"  {say['registers legend']}")
