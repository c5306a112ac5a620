"""The collector's hot path: messages in, lines and judgements out, into a sink that keeps nothing.

    decode → blocks → lines of the readings → all checks → lines of the determinants

is what the pipeline does with one group commit, without broker, store and the state file. A turn is half an hour of
readings, so that it holds its share of ended quarters of an hour. ``snapshot`` is measured by itself: what it costs
a reading depends on how many rounds of a gateway a commit holds; here ten.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Final

from collector.config import ChecksSettings, all_checks
from collector.engine.engine import Engine
from collector.engine.frame import blocks_of
from collector.store.lines import LineEncoder
from metering.codec import decode
from metering.round import Round
from tests.bench.figures import Figure, compared
from tests.bench.readings import World, rows_of
from tests.bench.timing import Turn, nanoseconds, rates
from tests.bench.usual import Reading, Rules, json_of, line_of

_KEY: Final = "collector.hot_path"
_ROUNDS_A_COMMIT: Final = 10
_COMMITS_A_TURN: Final = 3
_USUAL_MINUTES: Final = 15
_MAIN: Final = (10, 100)
_OTHERS: Final = ((1, 100), (10, 50), (50, 200))


class HotPath:
    """One collector without its shells."""

    def __init__(self, world: World) -> None:
        """Start with empty state."""
        self.engine = Engine(world.fleet(), all_checks(ChecksSettings()), "bench", "1")
        self.events = 0
        self._encoder = LineEncoder()
        self._world = world

    def turns(self) -> Iterator[Turn]:
        """Newer and newer messages, a few commits a turn."""
        while True:
            yield partial(self._commits, [self._world.messages(_ROUNDS_A_COMMIT) for _ in range(_COMMITS_A_TURN)])

    def snapshots(self) -> int:
        """The state of every gateway once; how many readings of a commit that stands for."""
        for gateway in self._world.names:
            self.engine.snapshot(gateway)
        return _ROUNDS_A_COMMIT * len(self.engine.fleet)

    def _commits(self, commits: list[list[bytes]]) -> int:
        return sum(self._commit(messages) for messages in commits)

    def _commit(self, messages: list[bytes]) -> int:
        fleet, encode = self.engine.fleet, self._encoder.encode
        rounds = [content for message in messages if isinstance(content := decode(message).content, Round)]
        blocks = blocks_of(fleet, rounds)
        for block in blocks:
            encode(block.table(fleet))
        for _, frame in sorted((pair for block in blocks for pair in block.frames()), key=lambda pair: pair[0]):
            outcome = self.engine.process(frame)
            self.events += len(outcome.events)
            for table in outcome.tables:
                encode(table)
        return sum(content.rows for content in rounds)


class UsualPath:
    """The peer's collector."""

    def __init__(self, world: World) -> None:
        """Start with empty state."""
        self.rules = Rules(world.fleet())
        self._world = world

    def turns(self) -> Iterator[Turn]:
        """Newer and newer rows."""
        while True:
            rounds = self._world.rounds(_USUAL_MINUTES)
            yield partial(self._take, [json_of(row) for content in rounds for row in rows_of(content)])

    def _take(self, rows: list[bytes]) -> int:
        for row in rows:
            reading = Reading.model_validate_json(row)
            self.rules.judge(reading)
            line_of(reading)
        return len(rows)


def run(quick: bool) -> Iterator[Figure]:
    """Measure the fleet of the headline beside the peer, then fleets of other sizes."""
    world = World(*_MAIN)
    path, usual = HotPath(world), UsualPath(World(1, _MAIN[1]))
    repeats = 3 if quick else 11
    ours, theirs = rates(path.turns(), usual.turns(), repeats=repeats)
    yield compared(
        f"hot path, {_MAIN[0]} gateways x {_MAIN[1]} meters",
        f"{_KEY}.readings_per_s_per_core",
        ours,
        "readings/s",
        theirs,
        "pydantic, rules as ifs, Point",
        f"{_KEY}.ratio_to_reference",
    )
    for gateways, meters in _OTHERS:
        few = gateways * meters > _MAIN[0] * _MAIN[1]
        other = HotPath(World(gateways, meters))
        (rate,) = rates(other.turns(), repeats=repeats // 3 if few else repeats)
        key = f"{_KEY}.readings_per_s_per_core.{gateways}x{meters}"
        yield Figure(f"hot path, {gateways} x {meters}", rate, "readings/s", {key: rate})
    (rate,) = rates(repeat(path.snapshots), repeats=5 * repeats)
    cost = nanoseconds(rate)
    yield Figure("snapshot, 10 rounds a commit", cost, "ns/reading", {"collector.snapshot_ns_per_reading": cost})
