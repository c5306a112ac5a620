"""The collector from the bytes of a message to the bytes for the store: decode, encode, judge; the sink is null.

Fifteen minutes warm the state up (a phase is judged only when it has carried load), then forty-five are timed, one
commit a minute, three ends of a demand block among them. A commit's own cost without the disk, the snapshots of its
gateways, is a figure of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from collector.engine.engine import Engine
from collector.engine.frame import blocks_of
from collector.store.lines import LineEncoder
from metering.codec import decode
from metering.round import Round
from tests.bench.measure import Figure, Timed, seconds_a_unit
from tests.bench.readings import Fleet, known, messages, rounds, rows
from tests.bench.usual_pipeline import UsualPipeline
from tests.support.engines import engine

WARM = 15
TIMED = 45
PEER_MINUTES = 3


class HotPath:
    """One collector without broker, disk and store."""

    def __init__(self, fleet: Fleet) -> None:
        self.registry = known(fleet)
        self.fresh()

    def fresh(self) -> None:
        self.engine: Engine = engine(self.registry)
        self.encoder = LineEncoder()
        self.events = 0

    def commit(self, arrived: list[bytes]) -> int:
        """One commit; how many readings it held."""
        fleet, encode = self.engine.fleet, self.encoder.encode
        contents = [content for one in arrived if isinstance(content := decode(one).content, Round)]
        blocks = blocks_of(fleet, contents)
        for block in blocks:
            encode(block.table(fleet))
        for _, frame in sorted((pair for block in blocks for pair in block.frames()), key=lambda pair: pair[0]):
            outcome = self.engine.process(frame)
            self.events += len(outcome.events)
            for table in outcome.tables:
                encode(table)
        return sum(content.rows for content in contents)


def measure(turns: int) -> Iterator[Figure]:
    """All fleets; the first is the headline and has the peer beside it."""
    yield from _headline(Fleet(10, 100), turns)
    for fleet in (Fleet(1, 100), Fleet(10, 50), Fleet(50, 200)):
        path, arrived = HotPath(fleet), messages(rounds(fleet, WARM + TIMED))
        (seconds,) = seconds_a_unit(turns, lambda path=path, arrived=arrived: _ours(path, arrived))
        yield Figure(f"collector.hot_path.readings_per_s_per_core.{fleet}", 1 / seconds, "readings/s")


def _headline(fleet: Fleet, turns: int) -> Iterator[Figure]:
    made = rounds(fleet, WARM + TIMED)
    arrived = messages(made)
    as_json = [json.dumps(rows(one)).encode() for minute in made[:PEER_MINUTES] for one in minute]
    path = HotPath(fleet)

    def usual() -> Timed:
        peer = UsualPipeline(path.registry)
        return lambda: sum(peer.take(message) for message in as_json)

    def snapshots() -> Timed:
        _ours(path, arrived)()
        gateways = [content.gateway for content in made[0]]

        def commits() -> int:
            for _ in range(TIMED):
                for gateway in gateways:
                    path.engine.snapshot(gateway)
            return TIMED * fleet.readings

        return commits

    ours, peer, snapshot = seconds_a_unit(turns, lambda: _ours(path, arrived), usual, snapshots)
    key = "collector.hot_path.readings_per_s_per_core"
    reference = "pydantic + rules + Point"
    yield Figure(key, 1 / ours, "readings/s", 1 / peer, reference, "collector.hot_path.ratio_to_reference")
    yield Figure("collector.commit_cpu_ns_per_reading", snapshot * 1e9, "ns")


def _ours(path: HotPath, arrived: list[list[bytes]]) -> Timed:
    path.fresh()
    for minute in arrived[:WARM]:
        path.commit(minute)
    return lambda: sum(path.commit(minute) for minute in arrived[WARM:])
