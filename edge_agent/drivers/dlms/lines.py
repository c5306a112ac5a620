"""From settings to a driver: the line, and for each meter its address, its credentials and its counters.

Secrets are only looked at when an association opens: nothing here reads a key, and nothing keeps one longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.drivers.dlms.acse import Mechanism
from edge_agent.drivers.dlms.association import Credentials
from edge_agent.drivers.dlms.bus_settings import (
    DlmsAccessSettings,
    DlmsBusSettings,
    DlmsHdlcSettings,
    DlmsTcpSettings,
)
from edge_agent.drivers.dlms.client import Access, DlmsClient, Sealing
from edge_agent.drivers.dlms.counter_store import CounterFile, Counters
from edge_agent.drivers.dlms.dlms_driver import DlmsDriver, DlmsMeter, LineTime
from edge_agent.drivers.dlms.hdlc import Deframer, ServerAddress, client_address
from edge_agent.drivers.dlms.hdlc_session import HdlcSession
from edge_agent.drivers.dlms.keys import read_key, read_password
from edge_agent.drivers.dlms.link import DlmsLink, Session
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.dlms.push_driver import DlmsPushDriver, PushMeter
from edge_agent.drivers.dlms.push_gate import PushGate, PushSeal, Sender
from edge_agent.drivers.dlms.push_settings import DlmsPushSettings, push_name
from edge_agent.drivers.dlms.security import Keys, Protection
from edge_agent.drivers.dlms.sign_on import open_with_mode_e
from edge_agent.drivers.dlms.wrapper import Unwrapper, WrapperSession
from edge_agent.drivers.transport.endpoint import open_tcp
from edge_agent.drivers.transport.serial_port import open_port
from edge_agent.drivers.transport.stream_link import Opening
from metering.clock import Clock
from metering.errors import StopAndFix

_PROTECTIONS: Final = {
    "both": Protection.BOTH,
    "authentication": Protection.AUTHENTICATED,
    "encryption": Protection.ENCRYPTED,
}


def make_dlms_driver(
    bus: DlmsBusSettings,
    meters: Mapping[str, tuple[DlmsAccessSettings, DlmsProfile, tuple[float, float]]],
    clock: Clock,
) -> DlmsDriver:
    """A driver for one line; it opens nothing before ``connect``.

    Args:
        bus: the line.
        meters: by name: how each is spoken to, its profile, the ratios of its transformers.
        clock: what time it is.
    """
    link = _link(bus)
    found = {
        name: DlmsMeter(
            profile,
            _access(bus, name, settings, profile),
            ZoneInfo(settings.timezone),
            settings.deviation,
            ratios,
        )
        for name, (settings, profile, ratios) in meters.items()
    }
    line_time = LineTime(bus.turnaround, bus.character_s)
    signs_on = isinstance(bus, DlmsHdlcSettings) and bus.opening == "mode_e"  # a silent meter waits for it again
    return DlmsDriver(link, found, clock, line_time, outlasts_silence=bus.on_a_line and not signs_on)


def make_push_driver(
    bus: DlmsPushSettings,
    meters: Mapping[str, tuple[DlmsAccessSettings, DlmsProfile, tuple[float, float]]],
    clock: Clock,
) -> DlmsPushDriver:
    """A driver for the meters that push to one port; it listens to nobody before ``connect``."""
    senders = {
        push_name(settings): Sender(name, profile, _push_seal(bus, name, settings))
        for name, (settings, profile, _) in meters.items()
    }
    found = {
        name: PushMeter(profile, ZoneInfo(settings.timezone), settings.deviation, ratios)
        for name, (settings, profile, ratios) in meters.items()
    }
    return DlmsPushDriver(bus, PushGate(senders), found, clock)


def _push_seal(bus: DlmsPushSettings, name: str, settings: DlmsAccessSettings) -> PushSeal | None:
    if settings.security != "gmac":
        return None
    counters = CounterFile(bus.counters / f"{name}.json")
    return PushSeal(_PROTECTIONS[settings.protection], partial(_key_pair, settings), counters)


def make_dlms_client(
    bus: DlmsBusSettings, name: str, settings: DlmsAccessSettings, profile: DlmsProfile
) -> tuple[DlmsLink, DlmsClient]:
    """The line, and our talk with one meter of it, for whoever asks other things than a driver; opens nothing."""
    link = _link(bus)
    return link, DlmsClient(link, _access(bus, name, settings, profile))


def _link(bus: DlmsBusSettings) -> DlmsLink:
    return DlmsLink(_opening(bus), Deframer if bus.on_a_line else Unwrapper, bus.timeout)


def _opening(bus: DlmsBusSettings) -> Opening:
    if not isinstance(bus, DlmsHdlcSettings):
        return partial(open_tcp, bus)
    return partial(open_port if bus.opening == "direct" else open_with_mode_e, bus)


def _access(bus: DlmsBusSettings, name: str, settings: DlmsAccessSettings, profile: DlmsProfile) -> Access:
    sealing = None
    if settings.security == "gmac":
        sealing = Sealing(
            bytes.fromhex(bus.system_title or ""),
            _PROTECTIONS[settings.protection],
            partial(_keys, bus, settings),
            Counters(CounterFile(bus.counters / f"{name}.json")),
            profile.counter,
        )
    return Access(
        _session_maker(bus, settings),
        settings.client,
        partial(_credentials, settings),
        sealing,
        profile.longest_list,
    )


def _session_maker(bus: DlmsBusSettings, settings: DlmsAccessSettings) -> Callable[[int], Session]:
    if isinstance(bus, DlmsTcpSettings):
        return lambda client: WrapperSession(client, settings.server)
    server = ServerAddress(settings.server, settings.physical, settings.address_octets)
    return lambda client: HdlcSession(client_address(client), server.encode(), bus.information)


def _keys(bus: DlmsBusSettings, settings: DlmsAccessSettings) -> Keys:
    if bus.system_title is None:
        raise StopAndFix(f"bus {bus.id} needs a system_title: 16 hexadecimal digits, for this gateway alone")
    return _key_pair(settings)


def _key_pair(settings: DlmsAccessSettings) -> Keys:
    if settings.suite:
        raise StopAndFix(f"security suite {settings.suite} is not supported → set the meter to suite 0 (AES-GCM-128)")
    if settings.encryption_key_file is None or settings.authentication_key_file is None:
        raise StopAndFix("gmac needs encryption_key_file and authentication_key_file")
    return Keys(read_key(settings.encryption_key_file), read_key(settings.authentication_key_file))


def _credentials(settings: DlmsAccessSettings) -> Credentials:
    if settings.security == "low":
        if settings.password_file is None:
            raise StopAndFix("low needs a password")
        return Credentials(Mechanism.LOW, read_password(settings.password_file))
    if settings.security == "none":
        return Credentials()
    title = bytes.fromhex(settings.system_title or "")
    return Credentials(Mechanism.GMAC, None, title, settings.dedicated_key)
