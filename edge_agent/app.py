"""Wires the rooms together and stops them in order: polls, then the goodbye, then the spool."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Coroutine
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Final

from edge_agent.config import GatewaySettings
from edge_agent.desk import Desk, door_beside
from edge_agent.drivers.driver import Driver
from edge_agent.drivers.registry import AnyProfile, DlmsMeterSettings, MeterSettings, ProfileShelf, make_driver
from edge_agent.heartbeat import beat, notify
from edge_agent.polling.bus import Bus
from edge_agent.polling.care import care_of
from edge_agent.polling.filing import Filing
from edge_agent.polling.gateway_clock import GatewayClock
from edge_agent.polling.gathering import RoundName
from edge_agent.polling.memory import remember
from edge_agent.polling.poller import Poller
from edge_agent.polling.rate_group import RANK, GroupSettings
from edge_agent.polling.register_truth import LARGEST_METER_A, LARGEST_METER_KW, RegisterTruth, Terminals
from edge_agent.polling.schedule import clock_is_set
from edge_agent.polling.upkeep import Upkeep
from edge_agent.polling.workload import Asks, asks_of
from edge_agent.publishing.publisher import Publisher
from edge_agent.signals import Counters
from edge_agent.spool.spool import Spool
from edge_agent.synchronisation import kernel_synchronised, simulated_synchronised
from metering.clock import Clock, SystemClock
from metering.control import EdgeStatus, encode_control
from metering.ending import end
from metering.log import log
from metering.message import epoch_text
from metering.mqtt_link import MqttLink, Will
from metering.quantity import QUANTITIES
from metering.topics import Topics

_COUNTERS_EVERY_S: Final = 300.0
_NOTES: Final = 20  # in one status
_VERSION: Final = version("wattline")


def drivers_of(settings: GatewaySettings, clock: Clock) -> dict[str, Driver]:
    """The driver of every bus that has meters, by bus."""
    shelf = ProfileShelf(settings.profiles)
    used = {meter.bus for meter in settings.meters}
    return {bus.id: make_driver(bus, settings.meters, shelf, clock) for bus in settings.buses if bus.id in used}


def round_name(settings: GatewaySettings, group: GroupSettings, asks: Asks) -> RoundName:
    """The group's name and columns, in the order of the catalogue."""
    wanted = {quantity for on_bus in asks.values() for _, quantities in on_bus for quantity in quantities}
    columns = tuple(name for name in QUANTITIES if name in wanted)
    return RoundName(settings.gateway, group.id, group.period_ms, columns)


def terminals_of(meter: MeterSettings, profile: AnyProfile) -> Terminals:
    """What a meter can carry on the primary side."""
    ratio = meter.ct_ratio * meter.pt_ratio
    rolls_at = {quantity: rollover * ratio for quantity, rollover in profile.rollovers.items()}
    if profile.displays == "primary" and ratio == 1:
        return Terminals(math.inf, rolls_at=rolls_at)  # its own ratios are set in the meter; nobody tells us
    rating = profile.rating
    current_a = meter.maximum_current_a or (rating.maximum_current_a if rating else LARGEST_METER_A)
    return Terminals(LARGEST_METER_KW * ratio * current_a / LARGEST_METER_A, ratio, rolls_at)


class Gateway:
    """Everything that runs on one gateway."""

    def __init__(self, settings: GatewaySettings, clock: Clock) -> None:
        """Open the spool and read the secrets.

        Raises:
            StopAndFix: the spool or a secret cannot be used.
        """
        self._settings = settings
        self._clock = clock
        self._synchronised = kernel_synchronised if isinstance(clock, SystemClock) else simulated_synchronised
        self._counters = Counters()
        self._stop = asyncio.Event()
        topics = Topics(settings.mqtt.prefix)
        will = Will(topics.up(settings.shard, settings.gateway, "status"), encode_control(EdgeStatus("offline")))
        link = MqttLink(settings.mqtt, settings.gateway, will)
        self.spool = Spool.of(settings.spool, settings.gateway)
        shelf = ProfileShelf(settings.profiles)
        self._truth = RegisterTruth({meter.id: terminals_of(meter, shelf.of(meter)) for meter in settings.meters})
        remember(self.spool, self._truth)
        drivers = drivers_of(settings, clock)
        self._buses = {name: self._bus(name, driver) for name, driver in drivers.items()}
        self._desk = Desk(self._buses.values(), self._heard_clock)
        self._publisher = Publisher(
            link,
            self.spool,
            settings.publish,
            topics,
            settings.shard,
            settings.gateway,
            self._status,
            self._desk.answer,
            self._counters,
        )
        self._filing = Filing(self.spool, clock, self._counters, self._publisher.wake)
        cares = {
            bus: [care_of(meter, bus.driver, settings.groups, settings.upkeep) for meter in bus.meters]
            for bus in self._buses.values()
        }
        self._upkeep = Upkeep(settings.upkeep, settings.gateway, cares, self._filing, clock, self._counters)
        self._gateway_clock = GatewayClock(clock, self._synchronised, self.spool.marks(), self.spool.kept_until())
        self._pollers = [self._poller(group, drivers) for group in settings.groups]

    def stop(self) -> None:
        """End after the round under way."""
        self._stop.set()

    async def run(self) -> None:
        """Poll and publish until ``stop``."""
        for meter in self._settings.meters:
            if isinstance(meter, DlmsMeterSettings) and not meter.dlms.protected:
                log.warning("meter_unprotected", meter=meter.id)  # as somebody wrote into the file
        log.info("started", gateway=self._settings.gateway, version=_VERSION, epoch=epoch_text(self.spool.epoch))
        background = [
            *(bus.run() for bus in self._buses.values()),
            self._upkeep.run(),
            self._publisher.run(),
            beat(),
            self._log_counters(),
        ]
        try:
            async with self._desk.open_at(door_beside(self._settings.spool.path)), asyncio.TaskGroup() as tasks:
                helpers = [tasks.create_task(_guard(one)) for one in background]
                await asyncio.gather(*(poller.run(self._stop) for poller in self._pollers))
                notify("STOPPING=1")
                await end(helpers)
        finally:
            await asyncio.to_thread(self.spool.close, self._upkeep.marks())
            log.info("stopped", **self._counters.as_dict())

    def _heard_clock(self, meter: str, offset_s: float | None) -> None:
        self._upkeep.heard_clock(meter, offset_s)

    def _bus(self, name: str, driver: Driver) -> Bus:
        meters = [meter.id for meter in self._settings.meters if meter.bus == name]
        return Bus(name, driver, meters, self._clock, self._counters, self._settings.upkeep.line_share)

    def _poller(self, group: GroupSettings, drivers: dict[str, Driver]) -> Poller:
        asks = asks_of(group, self._settings.groups, self._settings.meters, drivers)
        name = round_name(self._settings, group, asks)
        by_bus = {self._buses[bus]: on_bus for bus, on_bus in asks.items()}
        return Poller(
            name,
            by_bus,
            self._filing,
            self._truth,
            self._clock,
            self._gateway_clock,
            self._counters,
            self._upkeep,
            RANK[group.priority],
        )

    async def _status(self) -> EdgeStatus:
        state = await asyncio.to_thread(self.spool.state)
        now = self._clock.now_ms()
        failing = sorted({meter for poller in self._pollers for meter, bad in poller.failing.items() if bad})
        return EdgeStatus(
            "online",
            _VERSION,
            now,
            epoch_text(state.epoch),
            state.oldest,
            state.next_seq,
            state.unacknowledged,
            state.oldest_unacknowledged_at,
            round(state.share, 4),
            state.evicted_rows + self._counters.rows_lost,
            clock_is_set(now) and self._synchronised() is not False,
            len(self._settings.meters),
            tuple(failing),
            self._counters.ticks_skipped,
            self._truth.notes[-_NOTES:],
            tuple(sorted(self._upkeep.reading_back)),
            tuple(sorted(self._upkeep.clocks_off)),
        )

    async def _log_counters(self) -> None:
        while True:
            await asyncio.sleep(_COUNTERS_EVERY_S)
            log.info("counters", **self._counters.as_dict())


async def _guard(background: Coroutine[Any, Any, None]) -> None:
    """End quietly when cancelled, so that stopping is no failure of the group."""
    with suppress(asyncio.CancelledError):
        await background


async def run(settings: GatewaySettings, clock: Clock) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        StopAndFix: the spool or a secret cannot be used.
    """
    gateway = Gateway(settings, clock)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.stop)
    await gateway.run()
