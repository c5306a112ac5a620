"""What InfluxDB 1.x has acknowledged outlives a kill in the middle of a write, and every start after it.

InfluxDB alone does not promise that: it cuts a torn entry off its log, writes on where that had ended, and the start
after the next drops all behind the hole. Whoever starts it opens it once where nobody writes.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from simulators.stack import Stack
from tests.support.central import write_line
from tests.support.servers import Influxd

pytestmark = pytest.mark.servers

POINTS = 1_000
AT = 1_781_800_000_000


def write(store: Influxd, instant: int) -> None:
    """Points of one instant in one request: one entry of the log."""
    write_line(
        store, "\n".join(f"reading,meter=m-{n} active_power={n * 7919 % 997}.5 {instant}" for n in range(POINTS))
    )


def stored(store: Influxd) -> int:
    (series,) = store.query("SELECT COUNT(active_power) FROM reading")
    ((_, count),) = series["values"]
    return count


def tear(data: Path) -> None:
    """Leave half an entry at the end of the log."""
    (log,) = data.glob("wal/wattline/autogen/*/*.wal")
    entries = log.read_bytes()
    length = int.from_bytes(entries[1:5], "big")  # after the kind of the entry
    with log.open("ab") as end:
        end.write(entries[: 5 + length // 2])


def end_orderly(store: Influxd) -> None:
    store.process.send_signal(signal.SIGTERM)
    store.process.wait(20)


def test_opened_once_by_its_unit_the_store_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    store = Influxd(tmp_path)
    store.start()
    try:
        store.query("CREATE DATABASE wattline")
        write(store, AT)
        store.kill()
        tear(tmp_path)
        store.start()
        write(store, AT + 1)
        end_orderly(store)
        store.start()
        assert stored(store) == 2 * POINTS
    finally:
        store.kill()


async def test_a_stack_opens_a_killed_store_once_by_itself(tmp_path: Path) -> None:
    async with Stack(tmp_path, "servers") as stack:
        await stack.start_store()
        store = Influxd(tmp_path, int(stack.services.influx_url.rsplit(":", 1)[1]))
        write(store, AT)
        await stack.programs["store"].kill()
        tear(tmp_path / "influx")
        for instant in (AT + 1, AT + 2):
            await stack.start_store()
            write(store, instant)
            await stack.programs["store"].stop()
        await stack.start_store()
        assert stored(store) == 3 * POINTS


def test_a_store_that_does_not_open_is_not_taken_for_open(tmp_path: Path) -> None:
    (tmp_path / "meta").write_text("no folder")
    done = Influxd(tmp_path).open_once()
    assert done.returncode != 0
    assert b"influxd ended before it was open" in done.stderr
