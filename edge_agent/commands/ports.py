"""``wattline-edge ports``."""

from __future__ import annotations

import getpass

import typer

from edge_agent.commands.options import FAILED_LIVE, Json, Lang, print_json
from edge_agent.commissioning.ports import Port, own_addresses, serial_ports
from edge_agent.commissioning.words import tool_words
from edge_agent.words import Words
from metering.language import language


def ports(json_wanted: Json = False, lang: Lang = None) -> None:
    """List the serial ports, and which of them can be used. Exit 1 if there is none that can."""
    say = tool_words(language(lang))
    found, addresses = serial_ports(), own_addresses()
    usable = [port for port in found if port.state == "free"]
    if json_wanted:
        listed = [{"device": str(one.device), "name": one.name, "state": one.state} for one in found]
        print_json({"ports": listed, "addresses": addresses})
    else:
        for port in found:
            typer.echo(f"{port.device}\n  {port.name}: {_state(port, say)}")
        if not found:
            typer.echo(say["ports none"])
        typer.echo(say["network"].format(", ".join(addresses)) if addresses else say["no network"])
        if usable:
            typer.echo(say["ports next"].format(usable[0].device))
    if not usable:
        raise typer.Exit(FAILED_LIVE)


def _state(port: Port, say: Words) -> str:
    if port.state == "forbidden":
        return say["port forbidden"].format(getpass.getuser())
    if port.state == "gone":
        return say["port gone"].format(port.detail)
    return say[f"port {port.state}"]
