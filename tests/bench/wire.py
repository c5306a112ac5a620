"""What one reading costs on the wire, beside the JSON rows others send."""

from __future__ import annotations

import json
from collections.abc import Iterator

import zstandard

from tests.bench.measure import Figure
from tests.bench.readings import Fleet, messages, rounds, rows

MINUTES = 15


def measure(turns: int) -> Iterator[Figure]:
    """Rounds of 100 meters; bytes do not vary, so there is nothing to repeat."""
    del turns
    made = rounds(Fleet(1, 100), MINUTES)
    readings = MINUTES * 100
    packed = sum(len(one) for minute in messages(made) for one in minute) / readings
    texts = [json.dumps(rows(one), separators=(",", ":")).encode() for minute in made for one in minute]
    plain = sum(map(len, texts)) / readings
    squeezed = sum(len(zstandard.compress(text)) for text in texts) / readings
    yield Figure("wire.bytes_per_reading", packed, "bytes", plain, "JSON rows", smaller_is_better=True)
    yield Figure("wire.json_zstd_bytes_per_reading", squeezed, "bytes")
