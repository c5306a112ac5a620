"""``wattline-edge profiles [NAME]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.commands.options import WRONG_CONFIG, Json, Lang, complain, print_json
from edge_agent.drivers.modbus.profile import Profile
from edge_agent.drivers.registry import ProfileShelf
from edge_agent.words import Words, words
from metering.quantity import QUANTITIES
from metering.settings import Language, language


def profiles(
    name: Annotated[str | None, typer.Argument(help="show this one with its registers")] = None,
    own: Annotated[Path | None, typer.Option("--own", help="folder with register maps of your own")] = None,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """List the register maps, or show one with its registers, its source and what to know about it."""
    spoken = language(lang)
    say = words(spoken)
    shelf = ProfileShelf(own, spoken)
    if name is not None and name not in shelf.names:
        complain(say["no such profile"].format(name) + say["known"].format(", ".join(shelf.names)))
        raise typer.Exit(WRONG_CONFIG)
    found = {one: shelf.profile(one) for one in shelf.names if name in (None, one)}
    if json_wanted:
        print_json({one: profile.model_dump(mode="json") for one, profile in found.items()})
        return
    for one, profile in found.items():
        _print_head(one, profile, say, spoken)
        if name is not None:
            _print_registers(profile, say)


def _print_head(name: str, profile: Profile, say: Words, lang: Language) -> None:
    checked = say["checked on hardware"] if profile.checked_on_hardware else say["not checked"]
    typer.echo(f"{name}: {profile.manufacturer} {profile.model} ({checked})")
    typer.echo(f"  {profile.source}")
    if profile.note is not None:
        typer.echo(f"  {profile.note.zh if lang == 'zh' else profile.note.en}")


def _print_registers(profile: Profile, say: Words) -> None:
    for one in profile.maps:
        for register in sorted(one, key=lambda register: register.address):
            place = f"{profile.function_of(register)} {register.address:#06x}"
            unit = QUANTITIES[register.quantity].unit
            factor = "" if register.scale == 1 else f" × {register.scale:g}"
            typer.echo(f"  {place} {register.quantity:25} {unit:5} {register.type}{factor}")
    typer.echo(f"  {say['registers legend']}")
