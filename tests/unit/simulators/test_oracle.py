import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from metering.packed_body import encode_body
from metering.round import Column, Gap, Origin, Quality, Round, pack
from simulators.oracle import judge, produced_in, stored_in_sqlite

AT = 1_781_700_000_000


def spool(path: Path, *items: tuple[int, int, Round | Gap]) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE item (seq INTEGER PRIMARY KEY, first INTEGER, rows INTEGER, polled_at INTEGER,"
            " gap INTEGER, crc32 INTEGER, body BLOB)"
        )
        rows = [(seq, first, 1, AT, 0, 0, encode_body(content)) for seq, first, content in items]
        connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def round_at(at: int, *quality: int) -> Round:
    meters = tuple(f"m-{n}" for n in range(len(quality)))
    column = Column.of("active_power", [1.0] * len(meters))
    return Round(
        "g-1", "main", Origin.LIVE, 60_000, at, meters, pack([at] * len(meters), "q"), pack(quality, "I"), (column,)
    )


def test_produced_are_the_rows_without_a_failure(tmp_path: Path) -> None:
    path = spool(
        tmp_path / "spool.db",
        (4, 2, Gap("g-1", 2, 4, 17, "evicted")),
        (5, 5, round_at(AT, 0, Quality.NO_ANSWER, Quality.PARTIAL)),
        (6, 6, round_at(AT + 60_000, 0, Quality.SUSPENDED, Quality.LINK_DOWN)),
    )

    produced = produced_in([path])

    assert produced.rounds == 2
    assert produced.given_up_rows == 17
    assert produced.readings == {("g-1", "m-0", AT), ("g-1", "m-2", AT), ("g-1", "m-0", AT + 60_000)}


def test_stored_rows_are_counted_by_key(tmp_path: Path) -> None:
    path = tmp_path / "readings.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE reading (gateway TEXT, meter TEXT, measured_at INTEGER, quality REAL)")
        rows = [("m-0", AT, None), ("m-0", AT, None), ("m-1", AT, 64.0), ("m-2", AT, 1.0)]
        connection.executemany("INSERT INTO reading VALUES ('g-1', ?, ?, ?)", rows)

    assert stored_in_sqlite(path) == {("g-1", "m-0", AT): 2, ("g-1", "m-1", AT): 1}
    assert stored_in_sqlite(tmp_path / "none.db") == Counter()


def test_the_verdict_names_what_is_missing_and_counts_what_is_double() -> None:
    a, b, c = ("g", "a", 1), ("g", "b", 1), ("g", "c", 1)

    verdict = judge({a, b}, {b: 3, c: 1})

    assert verdict.missing == (a,)
    assert verdict.duplicates == 2
    assert (verdict.produced, verdict.stored) == (2, 4)
