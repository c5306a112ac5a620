"""``wattline-edge schema``: what editors and readers need to know about the edge's YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import BaseModel

from edge_agent.config import GatewaySettings
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.dlt645.profile import Dlt645Profile
from edge_agent.drivers.modbus.profile import Profile
from metering.settings_schema import write_schemas

MODELS: Final[dict[str, type[BaseModel]]] = {
    "gateway": GatewaySettings,
    "profile": Profile,
    "dlms_profile": DlmsProfile,
    "dlt645_profile": Dlt645Profile,
}
"""The kinds of YAML file that the edge agent reads."""


def schema(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    readme: Annotated[Path | None, typer.Option(help="Markdown file whose option tables are written anew.")] = None,
) -> None:
    """Write the JSON Schemas of gateway.yaml and of profiles, for editors."""
    for path in write_schemas(out, MODELS, readme):
        typer.echo(str(path))
