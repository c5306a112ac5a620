"""Options that several commands take, exit codes, and how to print.

Exit codes are promises: 0 good; 1 something failed live (a meter, a port, the spool); 2 the configuration or the way
the command was called is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

FAILED_LIVE: Final = 1
WRONG_CONFIG: Final = 2

EXIT_CODES: Final = "Exit codes: 0 good; 1 something failed live; 2 the configuration or the command is wrong."
DEFAULT_CONFIG: Final = Path("/etc/wattline/gateway.yaml")

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="gateway.yaml")]
Lang = Annotated[str | None, typer.Option("--lang", help="en or zh; default from LANG")]
Json = Annotated[bool, typer.Option("--json", help="for machines")]


def complain(text: str) -> None:
    """Say something on stderr."""
    typer.echo(text, err=True)


def print_json(document: object) -> None:
    """One JSON document on one line."""
    typer.echo(json.dumps(document, ensure_ascii=False))
