"""The command line: ``wattline-edge``. Exit codes: 0 good, 1 something failed live, 2 the configuration is wrong."""

from __future__ import annotations

import sys

import typer

from edge_agent.commands.check import check
from edge_agent.commands.clock import clock
from edge_agent.commands.init import init
from edge_agent.commands.load_profile import load_profile
from edge_agent.commands.options import EXIT_CODES, WRONG_CONFIG, complain
from edge_agent.commands.ports import ports
from edge_agent.commands.probe import probe
from edge_agent.commands.profiles import profiles
from edge_agent.commands.run import run
from edge_agent.commands.scan import scan
from edge_agent.commands.schema import schema
from edge_agent.commands.status import status
from edge_agent.commands.tail import tail
from metering.errors import StopAndFix

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=f"Polls the meters of one gateway and publishes their rounds, losing none.\n\n{EXIT_CODES}",
)

for command in (ports, scan, init, check, probe, load_profile, clock, run, status, tail, profiles, schema):
    cli.command()(command)


def main() -> None:
    """Run the command; a mistake of the configuration is shown without a traceback."""
    try:
        cli()
    except StopAndFix as error:
        complain(str(error))
        sys.exit(WRONG_CONFIG)


if __name__ == "__main__":
    main()
