"""The stages of the hot path one by one, on the fleet of its headline: decode, lines, checks.

An evaluation is one rule judged on one phase it applies to (or on the whole meter) at one reading. Only rules that are
decided at every reading of the ten quantities are counted: not those of a quarter of an hour or of a day, not those
whose quantities are not read, no tests for missing values, no bookkeeping of latches. Their rate is that of the checks
that decide them and of those these need, on honest customers, for whom the screens are made; what one reading costs in
all checks together, with one customer in a hundred tampered with, stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Final

from collector.config import ChecksSettings, all_checks
from collector.engine.engine import Engine
from collector.engine.frame import Block, blocks_of
from collector.store.lines import LineEncoder
from metering.codec import decode
from metering.round import Round
from tests.bench.figures import Figure, compared, compared_cost
from tests.bench.readings import World, rows_of
from tests.bench.timing import Turn, nanoseconds, rates
from tests.bench.usual import Reading, Rules, json_of, line_of

EVALUATIONS: Final = {
    "reading_order": 0,
    "energy_mismatch": 0,
    # voltage_loss, undervoltage, overvoltage and phase_loss on three phases; voltage_imbalance and outage
    "voltage": 3 * 4 + 2,
    # current_loss, current_shunt and over_current on three phases; what the imbalances show is judged each quarter
    "current": 3 * 3,
    # overload on three phases; reverse_flow of the total; low_power_factor
    "power": 3 + 2,
    "registers": 2,  # register_fell, register_stopped
    "clock_offset": 0,
    "read_failure": 1,
    "meter_log": 0,
}
_SETTLEMENT: Final = {  # no rules of single readings: determinants, and what is judged by quarters of an hour
    *(
        "difference_import_kwh",
        "difference_export_kwh",
        "difference_import_kvarh",
        "read_count",
        "load_block",
        "register_jumped",
    ),
    *("energy_day", "export_day", "kvarh_day", "sliding_demand", "sliding_demand_day", "peak_kva_day"),
    *("apparent_power", "capacity", "temporary_capacity"),
}
_PER_READING: Final = sum(EVALUATIONS.values())
_ROUNDS_A_COMMIT: Final = 10
_COMMITS_A_TURN: Final = 3
_USUAL_MINUTES: Final = 15
_GATEWAYS, _METERS = 10, 100


def run(quick: bool) -> Iterator[Figure]:
    """Measure every stage beside its peer."""
    repeats = 3 if quick else 11
    names = {check.name for check in all_checks(ChecksSettings())}
    assert names - _SETTLEMENT == set(EVALUATIONS), "a check has come or gone: count again"
    yield _decode(repeats)
    yield _lines(repeats)
    yield from _checks(repeats)


def _decode(repeats: int) -> Figure:
    messages = World(_GATEWAYS, _METERS).messages(_ROUNDS_A_COMMIT)
    rows = [json_of(row) for content in World(1, _METERS).rounds(_ROUNDS_A_COMMIT) for row in rows_of(content)]

    def ours() -> int:
        return sum(content.rows for m in messages if isinstance(content := decode(m).content, Round))

    def theirs() -> int:
        for row in rows:
            Reading.model_validate_json(row)
        return len(rows)

    cost, peer = (nanoseconds(rate) for rate in rates(repeat(ours), repeat(theirs), repeats=3 * repeats))
    return compared_cost("decode", "collector.decode.ns_per_reading", cost, "ns/reading", peer, "pydantic, JSON row")


def _lines(repeats: int) -> Figure:
    world = World(_GATEWAYS, _METERS)
    fleet, encoder = world.fleet(), LineEncoder()
    (block,) = blocks_of(fleet, world.rounds(_ROUNDS_A_COMMIT))
    few = [row for content in World(1, _METERS).rounds(_ROUNDS_A_COMMIT) for row in rows_of(content)]
    readings = [Reading.model_validate_json(json_of(row)) for row in few]

    def ours() -> int:
        return encoder.encode(block.table(fleet)).count(b"\n")

    def theirs() -> int:
        return sum(1 for reading in readings if line_of(reading))

    rate, peer = rates(repeat(ours), repeat(theirs), repeats=2 * repeats)
    name = "influxdb-client Point"
    return compared("encode lines", "encoder.lines_per_s", rate, "lines/s", peer, name, "encoder.ratio_to_point")


def _checks(repeats: int) -> Iterator[Figure]:
    world, theirs = World(_GATEWAYS, _METERS), World(1, _METERS)
    engine = Engine(world.fleet(), all_checks(ChecksSettings()), "bench", "1")
    rate, peer = rates(_judged(world, engine), _judged_by_ifs(theirs, Rules(theirs.fleet())), repeats=repeats)
    cost = nanoseconds(rate)
    yield compared_cost(
        "checks", "checks.ns_per_reading", cost, "ns/reading", nanoseconds(peer), "the rules as ifs, row by row"
    )
    honest = World(_GATEWAYS, _METERS, honest=True)
    rules = tuple(check for check in all_checks(ChecksSettings()) if check.name in EVALUATIONS)
    (rate,) = rates(_judged(honest, Engine(honest.fleet(), rules, "bench", "1")), repeats=repeats)
    done = rate * _PER_READING
    keys = {"checks.evaluations_per_s_per_core": done}
    yield Figure(f"rules, {_PER_READING} evaluations a reading", done, "evaluations/s", keys)


def _judged(world: World, engine: Engine) -> Iterator[Turn]:
    def judge(commits: list[list[Block]]) -> int:
        rows = 0
        for blocks in commits:
            for block in blocks:
                for _, frame in block.frames():
                    engine.process(frame)
                    rows += len(frame)
        return rows

    while True:
        rounds = [world.rounds(_ROUNDS_A_COMMIT) for _ in range(_COMMITS_A_TURN)]
        yield partial(judge, [blocks_of(engine.fleet, one) for one in rounds])


def _judged_by_ifs(world: World, rules: Rules) -> Iterator[Turn]:
    def judge(readings: list[Reading]) -> int:
        for reading in readings:
            rules.judge(reading)
        return len(readings)

    while True:
        rows = (row for content in world.rounds(_USUAL_MINUTES) for row in rows_of(content))
        yield partial(judge, [Reading.model_validate_json(json_of(row)) for row in rows])
