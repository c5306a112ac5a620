"""The stages of the hot path one by one, on the same readings: 10 gateways of 100 meters a commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from influxdb_client import Point

from collector.engine.frame import Frame, blocks_of
from collector.store.lines import LineEncoder
from metering.codec import decode
from tests.bench.hot_path import TIMED, WARM
from tests.bench.measure import Figure, Timed, seconds_a_unit
from tests.bench.readings import QUANTITIES, Fleet, known, messages, rounds
from tests.support.engines import engine

FLEET: Final = Fleet(10, 100)
POINT_MINUTES: Final = 2

EVALUATIONS: Final = {
    # An evaluation is one condition judged on one reading. What is judged only when a block, a bucket or a day ends,
    # arithmetic, and the bookkeeping of a latch that rests are not counted.
    #
    # value there · newer than the last · fell · rose beyond the rating · the same two against the suspect
    "register_difference": 6,
    # difference there · too long to spread · a gap · before the block under way · block over · today · failed
    "energy_day": 7,
    # bucket over · power there · after the last · not too long after · register interval even · power interval even
    "energy_mismatch": 6,
    # power there · newer · joined to the last · block over
    "capacity": 4,
    # each phase: energised · no current · others loaded · loaded before · others as usual · carries again;
    # the meter: currents there · voltages there · newer · three phases
    "current_loss": 3 * 6 + 4,
    # each phase: below the share · usual share high · loaded before · clear again · not a current loss · may learn;
    # the meter: median loaded · voltages there · newer · three phases
    "current_shunt": 3 * 6 + 4,
}


def measure(turns: int) -> Iterator[Figure]:
    """Decoding, encoding, judging."""
    made = rounds(FLEET, WARM + TIMED)
    yield _decoding(turns, messages(made))
    registry = known(FLEET)
    judging = engine(registry)
    blocks = [block for minute in made for block in blocks_of(judging.fleet, minute)]
    tables = [block.table(judging.fleet) for block in blocks]
    series = judging.fleet.series

    def encoding() -> Timed:
        encoder = LineEncoder()
        encoder.encode(tables[0])
        return lambda: sum(bool(encoder.encode(table)) * len(table) for table in tables)

    lines = [
        (series[slot].meter, series[slot].gateway, int(at), values)
        for block in blocks[:POINT_MINUTES]
        for slot, at, values in zip(
            block.slots, block.at, zip(*[c.integers / 10**c.decimals for c in block.columns], strict=True), strict=True
        )
    ]

    def points() -> Timed:
        def run() -> int:
            for meter, gateway, at, values in lines:
                point = Point("reading").tag("gateway", gateway).tag("meter", meter)
                for name, value in zip(QUANTITIES, values, strict=True):
                    point.field(name, float(value))
                point.time(at, "ms").to_line_protocol()
            return len(lines)

        return run

    def checks() -> Timed:
        judge = engine(registry)
        again = [blocks_of(judge.fleet, minute) for minute in made]
        frames: list[Frame] = [frame for minute in again for block in minute for _, frame in block.frames()]
        for frame in frames[:WARM]:
            judge.process(frame)

        def run() -> int:
            for frame in frames[WARM:]:
                judge.process(frame)
            return sum(len(frame) for frame in frames[WARM:])

        return run

    ours, peer, judged = seconds_a_unit(turns, encoding, points, checks)
    yield Figure("encoder.lines_per_s", 1 / ours, "lines/s", 1 / peer, "Point", "encoder.ratio_to_point")
    yield Figure("checks.ns_per_reading", judged * 1e9, "ns")
    each = sum(EVALUATIONS.values())
    yield Figure("checks.evaluations_per_reading", each, "evaluations")
    yield Figure("checks.evaluations_per_s_per_core", each / judged, "evaluations/s")


def _decoding(turns: int, arrived: list[list[bytes]]) -> Figure:
    flat = [one for minute in arrived for one in minute]

    def run() -> int:
        for one in flat:
            decode(one)
        return len(flat) * FLEET.meters

    (seconds,) = seconds_a_unit(turns, lambda: run)
    return Figure("collector.decode.ns_per_reading", seconds * 1e9, "ns")
