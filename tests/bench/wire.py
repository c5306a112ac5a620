"""Bytes on the wire: packed rounds of a hundred meters with ten values each, beside a JSON object a reading.

MQTT's and TCP's own bytes are left out on both sides; a message a reading would carry a hundred times as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tests.bench.figures import Figure, compared_cost
from tests.bench.readings import World, rows_of
from tests.bench.usual import json_of


def run(quick: bool) -> Iterator[Figure]:
    """Count the bytes of some rounds of different customers and hours."""
    gateways, meters, minutes = 4, 100, 60 if quick else 240
    packed = median(len(message) / meters for message in World(gateways, meters).messages(minutes))
    rounds = World(gateways, meters).rounds(1)
    plain = median(len(json_of(row)) for content in rounds for row in rows_of(content))
    yield compared_cost("wire", "wire.bytes_per_reading", packed, "bytes/reading", plain, "a JSON object")
