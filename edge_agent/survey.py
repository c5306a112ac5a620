"""What reading the configured meters costs, and what each of them says right now.

For the technician at the cabinet: nothing here polls, spools or publishes. While the agent runs it is asked at its
desk, for a second master would garble its line.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from edge_agent.app import drivers_of, round_name
from edge_agent.config import GatewaySettings
from edge_agent.desk import ask_at, door_beside, is_open
from edge_agent.drivers.driver import GOOD, Driver, ReadFailure, Reading, Reason
from edge_agent.polling.gathering import Gathering, Row
from edge_agent.polling.rate_group import GroupSettings
from edge_agent.polling.schedule import Schedule
from edge_agent.polling.workload import Load, asks_of, loads_of
from metering.clock import Clock
from metering.control import ReadCommand, ReadReply
from metering.packed_body import encode_body
from metering.round import Quality

_TRIES = 2


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What one rate group costs."""

    group: str
    every_s: float
    meters: int
    quantities: int
    loads: dict[str, Load]  # by bus
    message_octets: int  # of one round with arbitrary values


@dataclass(frozen=True, slots=True)
class Answer:
    """One meter asked once."""

    meter: str
    outcome: Reading | ReadFailure
    elapsed_ms: float


def plan_of(settings: GatewaySettings, clock: Clock) -> list[GroupPlan]:
    """The price of every rate group; opens no connection."""
    drivers = drivers_of(settings, clock)
    loads = loads_of(settings.groups, settings.meters, drivers)
    return [_group_plan(settings, group, drivers, loads, clock.now_ms()) for group in settings.groups]


def _group_plan(
    settings: GatewaySettings,
    group: GroupSettings,
    drivers: dict[str, Driver],
    loads: dict[str, list[Load]],
    now: int,
) -> GroupPlan:
    asks = asks_of(group, settings.groups, settings.meters, drivers)
    mine = {bus: load for bus, on_bus in loads.items() for load in on_bus if load.group == group.id}
    name = round_name(settings, group, asks)
    meters = [meter for on_bus in asks.values() for meter, _ in on_bus]
    sample = Gathering(name, Schedule(group.period_ms).next(now), meters)
    for i, meter in enumerate(meters):
        values = {quantity: 100.0 + 7.123 * i + 1.3 * k for k, quantity in enumerate(name.quantities)}
        sample.add(Row(meter, now + 17 * i, GOOD, values))
    content = sample.take()
    octets = len(encode_body(content)) if content else 0
    return GroupPlan(group.id, group.every, len(meters), len(name.quantities), mine, octets)


def bus_budgets(settings: GatewaySettings, clock: Clock) -> list[tuple[str, float, str]]:
    """For every bus with meters: its name, the share of its time that is used, and of what."""
    loads = loads_of(settings.groups, settings.meters, drivers_of(settings, clock))
    speeds = {bus.id: bus.speed for bus in settings.buses}
    return [(bus, sum(load.share for load in on_bus), speeds[bus]) for bus, on_bus in loads.items()]


async def ask(settings: GatewaySettings, clock: Clock, only: str | None = None) -> list[Answer]:
    """Read every meter once, or one of them; the buses at the same time."""
    meters = [meter for meter in settings.meters if only in (None, meter.id)]
    door = door_beside(settings.spool.path)
    on_bus: dict[str, list[str]] = {}
    for meter in meters:
        on_bus.setdefault(meter.bus, []).append(meter.id)
    if await is_open(door):
        found = await asyncio.gather(*(_ask_desk(door, ids) for ids in on_bus.values()))
    else:
        drivers = drivers_of(settings, clock)
        found = await asyncio.gather(*(_ask_bus(drivers[bus], ids) for bus, ids in on_bus.items()))
    by_id = {answer.meter: answer for answers in found for answer in answers}
    return [by_id[meter.id] for meter in meters]


async def _ask_desk(door: Path, meters: list[str]) -> list[Answer]:
    answers = []
    for meter in meters:
        reply = await ask_at(door, ReadCommand(meter, meter))
        answers.append(Answer(meter, outcome_of(reply), reply.elapsed_ms))
    return answers


def outcome_of(reply: ReadReply) -> Reading | ReadFailure:
    """What the running agent told of a read."""
    if not reply.failure:
        return Reading(reply.measured_at, reply.values, Quality(reply.quality), reply.requests)
    return failure_of(reply.failure, reply.detail, reply.code)


def failure_of(word: str, detail: str, code: int | None) -> ReadFailure:
    """What the running agent told of a failure; its word may be newer than ours."""
    return ReadFailure(Reason(word) if word in tuple(Reason) else Reason.NO_REPLY, detail, code)


async def _ask_bus(driver: Driver, meters: list[str]) -> list[Answer]:
    answers = []
    down: ReadFailure | None = None
    try:
        for meter in meters:
            started_s = time.monotonic()
            outcome: Reading | ReadFailure | None = down
            for _ in range(_TRIES):
                if down is None and not driver.connected:
                    outcome = down = await driver.connect()
                if down is not None:
                    break
                outcome = await driver.read(meter, driver.offers(meter))
                if isinstance(outcome, Reading):
                    break
            if outcome is not None:
                answers.append(Answer(meter, outcome, (time.monotonic() - started_s) * 1000))
    finally:
        driver.close()
    return answers
