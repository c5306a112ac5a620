"""What is wrong with how a meter is to be spoken to, as far as the file alone can tell: each with its key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings, DlmsBusSettings
from edge_agent.drivers.dlms.hdlc import ServerAddress
from edge_agent.drivers.dlms.keys import from_folder, is_credential
from edge_agent.words import Words

_KEY: Final = re.compile("[0-9A-Fa-f]{32}")
_NEEDED: Final = {"gmac": ("encryption_key_file", "authentication_key_file"), "low": ("password_file",), "none": ()}


def meter_mistakes(
    bus: DlmsBusSettings, meter: DlmsAccessSettings, folder: Path, say: Words
) -> Iterator[tuple[str, str]]:
    """Key inside ``dlms:`` and what is wrong; secrets are not read, only looked for from ``folder`` on."""
    yield from secret_mistakes(meter, folder, say)
    if meter.security == "gmac" and bus.system_title is None:
        yield "security", say["title needed"].format(bus.id)
    if meter.security == "gmac" and meter.system_title is not None and meter.system_title == bus.system_title:
        yield "system_title", say["title twice"]
    if bus.on_a_line:
        try:
            ServerAddress(meter.server, meter.physical, meter.address_octets).check()
        except ValueError:
            physical = "–" if meter.physical is None else meter.physical
            yield "server", say["hdlc address"].format(meter.server, physical, meter.address_octets)


def secret_mistakes(meter: DlmsAccessSettings, folder: Path, say: Words) -> Iterator[tuple[str, str]]:
    """Of the suite and the files of keys and passwords alone."""
    if meter.suite:
        yield "suite", say["suite"].format(meter.suite)
    for key in _NEEDED[meter.security]:
        name = getattr(meter, key)
        if name is None:
            yield key, say["secret needed"].format(meter.security)
        elif _KEY.fullmatch(name):
            yield key, say["key itself"]  # which must not be shown
        elif not is_credential(name) and not Path(from_folder(name, folder)).is_file():
            yield key, say["no such file"].format(name)
