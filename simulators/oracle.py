"""Was anything lost, and was anything stored twice? What the edge produced against what the store holds.

Produced is what the spool file says: it keeps acknowledged rounds for a while (``keep_acknowledged`` has to be
longer than the run). A reading is one row without a failure bit; its key is (gateway, meter, measured_at). Stored is
read from the store itself, without the collector; there too a row with a failure bit is no reading.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from metering.codec import decode, encode_packed
from metering.message import Envelope
from metering.meter_event import MeterEvents
from metering.round import FAILED, Gap, Round, unpack

Key = tuple[str, str, int]
"""Gateway, meter, measured_at in ms since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Produced:
    """What a gateway has made: how many rounds, which readings, and which it said it had to give up."""

    rounds: int
    readings: frozenset[Key]
    given_up_rows: int  # told in gaps


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison. All is well when ``missing`` is empty and ``duplicates`` is 0."""

    produced: int
    stored: int  # rows in the store, each repetition counted
    duplicates: int  # rows beyond the first of their key
    missing: tuple[Key, ...]


def judge(produced: Collection[Key], stored: Mapping[Key, int]) -> Verdict:
    """Compare what was produced with how often each key is stored."""
    return Verdict(
        len(produced),
        sum(stored.values()),
        sum(count - 1 for count in stored.values()),
        tuple(sorted(key for key in produced if key not in stored)),
    )


def produced_in(spools: Iterable[Path]) -> Produced:
    """Everything that some spool files hold, acknowledged or not.

    Raises:
        sqlite3.Error: a file is no spool.
        DecodeError: a round in it is damaged.
    """
    rounds, given_up_rows = 0, 0
    readings: set[Key] = set()
    for spool in spools:
        for content in _contents(spool):
            if isinstance(content, Gap):
                given_up_rows += content.rows
            elif isinstance(content, Round):
                rounds += 1
                readings |= _readings(content)
    return Produced(rounds, frozenset(readings), given_up_rows)


def last_number(spool: Path) -> int:
    """The number of the last round or gap of a spool file, 0 if it is empty.

    Raises:
        sqlite3.Error: the file is no spool.
    """
    with closing(_read_only(spool)) as connection:
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM item").fetchone()
    return int(last)


def stored_in_sqlite(path: Path) -> Counter[Key]:
    """How often each reading stands in the embedded store; none if there is no such file.

    Raises:
        sqlite3.Error: the file is no store.
    """
    if not path.exists():
        return Counter()
    with closing(_read_only(path)) as connection:
        readings = "SELECT gateway, meter, measured_at FROM reading WHERE NOT CAST(coalesce(quality, 0) AS INTEGER) & ?"
        return Counter(connection.execute(readings, (int(FAILED),)).fetchall())


def stored_in_influx(url: str, database: str) -> Counter[Key]:
    """How often each reading stands in an InfluxDB 1.x.

    Raises:
        OSError: the server does not answer, or refuses.
    """
    question = urlencode({"db": database, "epoch": "ms", "q": "SELECT * FROM reading GROUP BY gateway, meter"})
    with urlopen(f"{url}/query?{question}", timeout=30) as response:  # noqa: S310 - our own http URL
        answer: dict[str, Any] = json.load(response)
    found: Counter[Key] = Counter()
    for result in answer["results"]:
        for series in result.get("series", ()):
            gateway, meter = series["tags"]["gateway"], series["tags"]["meter"]
            bits = series["columns"].index("quality") if "quality" in series["columns"] else None
            found.update(
                (gateway, meter, row[0]) for row in series["values"] if bits is None or not int(row[bits] or 0) & FAILED
            )
    return found


def _readings(content: Round) -> set[Key]:
    times, quality = unpack(content.measured_at, "q"), unpack(content.quality, "I")
    rows = zip(content.meters, times, quality, strict=True)
    return {(content.gateway, meter, at) for meter, at, bits in rows if not bits & FAILED}


def _contents(spool: Path) -> Iterable[Round | Gap | MeterEvents]:
    with closing(_read_only(spool)) as connection:
        for seq, first, body in connection.execute("SELECT seq, first, body FROM item ORDER BY seq"):
            yield decode(encode_packed(Envelope(0, seq, seq - first), body)).content


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
