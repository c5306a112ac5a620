"""The demonstration: a simulated park, the edge agent, a broker and the collector at work, in a minute.

Simulated time runs fast, so that the minute holds more than a day: shops open and close, a register is
found slow after 24 hours, an approved surge comes and goes. At the end polling stops, the spool is drained, and the
oracle says whether every reading was stored once.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from metering.clock import SimulatedClock
from metering.codec import decode
from metering.control import Ack, CollectorStatus, decode_control
from metering.ending import end
from metering.errors import DecodeError, StopAndFix
from metering.language import Language
from metering.round import Round
from metering.topics import Topics
from simulators.companions import Services
from simulators.listener import listening
from simulators.narration import Narrator, kind_and_stage
from simulators.oracle import Produced, Verdict, judge, last_number, produced_in, stored_in_influx, stored_in_sqlite
from simulators.park import Park
from simulators.stack import READY_WITHIN_S, Stack, script

MARKER: Final = ".wattline-demo"
SIMULATED_H: Final = 36.0  # a run covers at least so much …
FASTEST: Final = 3600.0  # … unless that would mean more than twelve rounds a second
USUAL_S: Final = 60.0

_SHARD: Final = "00"
_DRAIN_WITHIN_S: Final = 20.0
_SETTLE_S: Final = 1.5  # the collector commits within a second
_STILL: Final = 1e-6  # a clock that stands still for all practical purposes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run ended with."""

    produced: Produced
    verdict: Verdict
    rounds_stored: int
    events: list[dict[str, Any]]  # kind, meter, score
    truth: list[dict[str, object]]

    def as_json(self) -> str:
        """One line for machines."""
        return json.dumps(
            {
                "rounds_produced": self.produced.rounds,
                "rounds_stored": self.rounds_stored,
                "readings_produced": self.verdict.produced,
                "readings_stored": self.verdict.stored,
                "duplicates_stored": self.verdict.duplicates,
                "missing": len(self.verdict.missing),
                "events": self.events,
                "truth": self.truth,
            },
            ensure_ascii=False,
        )


def speed_for(for_s: float) -> float:
    """How fast simulated time runs, so that a run of ``for_s`` seconds is worth watching."""
    return min(FASTEST, SIMULATED_H * 3600 / min(for_s, USUAL_S))


def prepare(folder: Path) -> None:
    """Empty the folder if it is one of ours.

    Raises:
        StopAndFix: something else lives there, or there can be no such folder.
    """
    if folder.exists() and not folder.is_dir():
        raise StopAndFix(f"{folder} is a file → choose another --folder")
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise StopAndFix(f"{folder} holds files that are not of a demo → choose another --folder")
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    except OSError as error:
        raise StopAndFix(f"{folder}: {error.strerror} → choose another --folder") from error


class Demonstration:
    """One run of the stack, told as it happens."""

    def __init__(self, park: Park, stack: Stack, lang: Language, say: Callable[[str], None]) -> None:
        """Nothing starts before ``run``."""
        self._park = park
        self._stack = stack
        self._say = say
        self._tell = Narrator(lang, park.zone)
        self._topics = Topics(stack.services.prefix)
        self._collector_ready = asyncio.Event()
        self._clock = SimulatedClock(park.start_ms, 1.0, 0)
        self._until = datetime.fromtimestamp(park.start_ms / 1000, park.zone)
        self._acknowledged = 0
        self.interrupted = asyncio.Event()

    async def run(self, for_s: float) -> Outcome:
        """Run for so many seconds and settle.

        Raises:
            StopAndFix: a part did not start, or ended.
            BackOff: the broker was lost.
        """
        stack, tell = self._stack, self._tell
        stack.write(self._park)
        await stack.start_broker()
        self._say(tell.say("broker", stack.programs["broker"].argv[0].rsplit("/", 1)[-1], stack.services.mqtt_port))
        await stack.start_store()
        self._say(tell.say("store", stack.services.influx_url or stack.folder / "readings.db"))
        async with listening(stack.services, self._wanted()) as messages:
            ear = asyncio.create_task(self._listen(messages), name="listen")
            try:
                await self._start_collector()
                await self._watch(for_s)
                await self._drain()
                outcome = await self._settle()
            finally:
                await end([ear])
        return outcome

    def _wanted(self) -> list[str]:
        topics = self._topics
        return [
            topics.event("+", "+"),
            topics.ack("+"),
            topics.up(_SHARD, "+", "data"),
            topics.collector_status(_SHARD),
        ]

    async def _start_collector(self) -> None:
        collector = await self._stack.start_collector()
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not self._collector_ready.is_set():
            collector.check()
            if time.monotonic() > deadline_s:
                raise StopAndFix(f"the collector is not ready after {READY_WITHIN_S:g} s:\n{collector.last_words()}")
            await asyncio.sleep(0.05)
        self._say(self._tell.say("collector"))

    async def _watch(self, for_s: float) -> None:
        """Start the meters and the edge agent and look on."""
        park, tell, speed = self._park, self._tell, speed_for(for_s)
        self._clock = SimulatedClock(park.start_ms, speed, time.time_ns() // 1_000_000)
        await self._stack.start_park(str(self._clock))
        spoken = tell.protocols(park.line(one.endpoint).protocol for one in park.meters)
        self._say(tell.say("park", len(park.meters), spoken, tell.trades(park.settings.trades)))
        start = datetime.fromtimestamp(park.start_ms / 1000, park.zone)
        self._say(tell.say("clock", start, speed, speed * for_s / 3600, for_s))
        await self._stack.start_edge(str(self._clock))
        self._say(tell.say("edge", park.settings.every / 60))
        deadline_s = time.monotonic() + for_s
        while time.monotonic() < deadline_s and not self.interrupted.is_set():
            self._stack.check()
            await asyncio.sleep(0.1)
        if self.interrupted.is_set():
            self._say(tell.say("interrupted"))

    async def _drain(self) -> None:
        """End the polling; then let the edge agent run on a clock that stands still, so that it only sends."""
        await self._stack.programs["edge"].stop()
        self._say(self._tell.say("draining"))
        stopped_ms = self._clock.now_ms()
        self._until = datetime.fromtimestamp(stopped_ms / 1000, self._park.zone)
        still = SimulatedClock(stopped_ms, _STILL, time.time_ns() // 1_000_000)
        await self._stack.start_edge(str(still))
        deadline_s = time.monotonic() + _DRAIN_WITHIN_S
        while self._acknowledged < (last := last_number(self._spool)) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.1)
        if self._acknowledged < last:
            self._say(self._tell.say("not drained", _DRAIN_WITHIN_S, self._acknowledged, last))
        for name in ("edge", "park"):
            await self._stack.programs[name].stop()

    async def _settle(self) -> Outcome:
        """Ask the collector for its results, and the oracle for the truth."""
        stack, say, tell = self._stack, self._say, self._tell
        await asyncio.sleep(_SETTLE_S)
        energy = json.loads(await stack.query("energy", "--json"))
        events = summed_up(json.loads(await stack.query("events", "--json")))
        sequence = json.loads(await stack.query("sequence", "--json"))
        produced = await asyncio.to_thread(produced_in, [self._spool])
        stored = await asyncio.to_thread(stored_rows, stack.folder, stack.services)
        outcome = Outcome(
            produced,
            judge(produced.readings, stored),
            sum(int(row["rounds"]) for row in sequence),
            events,
            self._park.truth(),
        )
        say("")
        for line in tell.energy(energy):
            say(line)
        say("")
        for line in tell.findings(outcome.truth, [(event["kind"], event["meter"]) for event in events], self._until):
            say(line)
        verdict = outcome.verdict
        say("")
        say(
            tell.say(
                "verdict",
                verdict.produced,
                produced.rounds,
                verdict.stored,
                verdict.duplicates,
                len(verdict.missing),
            )
        )
        self._say_where_to_look()
        return outcome

    def _say_where_to_look(self) -> None:
        folder, meter = self._stack.folder, next(one.meter.name for one in self._park.meters)
        self._say(self._tell.say("later", folder))
        program = Path(script("wattline-collector"))
        with suppress(ValueError):
            program = program.relative_to(Path.cwd())
        if self._stack.services.influx_url:
            self._say(self._tell.say("store first"))
            self._say(f"  sh {folder / 'start-store.sh'}")
        for words in ("latest", f"load-curve {meter}", f"energy {meter}", "events"):
            self._say(f"  {program} query {words} -c {folder / 'collector.yaml'}")

    @property
    def _spool(self) -> Path:
        return self._stack.folder / "spool.db"

    async def _listen(self, messages: AsyncIterator[tuple[str, bytes]]) -> None:
        async for topic, payload in messages:
            with suppress(DecodeError, json.JSONDecodeError):
                self._heard(topic, payload)

    def _heard(self, topic: str, payload: bytes) -> None:
        if topic == self._topics.collector_status(_SHARD):
            if decode_control(payload, CollectorStatus).state == "online":
                self._collector_ready.set()
        elif topic == self._topics.ack(self._park.settings.park):
            self._acknowledged = max(self._acknowledged, decode_control(payload, Ack).seq)
        elif self._topics.parse_up(topic) is not None:
            message = decode(payload)
            if isinstance(message.content, Round):
                line = self._tell.round(message.envelope.seq, message.content, self._acknowledged)
                if line is not None:
                    self._say(line)
        else:
            for line in self._tell.event(json.loads(payload)):
                self._say(line)


def stored_rows(folder: Path, services: Services) -> dict[tuple[str, str, int], int]:
    """What the store of a folder holds, by key."""
    if services.influx_url is None:
        return stored_in_sqlite(folder / "readings.db")
    return stored_in_influx(services.influx_url, services.database)


def summed_up(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each kind and meter, with the highest score, in the order of their first event."""
    best: dict[tuple[str, str], float] = {}
    for event in events:
        key = (kind_and_stage(event)[0], str(event["subject"]))
        best[key] = max(best.get(key, 0.0), float(event.get("data", {}).get("score") or 0.0))
    return [{"kind": kind, "meter": meter, "score": score} for (kind, meter), score in best.items()]
